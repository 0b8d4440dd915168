/**
 * @file Suite `accuracy`: attention over the cases of its conformance test, on every backend here and as PTX in the emulator: the largest
 * error against f64 as a share of the allowed one.
 */
import type { Command } from "commander";
import { runChild } from "../support/child.ts";
import { oneOrMoreOf } from "../support/options.ts";
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
  readonly json?: string;
}

async function run({ backends, filter, json }: Options): Promise<void> {
  const report = new Report("accuracy");
  const results = new Map<BackendName, AccuracyResult>();
  const failures: string[] = [];
  for (const backend of backends) {
    const input: AccuracyInput = { backend, filter };
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
  const titles = columns[0]?.cases.map(({ title }) => title) ?? [];
  report.table(
    ["attention, error / allowed error", ...columns.map(({ backend }) => backend)],
    [
      ...titles.map((title, i) => [title, ...columns.map(({ cases }) => cell(cases[i]!))]),
      ["largest", ...columns.map(({ cases }) => showShare(Math.max(...cases.map(shareOf))))],
    ],
  );
  for (const [backend, result] of results)
    report.note("missing" in result ? `${backend} is not here: ${result.missing}` : `${backend}: ${result.device}`);
  report.note(
    "The larger share of out and lse. Allowed: twice the error of the naive computation in the same dtype, plus 1e-5; all against f64.",
  );
  for (const { backend, cases } of columns)
    for (const result of cases)
      if (!(shareOf(result) <= 1)) failures.push(`${backend}: ${result.title}: ${describe(result)}`);
  report.finish(Object.fromEntries(results), { json, failures });
}

/** Infinite where the case failed, so that it counts as the worst; NaN counts as that too. */
function shareOf(result: CaseResult): number {
  if ("error" in result) return Number.POSITIVE_INFINITY;
  const share = Math.max(result.out, result.lse);
  return Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
}

const cell = (result: CaseResult): string => ("error" in result ? "FAILED" : showShare(shareOf(result)));

/** With enough digits to see that a share is beyond 1. */
const showShare = (share: number): string => (share <= 1 ? share.toPrecision(2) : `${share.toPrecision(4)} WRONG`);

const describe = (result: CaseResult): string =>
  "error" in result ? result.error : `error / allowed: out ${result.out}, lse ${result.lse}`;

export function addAccuracy(program: Command): void {
  program
    .command("accuracy")
    .description(
      "error of attention against f64, as a share of the allowed one, on every backend and as PTX in the emulator",
    )
    .option("--backends <list>", backendNames.join(","), oneOrMoreOf(backendNames), backendNames)
    .option("--filter <text>", "only cases whose title contains this", "")
    .option("--json <file>", "also write the results here")
    .action(run);
}
