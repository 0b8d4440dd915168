/**
 * @file Suite `compile`: how long attention's forward kernel, its largest backward kernel and that over paged caches take from the DSL to PTX
 * and to WGSL, in a fresh process (cold: V8 has compiled none of our functions yet; imports are not counted) and in one that has compiled
 * before (warm). Beside it the time for each line of text, which a larger kernel should not raise.
 */
import type { Command } from "commander";
import type { CompileOptions, Target } from "tilewright";
import {
  backwardKeysConfiguration,
  forwardConfiguration,
  headConstants,
} from "../../src/kernels/attention/configuration.ts";
import { pagedKeyBlock, splitConfiguration } from "../../src/kernels/attention/splits.ts";
import { libraryKernels } from "../../src/kernels/index.ts";
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

interface Case {
  readonly kernel: string;
  readonly headDim: number;
  /** Block sizes and switches of what the operator launches. */
  constants(target: Target): Readonly<Record<string, number | boolean>>;
}

const problemOf = (target: Target, headDim: number) => ({
  backend: target === "wgsl" ? ("webgpu" as const) : ("cuda" as const),
  dtype: "f16" as const,
  headDim,
  valueDim: headDim,
  terms: 1,
  plain: true,
  causal: true,
});

const forward = (headDim: number): Case => ({
  kernel: "attention_forward",
  headDim,
  // A query length beyond every block size.
  constants: (target) => ({ ...forwardConfiguration(problemOf(target, headDim), 4096) }),
});

const larger: readonly Case[] = [
  {
    kernel: "attention_backward_keys_piecewise",
    headDim: 128,
    constants: (target) => ({ ...backwardKeysConfiguration({ ...problemOf(target, 128), terms: 2 }) }),
  },
  {
    kernel: "attention_split_paged",
    headDim: 128,
    constants: (target) => {
      const problem = problemOf(target, 128);
      const blocks = splitConfiguration(problem, 8);
      return { ...blocks, BLOCK_N: pagedKeyBlock(blocks.BLOCK_N, 16), PAGE_SIZE: 16, PACK_HEADS: true };
    },
  },
];

interface Row {
  readonly kernel: string;
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
  readonly lines: number;
}

/** What the operator would launch on dense f16 tensors. */
function specialization(target: Target, { kernel, headDim, constants }: Case): CompileOptions {
  const dense = { alignment: 16, unitStride: true };
  const tensors = Object.entries(libraryKernels[kernel]!.definition.params).filter(([, { kind }]) => kind === "tensor");
  return {
    dtypes: { T: "f16" },
    constants: { ...constants(target), ...headConstants(headDim, headDim), CAUSAL: true },
    facts: Object.fromEntries(tensors.map(([name]) => [name, dense])),
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

async function measure(target: Target, which: Case, samples: number): Promise<Row> {
  const { kernel, headDim } = which;
  const reference = specialization(target, which);
  const measured = variants(reference);
  const warmUp = [...measured, ...measured].map((options) => ({ ...options, dtypes: { T: "bf16" as const } }));
  const run = (input: Partial<SampleInput>): Promise<Sample> =>
    runChild<Sample>("compile/sample.ts", {
      kernel,
      target,
      reference,
      warmUp: [],
      measured: [],
      what: "whole",
      ...input,
    });

  const cold: Sample[] = [];
  const coldStages: Sample[] = [];
  for (let i = 0; i < samples; i++) {
    cold.push(await run({}));
    coldStages.push(await run({ what: "stages" }));
  }
  const warm = await run({ warmUp, measured });
  const warmStages = await run({ warmUp, measured, what: "stages" });
  return {
    kernel,
    target,
    headDim,
    coldMilliseconds: cold.flatMap(({ whole }) => whole),
    warmMilliseconds: warm.whole,
    coldProcessorMilliseconds: meanOf(cold.map(({ processorMilliseconds }) => processorMilliseconds)),
    warmProcessorMilliseconds: warm.processorMilliseconds,
    importMilliseconds: cold.map(({ importMilliseconds }) => importMilliseconds),
    coldStages: meanStages(coldStages.flatMap(({ stages }) => stages)),
    warmStages: meanStages(warmStages.stages),
    lines: cold[0]!.lines,
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
    for (const which of [...headDims.map(forward), ...larger]) {
      report.progress(`${target}, ${which.kernel}, D = ${which.headDim}`);
      rows.push(await measure(target, which, samples));
    }
  }
  report.table(
    [
      "f16",
      "cold ms (min to max)",
      "on CPU",
      "= trace + optimize + lower",
      "warm ms (min to max)",
      "on CPU",
      "= trace + optimize + lower",
      "import ms",
      "lines",
      "warm µs a line",
    ],
    rows.map((row) => [
      `${row.target} ${row.kernel} D=${row.headDim}`,
      spread(row.coldMilliseconds),
      optional(row.coldProcessorMilliseconds),
      showStages(row.coldStages),
      spread(row.warmMilliseconds),
      optional(row.warmProcessorMilliseconds),
      showStages(row.warmStages),
      milliseconds(median(row.importMilliseconds)),
      `${row.lines}`,
      (((row.warmProcessorMilliseconds ?? median(row.warmMilliseconds)) * 1000) / row.lines).toFixed(1),
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
