/**
 * @file Suite `piecewise`: what PiecewiseAttention costs beside plain attention of the same size, in one run: from four tensors, and from raw queries and
 * keys that are turned in the load. f32, causal.
 */
import type { Command } from "commander";
import type { BackendName } from "../attention/measured.ts";
import { runChild } from "../support/child.ts";
import { oneOf, positive, positiveInteger } from "../support/options.ts";
import { milliseconds, Report } from "../support/report.ts";
import type { PiecewiseInput, PiecewiseResult } from "./measured.ts";

const backendNames: readonly BackendName[] = ["hardware", "lavapipe", "swiftshader", "cpu"];

interface Options extends PiecewiseInput {
  readonly json?: string;
}

async function run({ json, ...input }: Options): Promise<void> {
  const report = new Report("piecewise");
  const result = await runChild<PiecewiseResult>("piecewise/measure.ts", input, {
    onProgress: (message) => report.progress(message),
  });
  const failures: string[] = [];
  if ("missing" in result) failures.push(`${input.backend} is not here: ${result.missing}`);
  else {
    const plain = result.timings[0]!.timing;
    const { length, heads, headDim, window } = input;
    report.table(
      [
        `H ${heads}, N ${length}, D ${headDim}, window ${window}`,
        "best ms",
        "median ms",
        "processor ms",
        "best / plain",
        "processor / plain",
      ],
      result.timings.map(({ kind, timing }) => [
        kind,
        milliseconds(timing.best),
        milliseconds(timing.median),
        milliseconds(timing.processor),
        (timing.best / plain.best).toFixed(2),
        (timing.processor / plain.processor).toFixed(2),
      ]),
    );
    report.note(
      `${result.device}; both piecewise results differ by at most ${result.difference.toExponential(1)}, outputs reach ${result.largest.toFixed(1)}`,
    );
    // Two ways to round the turned operands, 2^-24 each, in logits of size sqrt(D) and below: far below what a wrong angle makes.
    if (!(result.difference <= 1e-4 * result.largest))
      failures.push("WRONG: piecewise from raw q and k differs from that of turned tensors");
  }
  report.finish(result, { json, failures });
}

export function addPiecewise(program: Command): void {
  program
    .command("piecewise")
    .description(
      "the cost of PiecewiseAttention beside plain attention, from raw queries and keys and from turned ones",
    )
    .option("--backend <name>", backendNames.join(", "), oneOf(backendNames), "lavapipe")
    .option("--length <n>", "tokens", positiveInteger, 2048)
    .option("--heads <n>", "heads", positiveInteger, 8)
    .option("--head-dim <n>", "head dim", positiveInteger, 64)
    .option("--window <n>", "of ReRoPE", positiveInteger, 512)
    .option("--seconds <s>", "for each kind", positive, 8)
    .option("--json <file>", "also write the results here")
    .action(run);
}
