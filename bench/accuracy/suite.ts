/**
 * @file Suite `accuracy`: the attention family over the cases of its conformance tests, on every backend here and as PTX in the emulator: the largest
 * error against f64 as a share of the allowed one.
 */
import type { Command } from "commander";
import { runChild } from "../support/child.ts";
import { journalOption, oneOrMoreOf, positiveInteger } from "../support/options.ts";
import { Report } from "../support/report.ts";
import {
  type AccuracyInput,
  type AccuracyResult,
  type BackendName,
  backendNames,
  type CaseResult,
} from "./measured.ts";

interface Options {
  readonly backends: readonly BackendName[];
  readonly filter: string;
  readonly every: number;
  readonly journal?: string;
  readonly json?: string;
}

async function run({ backends, json, ...chosen }: Options): Promise<void> {
  const report = new Report("accuracy");
  const results = new Map<BackendName, AccuracyResult>();
  const failures: string[] = [];
  for (const backend of backends) {
    const input: AccuracyInput = { backend, ...chosen, revision: report.environment.revision };
    try {
      // The conformance cases import the sources, so the library comes from there too: two copies of it would not mix.
      const result = await runChild<AccuracyResult>("accuracy/measure.ts", input, {
        library: "source",
        onProgress: (message) => report.progress(message),
      });
      results.set(backend, result);
    } catch (error) {
      failures.push(`${backend}: ${error instanceof Error ? error.message : error}`);
    }
  }

  const columns = [...results].flatMap(([backend, result]) =>
    "missing" in result ? [] : [{ backend, device: result.device, cases: result.cases }],
  );
  // Kernels are told apart by what they give: out and lse by the forward one, dq, dk with dv, and the column sums by one each.
  const rows = new Map<string, Map<BackendName, number>>();
  for (const { backend, cases } of columns)
    for (const result of cases) {
      if ("error" in result) continue;
      for (const [name, share] of Object.entries(result.shares)) {
        const row = `${result.family}: ${name.replace(/[12]$/, "")} ${result.dtype}`;
        const found = rows.get(row) ?? new Map<BackendName, number>();
        rows.set(row, found.set(backend, Math.max(found.get(backend) ?? 0, worst(share))));
      }
    }
  report.table(
    ["largest error / allowed error", ...columns.map(({ backend }) => backend)],
    [...rows].map(([row, shares]) => [row, ...columns.map(({ backend }) => showShare(shares.get(backend)))]),
  );
  for (const [backend, result] of results)
    report.note(
      "missing" in result
        ? `${backend} is not here: ${result.missing}`
        : `${backend}: ${result.device}, ${result.cases.length} cases`,
    );
  report.note("Allowed: twice the error of the naive computation in the same dtype, plus 1e-5; all against f64.");
  for (const { backend, cases } of columns)
    for (const result of cases)
      if ("error" in result || !Object.values(result.shares).every((share) => share <= 1))
        failures.push(`${backend}: ${result.family}: ${result.title}: ${describe(result)}`);
  report.finish(Object.fromEntries(results), { json, failures });
}

/** NaN counts as the worst. */
const worst = (share: number): number => (Number.isNaN(share) ? Number.POSITIVE_INFINITY : share);

/** With enough digits to see that a share is beyond 1. */
const showShare = (share: number | undefined): string =>
  share === undefined ? "" : share <= 1 ? share.toPrecision(2) : `${share.toPrecision(4)} WRONG`;

const describe = (result: CaseResult): string => ("error" in result ? result.error : JSON.stringify(result.shares));

export function addAccuracy(program: Command): void {
  program
    .command("accuracy")
    .description(
      "error of the attention family against f64, as a share of the allowed one, on every backend and as PTX in the emulator",
    )
    .option("--backends <list>", backendNames.join(","), oneOrMoreOf(backendNames), backendNames)
    .option("--filter <text>", "only cases whose family and title contain this", "")
    .option("--every <n>", "only every n-th case of a family", positiveInteger, 1)
    .addOption(journalOption())
    .option("--json <file>", "also write the results here")
    .action(run);
}
