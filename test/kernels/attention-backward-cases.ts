/**
 * @file The cases of the conformance test of attention's gradients, plain and piecewise: written once, run on every back end.
 */
import type { AttentionCase, FloatDType } from "../../src/kernels/index.ts";
import { completed, smallProblem } from "./case-defaults.ts";

export interface GradientCase extends AttentionCase {
  readonly dtype: FloatDType;
  /** Standard deviation of the inputs. */
  readonly magnitude: number;
  /** PiecewiseAttention with this threshold; plain attention without. */
  readonly threshold?: number;
  /** Probability of dropout. */
  readonly dropout?: number;
}

export const make = (change: Partial<GradientCase>): GradientCase =>
  completed({ ...smallProblem, headDim: 16, ...change });

/** Attention without its variants, in shapes that are small enough for an interpreter. */
export const gradientCases: readonly GradientCase[] = [
  make({ queries: 100, keys: 100 }),
  make({ queries: 100, keys: 100, causal: false }),
  // Lengths that no block size divides, shorter and longer queries than keys; rows that see no key (M > N).
  make({ queries: 50, keys: 77 }),
  make({ queries: 50, keys: 77, causal: false }),
  make({ queries: 77, keys: 50 }),
  make({ queries: 77, keys: 50, causal: false }),
  make({ queries: 1, keys: 129 }),
  make({ queries: 129, keys: 1 }),
  // Groups: Aquila2-34B's 6, one key head for all, and more than one batch.
  make({ queryHeads: 6, keyHeads: 1, batch: 2, queries: 33, keys: 40 }),
  make({ queryHeads: 12, keyHeads: 2, queries: 20, keys: 20 }),
  // Dtypes and magnitudes.
  make({ dtype: "f16", queries: 70, keys: 100 }),
  make({ dtype: "bf16", queries: 70, keys: 100 }),
  make({ dtype: "f16", magnitude: 4, queries: 33, keys: 40 }),
  ...[2, 3].map((magnitude) => make({ dtype: "bf16", magnitude, causal: false, queries: 33, keys: 40 })),
  // Head dims.
  ...[80, 96, 128, 256].map((headDim) =>
    make({ headDim, queries: 20, keys: 24, queryHeads: 1, keyHeads: 1, dtype: headDim === 80 ? "f32" : "f16" }),
  ),
  make({ headDim: 40, valueDim: 24, queries: 20, keys: 24 }),
  make({ headDim: 24, valueDim: 48, queries: 20, keys: 24, dtype: "bf16" }),
  // Dropout.
  make({ dropout: 0.5, queries: 33, keys: 40, batch: 2, queryHeads: 6, keyHeads: 2 }),
  make({ dropout: 0.8, queries: 70, keys: 66, dtype: "f16", causal: false }),
  // Queries of few keys, among more that see none: FlagAttention's 10006 x 10, shorter. And many.
  make({ dtype: "f16", magnitude: 3, queries: 60, keys: 6, headDim: 128 }),
  make({ dtype: "f16", magnitude: 3, queries: 334, keys: 10, headDim: 128, queryHeads: 1, keyHeads: 1 }),
  make({ dtype: "f16", magnitude: 2, queries: 300, keys: 300, headDim: 64, queryHeads: 1, keyHeads: 1 }),
];

/** PiecewiseAttention. */
export const piecewiseCases: readonly GradientCase[] = [
  // A threshold of every kind: beyond both ends, negative, 0, in the first and last tiles, and where far, near and hidden share a tile.
  ...[-1000, -70, -5, 0, 1, 20, 64, 90, 1000].map((threshold) =>
    make({ threshold, queries: 130, keys: 150, queryHeads: 1, keyHeads: 1 }),
  ),
  ...[-1000, -40, 0, 33, 1000].map((threshold) =>
    make({ threshold, queries: 100, keys: 77, causal: false, queryHeads: 1, keyHeads: 1 }),
  ),
  make({ threshold: 20, queries: 150, keys: 70 }),
  make({ threshold: -(2 ** 31), queries: 20, keys: 24 }),
  make({ threshold: 2 ** 31 - 1, queries: 20, keys: 24 }),
  make({ threshold: 16, queryHeads: 6, keyHeads: 1, batch: 2, queries: 33, keys: 40 }),
  ...[1, 2, 3, 4].map((magnitude) =>
    make({ threshold: 30, dtype: magnitude % 2 === 0 ? "f16" : "bf16", magnitude, queries: 70, keys: 100 }),
  ),
  make({ threshold: 10, headDim: 80, valueDim: 96, queries: 20, keys: 40, dtype: "f16" }),
  make({ threshold: 10, headDim: 128, queries: 20, keys: 24, dtype: "bf16" }),
  make({ threshold: 16, dropout: 0.5, queries: 33, keys: 40, queryHeads: 4, keyHeads: 2 }),
  make({ threshold: 2, dropout: 0.3, dtype: "f16", magnitude: 3, queries: 60, keys: 6 }),
];

export const titleOf = (c: GradientCase): string =>
  [
    `${c.dtype} B${c.batch} H${c.queryHeads}/${c.keyHeads} ${c.queries}x${c.keys} D${c.headDim}`,
    c.valueDim === c.headDim ? "" : `/${c.valueDim}`,
    c.causal ? " causal" : "",
    c.threshold === undefined ? "" : ` threshold ${c.threshold}`,
    c.magnitude === 1 ? "" : ` x${c.magnitude}`,
    c.scale === c.headDim ** -0.5 ? "" : ` scale ${c.scale}`,
    c.dropout === undefined ? "" : ` dropout ${c.dropout}`,
  ].join("");
