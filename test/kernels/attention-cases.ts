/**
 * @file The cases of attention's conformance test: written once, run on every back end.
 */
import type { AttentionCase, FloatDType } from "../../src/kernels/index.ts";
import { completed, smallProblem } from "./case-defaults.ts";

export interface ConformanceCase extends AttentionCase {
  readonly dtype: FloatDType;
  /** Standard deviation of q, k and v. */
  readonly magnitude: number;
}

const make = (change: Partial<ConformanceCase>): ConformanceCase =>
  completed({ ...smallProblem, headDim: 32, ...change });

/** Everything that the contract of attention names, in shapes that are small enough for an interpreter. */
export const conformanceCases: readonly ConformanceCase[] = [
  make({}),
  make({ causal: false }),
  // Lengths that no block size divides, shorter and longer queries than keys; rows that see no key (M > N).
  make({ queries: 50, keys: 77 }),
  make({ queries: 77, keys: 50 }),
  make({ queries: 77, keys: 50, causal: false }),
  make({ queries: 1, keys: 129 }),
  make({ queries: 3, keys: 1 }),
  // Groups: Aquila2-34B's 6, one key head for all, and more than one batch.
  make({ queryHeads: 6, keyHeads: 1, batch: 2, queries: 33, keys: 40 }),
  make({ queryHeads: 12, keyHeads: 2, queries: 20, keys: 20 }),
  // Dtypes.
  make({ dtype: "f16", queries: 70, keys: 100 }),
  make({ dtype: "bf16", queries: 70, keys: 100 }),
  make({ dtype: "f16", magnitude: 4, causal: false }),
  // Many tiles, over which the largest logit grows by little in some rows and by much in others.
  make({ dtype: "f16", magnitude: 3, queries: 70, keys: 300, causal: false }),
  // Head dims.
  ...[16, 64, 80, 96, 128, 256].map((headDim) =>
    make({ headDim, queries: 40, keys: 48, queryHeads: 1, keyHeads: 1, dtype: headDim > 64 ? "f16" : "f32" }),
  ),
  make({ headDim: 40, valueDim: 24, queries: 40, keys: 48 }),
  make({ headDim: 64, valueDim: 128, queries: 33, keys: 48, dtype: "bf16" }),
  // Large logits: the softmax becomes one-hot, and nothing overflows.
  make({ scale: 300, magnitude: 3 }),
];

export const titleOf = (c: ConformanceCase): string =>
  `${c.dtype} B${c.batch} H${c.queryHeads}/${c.keyHeads} ${c.queries}x${c.keys} D${c.headDim}${c.valueDim === c.headDim ? "" : `/${c.valueDim}`}${c.causal ? " causal" : ""}${c.magnitude === 1 ? "" : ` x${c.magnitude}`}${c.scale === c.headDim ** -0.5 ? "" : ` scale ${c.scale}`}`;
