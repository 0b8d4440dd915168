/**
 * @file Suite `decode`: what ptxas makes of the loops of split-KV and paged attention, at the block sizes that the operators launch. Decoding is
 * bound by memory, so what counts is how many warp instructions it takes to get through a KB of keys and values. Needs ptxas, no GPU.
 */
import type { Command } from "commander";
import { type CompileOptions, compile, type KernelDefinition } from "../../src/index.ts";
import { type HeadProblem, headConstants } from "../../src/kernels/attention/configuration.ts";
import { pagedKeyBlock, splitConfiguration } from "../../src/kernels/attention/splits.ts";
import {
  attentionSplit,
  dense,
  paged,
  type Variant,
  withAlibi,
  withSinks,
  withSoftcap,
  withWindow,
} from "../../src/kernels/index.ts";
import { type Assembler, assemblePtx, ptxas } from "../../src/runtime/cuda/assembler.ts";
import { analyzeCubin, type LoopMix } from "../../src/runtime/cuda/sass/index.ts";
import { positiveIntegers } from "../support/options.ts";
import { Report } from "../support/report.ts";

interface Options {
  readonly headDims: readonly number[];
  readonly groups?: readonly number[];
  readonly pageSizes?: readonly number[];
  readonly json?: string;
}

/** One query a sequence; `group` query heads a key head; keys in pages of so many, or side by side. */
interface Problem {
  readonly dtype: "f16" | "bf16";
  readonly headDim: number;
  readonly group: number;
  readonly pageSize?: number;
  readonly variant?: keyof typeof variants;
}

/** Variants, by the models that decode with them. */
const variants = {
  "Mistral: window": (of: Variant) => withWindow(of),
  // With the form of the cap that the operators take up to 50, Gemma 2's.
  "Gemma 2: window, cap": (of: Variant) => {
    const capped = withSoftcap(withWindow(of));
    return { ...capped, constants: { ...capped.constants, LARGE_SOFTCAP: false } };
  },
  "GPT-OSS: window, sinks": (of: Variant) => withSinks(withWindow(of)),
  "BLOOM: ALiBi": (of: Variant) => withAlibi(of),
};

interface LoopRow {
  readonly instructions: number;
  /** Instructions of all warps for each KB of keys and values. */
  readonly perKilobyte: number;
  readonly copies: number;
  readonly loads: number;
}

interface Row extends Problem {
  readonly blockM: number;
  readonly blockN: number;
  readonly warps: number;
  readonly registers: number;
  readonly sharedBytes: number;
  readonly spillBytes: number;
  /** The loop over whole tiles, and the one that runs once for the rest, with masks. */
  readonly full: LoopRow;
  readonly masked: LoopRow;
}

/** All that is asked for, or a sample. */
const problemsOf = ({ headDims, groups, pageSizes }: Options): Problem[] =>
  headDims.flatMap((headDim) =>
    groups || pageSizes
      ? (pageSizes ?? [16]).flatMap((pageSize) =>
          (groups ?? [1, 8]).map((group): Problem => ({ dtype: "f16", headDim, group, pageSize })),
        )
      : sampleOf(headDim),
  );

const sampleOf = (headDim: number): Problem[] => [
  { dtype: "f16", headDim, group: 1 },
  { dtype: "f16", headDim, group: 8 },
  { dtype: "f16", headDim, group: 1, pageSize: 16 },
  { dtype: "f16", headDim, group: 8, pageSize: 16 },
  { dtype: "bf16", headDim, group: 8, pageSize: 16 },
  { dtype: "f16", headDim, group: 8, pageSize: 128 },
  // Pages that no tile of keys is made of.
  { dtype: "f16", headDim, group: 8, pageSize: 24 },
  ...(Object.keys(variants) as (keyof typeof variants)[]).map(
    (variant): Problem => ({ dtype: "bf16", headDim, group: 8, pageSize: 16, variant }),
  ),
];

/** What the operators would launch on dense tensors. */
function specialization({ dtype, headDim, group, pageSize, variant }: Problem): [KernelDefinition, CompileOptions] {
  const split: HeadProblem = { backend: "cuda", dtype, headDim, valueDim: headDim, terms: 1 };
  const blocks = splitConfiguration(split, group);
  const aligned = { alignment: 16, unitStride: true };
  const keys = pageSize === undefined ? (dense as Variant) : paged(dense);
  const modified = variant ? variants[variant](keys) : keys;
  const tensors = ["q", "k", "v", "partial", ...(pageSize === undefined ? [] : ["contextLengths", "blockTables"])];
  return [
    attentionSplit(modified),
    {
      dtypes: { T: dtype, ...(modified.sink && { SINKS: dtype }) },
      constants: {
        ...blocks,
        ...headConstants(headDim, headDim),
        ...(pageSize !== undefined && { BLOCK_N: pagedKeyBlock(blocks.BLOCK_N, pageSize), PAGE_SIZE: pageSize }),
        CAUSAL: false,
        PACK_HEADS: group > 1,
      },
      facts: Object.fromEntries(tensors.map((name) => [name, aligned])),
    },
  ];
}

async function measure(assembler: Assembler, problem: Problem): Promise<Row> {
  const [definition, options] = specialization(problem);
  const { source, metadata } = compile(definition, "sm_80", options);
  const { cubin, spills } = await assemblePtx(assembler, source, "sm_80");
  const { loops, registers } = analyzeCubin(cubin)[0]!;
  const [full, masked] = loops.filter(({ flops }) => flops > 0).sort((a, b) => a.total - b.total);
  const { BLOCK_M, BLOCK_N } = metadata.constants as Record<string, number>;
  const warps = metadata.block[0] / 32;
  const kilobytes = (BLOCK_N! * 2 * problem.headDim * 2) / 1024;
  const rowOf = ({ total, classes }: LoopMix): LoopRow => ({
    instructions: total,
    perKilobyte: (total * warps) / kilobytes,
    copies: classes.asyncCopy ?? 0,
    loads: classes.globalLoad ?? 0,
  });
  const { static: fixed, dynamic } = metadata.sharedMemory;
  return {
    ...problem,
    blockM: BLOCK_M!,
    blockN: BLOCK_N!,
    warps,
    registers,
    sharedBytes: fixed + dynamic,
    spillBytes: spills.stores + spills.loads,
    full: rowOf(full!),
    masked: rowOf(masked!),
  };
}

async function run(options: Options): Promise<void> {
  const { json } = options;
  const report = new Report("decode");
  const found = await ptxas();
  if ("reason" in found) {
    report.finish([], { failures: [found.reason] });
    return;
  }
  const rows: Row[] = [];
  for (const problem of problemsOf(options)) rows.push(await measure(found.value, problem));
  const loop = ({ instructions, perKilobyte }: LoopRow): string => `${perKilobyte.toFixed(1)} (${instructions})`;
  report.table(
    [
      "one query, sm_80",
      "tile, warps",
      "registers",
      "shared",
      "spills",
      "a KB: whole tiles",
      "a KB: the rest",
      "copies + loads",
    ],
    rows.map((row) => [
      [
        `${row.dtype} D=${row.headDim} group ${row.group}`,
        ...(row.pageSize === undefined ? [] : [`pages of ${row.pageSize}`]),
        ...(row.variant === undefined ? [] : [row.variant]),
      ].join(", "),
      `${row.blockM} x ${row.blockN}, ${row.warps}`,
      `${row.registers}`,
      `${(row.sharedBytes / 1024).toFixed(0)} KiB`,
      `${row.spillBytes} B`,
      loop(row.full),
      loop(row.masked),
      `${row.full.copies} + ${row.full.loads}`,
    ]),
  );
  report.note(
    [
      "A KB: warp instructions for each KB of keys and values (in brackets: of one warp and turn), in the loop over whole tiles, and in the one",
      "that runs once for the rest. An A100 at full bandwidth has 306 issue slots a KB. Static figures from ptxas: no GPU was asked.",
      "Not measured here: FlagAttention (Triton 3.6), paged: group 1, pages of 16: D=128 430, D=64 546; group 8, pages of 16: 107, 167; pages of",
      "128: 42, 57; split-KV with tiles of 16 x 128: 23 and 32, without copies ahead.",
    ].join("\n"),
  );
  const failures = rows.filter(({ spillBytes }) => spillBytes > 0).map((row) => `${JSON.stringify(row)} spills`);
  report.finish(rows, { ...(json !== undefined && { json }), failures });
}

export function addDecode(program: Command): void {
  program
    .command("decode")
    .description("warp instructions a KB of keys and values in split-KV and paged attention, by ptxas")
    .option("--head-dims <list>", "head dims", positiveIntegers, [64, 128])
    .option("--groups <list>", "query heads a key head; with --page-sizes, every pair of them in f16", positiveIntegers)
    .option("--page-sizes <list>", "keys a page", positiveIntegers)
    .option("--json <file>", "also write the results here")
    .action(run);
}
