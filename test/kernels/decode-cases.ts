/**
 * @file The cases of the conformance test of split-KV attention: FlagAttention's grid scaled down (few queries, keys that nothing divides,
 * standard deviation 10), and what it does not try: groups of 6, rows that see no key of a split, splits without keys.
 */
import type { AttentionCase, FloatDType } from "../../src/kernels/index.ts";
import { completed, smallProblem } from "./case-defaults.ts";

export interface SplitCase extends AttentionCase {
  readonly dtype: FloatDType;
  readonly magnitude: number;
  readonly splits: number | undefined;
  /** PiecewiseAttention with this threshold; plain attention without. */
  readonly threshold?: number;
  readonly dropout?: number;
}

export const makeSplitCase = (change: Partial<SplitCase>): SplitCase =>
  completed({ ...smallProblem, queries: 1, keys: 150, headDim: 16, splits: 3, ...change });

const make = makeSplitCase;

export const splitCases: readonly SplitCase[] = [
  ...[1, 2, 3, 5, 8].map((splits) => make({ splits })),
  // FlagAttention's: M in {1, 2, 4}, standard deviation 10.
  ...[1, 2, 4].flatMap((queries) =>
    [61, 203].map((keys) => make({ queries, keys, magnitude: 10, dtype: "f16", causal: keys === 61, headDim: 32 })),
  ),
  ...[1, 2, 4].map((queries) => make({ queries, keys: 103, magnitude: 10, dtype: "bf16" })),
  // Groups: heads as rows of one tile, and M beyond that.
  ...[1, 2, 4].map((queries) => make({ queryHeads: 12, keyHeads: 2, queries, batch: 2, keys: 77 })),
  make({ queryHeads: 8, keyHeads: 1, keys: 100, dtype: "f16" }),
  make({ queryHeads: 6, keyHeads: 1, keys: 100, splits: 1 }),
  make({ queryHeads: 6, keyHeads: 1, keys: 100, splits: undefined }),
  make({ queryHeads: 6, keyHeads: 2, queries: 20, keys: 70 }),
  // More queries than the last split has keys, and than there are keys: rows that see nothing of a split, and nothing at all.
  make({ queries: 50, keys: 70, splits: 3 }),
  make({ queries: 77, keys: 50, splits: 2 }),
  make({ queryHeads: 6, keyHeads: 1, queries: 8, keys: 3, splits: 2 }),
  make({ queries: 77, keys: 50, splits: 2, causal: false }),
  // More splits than tiles, and one key.
  make({ keys: 40, splits: 8 }),
  make({ keys: 1, splits: 4 }),
  // Head dims, large logits.
  make({ headDim: 80, valueDim: 40, queryHeads: 6, keyHeads: 1, queries: 2, dtype: "f16" }),
  make({ headDim: 128, queryHeads: 1, keyHeads: 1, dtype: "bf16" }),
  make({ scale: 300, magnitude: 3 }),
  // PiecewiseAttention, the threshold in every split and beyond.
  ...[-10, 0, 1, 40, 64, 100, 1000].map((threshold) =>
    make({ threshold, queryHeads: 6, keyHeads: 1, queries: 2, keys: 133 }),
  ),
  make({ threshold: 50, queries: 20, keys: 133, causal: false }),
  make({ threshold: 20, queries: 50, keys: 70, magnitude: 10, dtype: "f16" }),
  make({ dropout: 0.5, queryHeads: 4, keyHeads: 2, queries: 3, keys: 70 }),
];

export const titleOf = (c: SplitCase): string =>
  [
    `${c.dtype} B${c.batch} H${c.queryHeads}/${c.keyHeads} ${c.queries}x${c.keys} D${c.headDim}`,
    c.valueDim === c.headDim ? "" : `/${c.valueDim}`,
    c.causal ? " causal" : "",
    ` splits ${c.splits ?? "by default"}`,
    c.threshold === undefined ? "" : ` threshold ${c.threshold}`,
    c.magnitude === 1 ? "" : ` x${c.magnitude}`,
    c.scale === c.headDim ** -0.5 ? "" : ` scale ${c.scale}`,
    c.dropout === undefined ? "" : ` dropout ${c.dropout}`,
  ].join("");
