/**
 * @file Suite `operators`: runs the conformance tests of the operators around attention and of attention's variants, which write down how large each
 * error was, and shows the largest as a share of the allowed one.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { projectDirectory } from "../support/project.ts";
import { Report } from "../support/report.ts";

const files = ["cpu", "webgpu", "ptx", "attention-variants", "attention-variants-webgpu", "attention-variants-ptx"];

interface Share {
  /** The test's name, with those of its suites. */
  readonly test: string;
  readonly result: string;
  readonly share: number;
}

async function run({ json }: { readonly json?: string }): Promise<void> {
  const report = new Report("operators");
  const directory = mkdtempSync(join(tmpdir(), "tilewright-shares-"));
  const file = join(directory, "shares.jsonl");
  const tests = files.map((name) => `test/kernels/${name}.test.ts`);
  const code = await new Promise<number | null>((resolve) => {
    const child = spawn("npx", ["vitest", "run", ...tests, "--reporter", "dot"], {
      cwd: projectDirectory,
      env: { ...process.env, TILEWRIGHT_SHARES: file },
      stdio: ["ignore", 2, 2],
    });
    child.on("exit", resolve);
  });
  const shares = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Share);
  rmSync(directory, { recursive: true });

  const backends = new Set<string>();
  const rows = new Map<string, Map<string, number>>();
  for (const { test, result, share } of shares) {
    const { kernel, backend } = placeOf(test);
    backends.add(backend);
    const name = `${kernel} ${result}`;
    const row = rows.get(name) ?? new Map<string, number>();
    rows.set(name, row.set(backend, Math.max(row.get(backend) ?? 0, share)));
  }
  report.table(
    ["largest error / allowed error", ...backends],
    [...rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, row]) => [name, ...[...backends].map((backend) => row.get(backend)?.toPrecision(2) ?? "")]),
  );
  report.note(
    "Allowed: of variants, twice the error of the naive computation in the same dtype, plus 1e-5; of the others, half a unit of the dtype plus the roundings on the way.",
  );
  report.finish(Object.fromEntries([...rows].map(([name, row]) => [name, Object.fromEntries(row)])), {
    json,
    failures: code === 0 ? [] : ["tests failed: see above"],
  });
}

/** The suites of a test say `... on <backend>`; what comes after them is the operator. */
function placeOf(test: string): { readonly kernel: string; readonly backend: string } {
  const parts = test.split(" > ");
  const at = parts.findIndex((part) => / on /.test(part));
  const [kind, backend] = parts[at]!.split(" on ") as [string, string];
  if (/variants/.test(kind)) return { kernel: kind, backend };
  return { kernel: parts[at + 1]!.split(/[ :,]/)[0]!, backend };
}

export function addOperators(program: Command): void {
  program
    .command("operators")
    .description(
      "error of the operators around attention and of attention's variants, as a share of the allowed one, on every backend of the tests",
    )
    .option("--json <file>", "also write the results here")
    .action(run);
}
