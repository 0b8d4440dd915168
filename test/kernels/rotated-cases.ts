/**
 * @file Attention over raw queries and keys: its cases, its operands by formula, and its reference. Positions of queries and keys are those of a map
 * that is like no published one, so that no position can be mistaken for another.
 */
import {
  type Arithmetic,
  type AttentionCase,
  attend,
  attentionGradients,
  type FloatDType,
  type PositionMap,
  type RopeLayout,
} from "../../src/kernels/index.ts";
import { roundTo } from "../support/rounding.ts";
import { completed, smallProblem } from "./case-defaults.ts";

export interface RotatedCase extends AttentionCase {
  readonly dtype: FloatDType;
  /** PiecewiseAttention with this threshold; plain attention without. */
  readonly threshold?: number;
  /** d: channels that turn. */
  readonly turned: number;
  readonly layout: RopeLayout;
  /** Also a scale of each query's logits by its position. */
  readonly queryScale: boolean;
  readonly splits?: number;
}

export const makeRotated = (change: Partial<RotatedCase>): RotatedCase => {
  const c = completed({ ...smallProblem, headDim: 32, layout: "half" as const, queryScale: false, ...change });
  return { ...c, turned: c.turned ?? c.headDim };
};

const make = makeRotated;

export const rotatedCases: readonly RotatedCase[] = [
  make({ threshold: 20, queries: 100, keys: 130, queryHeads: 1, keyHeads: 1 }),
  make({}),
  // Every way in which spans of near and far keys meet a block; thresholds beyond both ends.
  ...[-1000, -5, 0, 1, 64, 1000].map((threshold) =>
    make({ threshold, queries: 70, keys: 100, queryHeads: 1, keyHeads: 1, headDim: 16 }),
  ),
  ...[-5, 33].map((threshold) => make({ threshold, queries: 70, keys: 77, causal: false, queryHeads: 1, keyHeads: 1 })),
  // Groups, batches, decoding: few queries share tiles; in splits.
  make({ threshold: 16, queryHeads: 6, keyHeads: 1, batch: 2, queries: 33, keys: 40 }),
  make({ threshold: 40, queryHeads: 6, keyHeads: 2, queries: 1, keys: 129, splits: 3 }),
  make({ threshold: 40, queryHeads: 4, keyHeads: 1, queries: 3, keys: 129, queryScale: true }),
  make({ queryHeads: 6, keyHeads: 1, queries: 2, keys: 70, splits: 2 }),
  // Dtypes, and head dims that no power of two divides.
  make({ threshold: 30, dtype: "f16", queries: 70, keys: 100, headDim: 64 }),
  make({ threshold: 30, dtype: "bf16", queries: 70, keys: 100, headDim: 64, queryScale: true }),
  make({ threshold: 10, headDim: 80, valueDim: 48, queries: 20, keys: 40, dtype: "f16" }),
  make({ threshold: 10, headDim: 128, queries: 20, keys: 24, dtype: "bf16" }),
  make({ headDim: 8, queries: 20, keys: 24 }),
  // Some channels do not turn; pairs that lie side by side.
  make({ threshold: 10, headDim: 32, turned: 16, queries: 20, keys: 40 }),
  make({ threshold: 10, headDim: 33, turned: 12, queries: 20, keys: 40 }),
  make({ threshold: 10, headDim: 32, layout: "interleaved", queries: 20, keys: 40 }),
  make({ headDim: 40, turned: 24, layout: "interleaved", queries: 20, keys: 40, dtype: "f16" }),
];

export const titleOf = (c: RotatedCase): string =>
  [
    `${c.dtype} B${c.batch} H${c.queryHeads}/${c.keyHeads} ${c.queries}x${c.keys} D${c.headDim}`,
    c.valueDim === c.headDim ? "" : `/${c.valueDim}`,
    c.turned === c.headDim ? "" : ` turned ${c.turned}`,
    c.layout === "half" ? "" : ` ${c.layout}`,
    c.causal ? " causal" : "",
    c.threshold === undefined ? "" : ` threshold ${c.threshold}`,
    c.queryScale ? " scaled queries" : "",
    c.splits === undefined ? "" : ` splits ${c.splits}`,
  ].join("");

/** A map with four different formulas. */
export const mapOf = ({ threshold, queryScale }: Pick<RotatedCase, "threshold" | "queryScale">): PositionMap => ({
  name: "own",
  threshold: Math.max(0, threshold ?? 0),
  nearQuery: (position) => position + 0.5,
  nearKey: (position) => position + 0.25,
  farQuery: (position) => position / 3 + 7,
  farKey: (position) => position / 3 - 2,
  ...(queryScale && { queryScale: (position: number) => 1 + position / 100 }),
});

type Positions = (position: number) => number;
/** By term: where queries and keys stand. Plain attention has them at their own positions. */
const positionsOf = (c: RotatedCase): { q: Positions; k: Positions }[] => {
  const { nearQuery, nearKey, farQuery, farKey } = mapOf(c);
  if (c.threshold === undefined) return [{ q: (i) => i, k: (j) => j }];
  return [
    { q: nearQuery!, k: nearKey! },
    { q: farQuery, k: farKey },
  ];
};

/** Rows [..., rows, D] turned by angle sign · position · 10000^(-2i/d), times a factor of the row. */
function turn(
  x: ArrayLike<number>,
  c: RotatedCase,
  rows: number,
  { position, sign = 1, factor }: { position: Positions; sign?: number; factor: (row: number) => number },
): Float64Array {
  const { headDim: D, turned, layout } = c;
  const half = turned / 2;
  return Float64Array.from(x, (value, at) => {
    const [channel, row] = [at % D, Math.floor(at / D) % rows];
    if (channel >= turned) return value;
    const [pair, isFirst, step] =
      layout === "half" ? [channel % half, channel < half, half] : [channel >> 1, channel % 2 === 0, 1];
    const angle = sign * position(row) * 10000 ** (-pair / half);
    const partner = x[at + (isFirst ? step : -step)]!;
    return factor(row) * (value * Math.cos(angle) + (isFirst ? -partner : partner) * Math.sin(angle));
  });
}

export interface RotatedInputs<T> {
  readonly q: T;
  readonly k: T;
  readonly v: T;
  readonly dout: T;
}

/** Output, normaliser, column sums and gradients by q, k and v, in f64 or as computed naively, every tensor rounded. */
export function rotatedReference(
  c: RotatedCase,
  { q, k, v, dout }: RotatedInputs<Float32Array>,
  arithmetic: Arithmetic,
): Record<string, Float64Array> {
  const { round } = arithmetic;
  const offset = c.keys - c.queries;
  const positions = positionsOf(c);
  const factor = (row: number) => (c.queryScale && c.threshold !== undefined ? 1 + (offset + row) / 100 : 1);
  const ofQuery = (term: number, sign = 1) => ({
    position: (row: number) => positions[term]!.q(offset + row),
    sign,
    factor,
  });
  const ofKey = (term: number, sign = 1) => ({ position: positions[term]!.k, sign, factor: () => 1 });
  const terms = positions.map((_, term) => ({
    q: turn(q, c, c.queries, ofQuery(term)).map(round),
    k: turn(k, c, c.keys, ofKey(term)).map(round),
  }));
  const { out, lse, total } = attend(c, { terms, v }, arithmetic);
  const gradients = attentionGradients(c, { terms, v }, dout, arithmetic);
  const back = (of: "dq" | "dk") => {
    const parts = gradients.terms.map((gradient, term) =>
      of === "dq" ? turn(gradient.dq, c, c.queries, ofQuery(term, -1)) : turn(gradient.dk, c, c.keys, ofKey(term, -1)),
    );
    return parts.map((part) => part.map(round)).reduce((a, b) => a.map((x, i) => round(x + b[i]!)));
  };
  return { out, lse, totalAttention: total, dq: back("dq"), dk: back("dk"), dv: gradients.dv };
}

/** A channel that does not turn is not scaled either, so a scale of queries needs that all turn. */
export const isSound = (c: RotatedCase): boolean => !c.queryScale || c.turned === c.headDim;

export const roundOf = (dtype: FloatDType) => (x: number) => roundTo(dtype, x);
