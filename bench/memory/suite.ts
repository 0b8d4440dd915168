/**
 * @file Suite `memory`: the most memory that forward and backward passes of attention hold, by length. It must grow with the length, not with its
 * square.
 */
import type { Command } from "commander";
import { type BackendName, backendNames } from "../accuracy/measured.ts";
import { runChild } from "../support/child.ts";
import { oneOf, positiveIntegers } from "../support/options.ts";
import { Report } from "../support/report.ts";
import type { MemoryInput, MemoryResult, MemoryRow } from "./measured.ts";

interface Options {
  readonly backend: BackendName;
  readonly lengths: readonly number[];
  readonly json?: string;
}

async function run({ backend, lengths, json }: Options): Promise<void> {
  const report = new Report("memory");
  const input: MemoryInput = { backend, lengths };
  const onProgress = (message: string) => report.progress(message);
  const result = await runChild<MemoryResult>("memory/measure.ts", input, { library: "source", onProgress });
  if ("missing" in result)
    return report.finish(result, { json, failures: [`${backend} is not here: ${result.missing}`] });

  const bytes = (value: number): string => value.toLocaleString("en");
  report.table(
    [
      `${backend}, f16, B 1, H 1, D 64, causal`,
      "N",
      "inputs",
      "results",
      "workspace",
      "peak, bytes",
      "N x N f16",
      "error / allowed",
      "seconds",
    ],
    result.rows.map(({ kind, length, inputs, results, workspace, peak, shares, seconds }) => [
      kind,
      String(length),
      ...[inputs, results, workspace, peak, 2 * length ** 2].map(bytes),
      Math.max(...Object.values(shares)).toPrecision(2),
      seconds.toFixed(1),
    ]),
  );
  const failures: string[] = [];
  for (const { kind, length, shares } of result.rows)
    for (const [name, share] of Object.entries(shares))
      if (!(share <= 1)) failures.push(`${kind} at N = ${length}: ${name}: error / allowed ${share}`);
  const exponents = ["attention", "piecewise"].map((kind) => {
    const rows = result.rows.filter((row) => row.kind === kind);
    const [peak, workspace] = [exponent(rows, "peak"), exponent(rows, "workspace")];
    report.note(`${kind}: peak ~ N^${peak.toFixed(3)}, workspace ~ N^${workspace.toFixed(3)}`);
    // Least squares over exact powers; padding of buffers may add a few bytes.
    if (Math.max(peak, workspace) > 1.01) failures.push(`${kind}: memory grows faster than the length`);
    return { kind, peak, workspace };
  });
  report.note(
    `${result.device}. Bytes by device.memory(). Compared with f64: the last 64 queries and keys, all results.`,
  );
  report.finish({ ...result, exponents }, { json, failures });
}

/** The slope of the least-squares line through the logarithms. */
function exponent(rows: readonly MemoryRow[], name: "peak" | "workspace"): number {
  const points = rows.map((row) => [Math.log(row.length), Math.log(row[name])] as const);
  const mean = (axis: 0 | 1): number => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const sum = (term: (dx: number, dy: number) => number): number =>
    points.reduce((total, point) => total + term(point[0] - x, point[1] - y), 0);
  return sum((dx, dy) => dx * dy) / sum((dx) => dx * dx);
}

export function addMemory(program: Command): void {
  program
    .command("memory")
    .description("peak memory of attention forward and backward, and how it grows with the length")
    .option("--backend <name>", backendNames.join(" | "), oneOf(backendNames), "lavapipe")
    .option("--lengths <list>", "queries and keys", positiveIntegers, [4096, 8192, 16384])
    .option("--json <file>", "also write the results here")
    .action(run);
}
