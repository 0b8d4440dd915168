/**
 * @file Suite `compile`: how long attention's forward kernel takes from the DSL to PTX and to WGSL, in a fresh process (cold: nothing is
 * compiled by V8's optimizer yet; imports are not counted) and in one that has compiled before (warm).
 */
import type { Command } from "commander";
import type { CompileOptions, Target } from "tilewright";
import { forwardConfiguration, headConstants } from "../../src/kernels/attention/configuration.ts";
import { runChild } from "../support/child.ts";
import { positiveInteger, positiveIntegers } from "../support/options.ts";
import { milliseconds, Report } from "../support/report.ts";
import { median } from "../support/statistics.ts";
import type { Sample, SampleInput, Stages } from "./sample.ts";

interface Options {
  readonly samples: number;
  readonly headDims: readonly number[];
  readonly json?: string;
}

interface Row {
  readonly target: Target;
  readonly headDim: number;
  readonly coldMilliseconds: readonly number[];
  readonly warmMilliseconds: readonly number[];
  /** Means on the processor, without the time that other processes had it. */
  readonly coldProcessorMilliseconds?: number;
  readonly warmProcessorMilliseconds?: number;
  readonly importMilliseconds: readonly number[];
  readonly coldStages: Stages;
  readonly warmStages: Stages;
  readonly characters: number;
}

/** What `attention` would launch on dense f16 tensors; a query length beyond every block size. */
function specialization(target: Target, headDim: number): CompileOptions {
  const dense = { alignment: 16, unitStride: true };
  return {
    dtypes: { T: "f16" },
    constants: {
      ...forwardConfiguration(target === "wgsl" ? "webgpu" : "cuda", headDim, headDim, 4096),
      ...headConstants(headDim, headDim),
      CAUSAL: true,
    },
    facts: { q: dense, k: dense, v: dense, out: dense, lse: dense },
  };
}

/** The same block sizes with every choice of the other constants, and two alignments. */
function variants({ constants, facts, ...rest }: CompileOptions): CompileOptions[] {
  const choices = [false, true];
  return choices.flatMap((CAUSAL) =>
    choices.flatMap((PAD_HEAD) =>
      choices.flatMap((PAD_VALUE) =>
        [16, 8].map((alignment) => ({
          ...rest,
          constants: { ...constants, CAUSAL, PAD_HEAD, PAD_VALUE },
          facts: Object.fromEntries(Object.entries(facts!).map(([name, fact]) => [name, { ...fact, alignment }])),
        })),
      ),
    ),
  );
}

async function measure(target: Target, headDim: number, samples: number): Promise<Row> {
  const reference = specialization(target, headDim);
  const measured = variants(reference);
  const warmUp = [...measured, ...measured].map((options) => ({ ...options, dtypes: { T: "bf16" as const } }));
  const run = (input: Partial<SampleInput>): Promise<Sample> =>
    runChild<Sample>("compile/sample.ts", { target, reference, warmUp: [], measured: [], what: "whole", ...input });

  const cold: Sample[] = [];
  const coldStages: Sample[] = [];
  for (let i = 0; i < samples; i++) {
    cold.push(await run({}));
    coldStages.push(await run({ what: "stages" }));
  }
  const warm = await run({ warmUp, measured });
  const warmStages = await run({ warmUp, measured, what: "stages" });
  return {
    target,
    headDim,
    coldMilliseconds: cold.flatMap(({ whole }) => whole),
    warmMilliseconds: warm.whole,
    coldProcessorMilliseconds: meanOf(cold.map(({ processorMilliseconds }) => processorMilliseconds)),
    warmProcessorMilliseconds: warm.processorMilliseconds,
    importMilliseconds: cold.map(({ importMilliseconds }) => importMilliseconds),
    coldStages: meanStages(coldStages.flatMap(({ stages }) => stages)),
    warmStages: meanStages(warmStages.stages),
    characters: cold[0]!.characters,
  };
}

const meanStages = (stages: readonly Stages[]): Stages => {
  const mean = (name: keyof Stages): number => stages.reduce((sum, one) => sum + one[name], 0) / stages.length;
  return { trace: mean("trace"), optimize: mean("optimize"), lower: mean("lower") };
};

const meanOf = (values: readonly (number | undefined)[]): number | undefined =>
  values.reduce(
    (sum, value) => (sum === undefined || value === undefined ? undefined : sum + value / values.length),
    0,
  );

const optional = (value: number | undefined): string => (value === undefined ? "" : milliseconds(value));

const spread = (values: readonly number[]): string =>
  `${milliseconds(median(values))} (${milliseconds(Math.min(...values))} to ${milliseconds(Math.max(...values))})`;

const showStages = ({ trace, optimize, lower }: Stages): string =>
  [trace, optimize, lower].map(milliseconds).join(" + ");

async function run({ samples, headDims, json }: Options): Promise<void> {
  const report = new Report("compile");
  const rows: Row[] = [];
  for (const target of ["sm_80", "wgsl"] as const) {
    for (const headDim of headDims) {
      report.progress(`${target}, D = ${headDim}`);
      rows.push(await measure(target, headDim, samples));
    }
  }
  report.table(
    [
      "attention_forward, f16",
      "cold ms (min to max)",
      "on CPU",
      "= trace + optimize + lower",
      "warm ms (min to max)",
      "on CPU",
      "= trace + optimize + lower",
      "import ms",
      "text",
    ],
    rows.map((row) => [
      `${row.target} D=${row.headDim}`,
      spread(row.coldMilliseconds),
      optional(row.coldProcessorMilliseconds),
      showStages(row.coldStages),
      spread(row.warmMilliseconds),
      optional(row.warmProcessorMilliseconds),
      showStages(row.warmStages),
      milliseconds(median(row.importMilliseconds)),
      `${(row.characters / 1024).toFixed(0)} KiB`,
    ]),
  );
  report.note(
    [
      `Medians. Cold: ${samples} fresh processes, the first call of compile, imports not counted. Warm: 16 specialisations, each compiled once,`,
      "after 32 others in the same process. On CPU: the mean time that the compiling thread was on a processor, which other work on the",
      "machine hardly changes; its stages are taken in runs of their own, so they need not add up exactly.",
      "Not measured here: Triton 3.6, Python to PTX, FlagAttention's 16 forward kernels: cold 1350 ms, warm 694 ms (imports another 2 to 5 s).",
    ].join("\n"),
  );
  report.finish(rows, { json });
}

export function addCompile(program: Command): void {
  program
    .command("compile")
    .description("time from the DSL to PTX and WGSL text, cold and warm")
    .option("--samples <count>", "fresh processes for each cold figure", positiveInteger, 5)
    .option("--head-dims <list>", "head dims", positiveIntegers, [64, 128])
    .option("--json <file>", "also write the results here")
    .action(run);
}
