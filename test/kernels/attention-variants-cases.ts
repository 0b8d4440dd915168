/**
 * @file Cases of the conformance test of attention's variants, and what each variant means, element by element: by the definitions in docs/variants.md, with no
 * regard to how kernels go about it.
 */
import fc from "fast-check";
import type { AttentionCase, FloatDType } from "../../src/kernels/index.ts";
import { normalNumbers } from "../support/rounding.ts";
import type { DenseProblem } from "./attention-variants-reference.ts";
import { completed, smallProblem } from "./case-defaults.ts";

export interface VariantCase extends AttentionCase {
  readonly dtype: FloatDType;
  /** Standard deviation of the inputs. */
  readonly magnitude: number;
  /** PiecewiseAttention with this threshold; plain attention without. */
  readonly threshold?: number;
  readonly dropout?: number;
  readonly window?: readonly [number, number];
  readonly sinkTokens?: number;
  readonly prefix?: readonly number[];
  readonly softcap?: number;
  readonly alibi?: boolean;
  /** Which of the axes B, Hq and M it has. */
  readonly bias?: readonly [boolean, boolean, boolean];
  readonly biasDtype?: FloatDType;
  readonly sinks?: boolean;
  readonly sinksDtype?: FloatDType;
  readonly keyLengths?: readonly number[];
  /** Lengths of packed documents; queries and keys may have rows left over. */
  readonly documents?: { readonly queries: readonly number[]; readonly keys: readonly number[] };
  readonly splits?: number;
}

export const make = (change: Partial<VariantCase>): VariantCase =>
  completed({ ...smallProblem, keyHeads: 1, queries: 70, keys: 90, headDim: 16, ...change });

export function cumulative(lengths: readonly number[]): number[] {
  const starts = [0];
  for (const length of lengths) starts.push(starts.at(-1)! + length);
  return starts;
}

const documentOf = (starts: readonly number[], row: number): number => starts.findLastIndex((start) => start <= row);

export const biasShape = (c: VariantCase): number[] =>
  [c.batch, c.queryHeads, c.queries].map((size, i) => (c.bias![i] ? size : 1)).concat(c.keys);

/** The slopes of ALiBi for any number of heads: different ones are all that matters here. */
export const slopesOf = (heads: number): Float32Array => Float32Array.from({ length: heads }, (_, h) => 0.3 / (h + 1));

/** The rules of a case. `bias` and `sinks` as they are given to the operators. */
export function problemOf(
  c: VariantCase,
  given: { readonly bias?: Float32Array; readonly sinks?: Float32Array; readonly dropout?: DenseProblem["dropout"] },
): DenseProblem {
  const { window: [left, right] = [-1, -1], sinkTokens = 0, causal, prefix, threshold } = c;
  const starts = c.documents && { queries: cumulative(c.documents.queries), keys: cumulative(c.documents.keys) };
  /** An element as its own sequence sees it. */
  const within = (b: number, m: number, n: number) => {
    if (!starts) return { sequence: b, m, n, M: c.queries, N: c.keyLengths?.[b] ?? c.keys };
    const [ofQuery, ofKey] = [documentOf(starts.queries, m), documentOf(starts.keys, n)];
    if (ofQuery !== ofKey || ofQuery >= c.documents!.queries.length) return undefined;
    return {
      sequence: ofQuery,
      m: m - starts.queries[ofQuery]!,
      n: n - starts.keys[ofQuery]!,
      M: c.documents!.queries[ofQuery]!,
      N: c.documents!.keys[ofQuery]!,
    };
  };
  const distance = ({ m, n, M, N }: NonNullable<ReturnType<typeof within>>) => N - M + m - n;
  const slopes = slopesOf(c.queryHeads);
  const { bias: _, sinks: __, ...shape } = c;
  return {
    ...shape,
    dropout: given.dropout,
    term(b, _, m, n) {
      const place = within(b, m, n);
      if (!place || place.n >= place.N) return undefined;
      const d = distance(place);
      const notLater = !causal || d >= 0 || (prefix !== undefined && place.n < prefix[place.sequence]!);
      const inWindow = (right === -1 || d >= -right) && (left === -1 || d <= left || place.n < sinkTokens);
      if (!notLater || !inWindow) return undefined;
      return threshold !== undefined && d >= threshold ? 1 : 0;
    },
    logit(scaled, b, h, m, n) {
      const cap = c.softcap;
      const tanh = cap === undefined ? 0 : Math.tanh(scaled / cap);
      const [capped, slope] = cap === undefined ? [scaled, 1] : [cap * tanh, 1 - tanh * tanh];
      return [c.alibi ? capped - slopes[h]! * Math.abs(distance(within(b, m, n)!)) : capped, slope];
    },
    ...(given.bias && { bias: { values: given.bias, shape: biasShape(c) } }),
    ...(given.sinks && { sinks: given.sinks }),
  };
}

export const variantCases: readonly VariantCase[] = [
  // Windows: smaller and larger than tiles, two-sided, unbounded on a side, beyond the sequence, empty (a right bound behind the query is not expressible).
  make({ window: [0, 0] }),
  make({ window: [20, 0], queries: 150, keys: 150 }),
  make({ window: [70, 5], causal: false, queries: 150, keys: 130 }),
  make({ window: [-1, 10], causal: false }),
  make({ window: [10, -1], causal: false }),
  make({ window: [1000, 1000], causal: false }),
  make({ window: [30, 3], queries: 90, keys: 50 }),
  make({ window: [16, 0], dtype: "bf16", queryHeads: 6, batch: 2, keyHeads: 2 }),
  // Windows with sink tokens: within a tile, more than a tile, overlapping the window, more than there are.
  make({ window: [20, 0], sinkTokens: 4, queries: 150, keys: 150 }),
  make({ window: [20, 0], sinkTokens: 70, queries: 150, keys: 200 }),
  make({ window: [40, 8], sinkTokens: 1000, causal: false }),
  make({ window: [5, 0], sinkTokens: 3, queries: 90, keys: 50, dtype: "f16" }),
  // Prefixes, with and without a window.
  make({ prefix: [40, 7, 0, 200], batch: 4, queries: 70, keys: 70 }),
  make({ prefix: [30], queries: 90, keys: 50 }),
  make({ prefix: [60], window: [10, 12], sinkTokens: 5, queries: 80, keys: 80 }),
  // Functions of logits.
  make({ softcap: 5, magnitude: 2 }),
  make({ softcap: 30, dtype: "f16", magnitude: 3, scale: 1, queries: 40, keys: 40, queryHeads: 6, keyHeads: 2 }),
  make({ alibi: true, queryHeads: 4, keyHeads: 2 }),
  make({ alibi: true, causal: false, queries: 90, keys: 50, dtype: "bf16" }),
  make({ bias: [true, true, true], batch: 2 }),
  make({ bias: [false, true, true], batch: 3, queryHeads: 4, keyHeads: 2, queries: 40, keys: 45 }),
  make({ bias: [true, false, false], batch: 2, causal: false, biasDtype: "f16" }),
  make({ bias: [false, false, true], batch: 2, dtype: "f16", biasDtype: "f16", queries: 33, keys: 70 }),
  make({ bias: [false, false, false], dtype: "bf16", biasDtype: "f32", queries: 90, keys: 50 }),
  make({ softcap: 4, alibi: true, bias: [false, true, true], window: [25, 0] }),
  // Sinks.
  make({ sinks: true, queryHeads: 6, keyHeads: 2, batch: 2, queries: 33, keys: 40 }),
  make({ sinks: true, queries: 90, keys: 50 }),
  make({ sinks: true, dtype: "bf16", sinksDtype: "bf16", window: [20, 0] }),
  // Padding.
  make({ keyLengths: [90, 17, 0, 64], batch: 4, queries: 40 }),
  make({ keyLengths: [5, 33], batch: 2, queries: 40, keys: 50, causal: false, dtype: "f16" }),
  make({
    keyLengths: [50, 33],
    batch: 2,
    window: [9, 0],
    sinkTokens: 2,
    alibi: true,
    sinks: true,
    bias: [true, true, true],
  }),
  // Packed documents: of all lengths, none among them, rows left over, queries and keys of different lengths.
  make({ documents: { queries: [30, 1, 0, 70, 9], keys: [30, 1, 0, 70, 9] }, queries: 110, keys: 110 }),
  make({ documents: { queries: [30, 1, 0, 70, 9], keys: [10, 20, 5, 0, 80] }, queries: 115, keys: 120, causal: false }),
  make({
    documents: { queries: [30, 5, 0], keys: [50, 3, 7] },
    queries: 40,
    keys: 60,
    dtype: "f16",
    queryHeads: 6,
    keyHeads: 2,
  }),
  make({
    documents: { queries: [64, 64], keys: [64, 64] },
    queries: 128,
    keys: 128,
    window: [20, 0],
    sinkTokens: 3,
    prefix: [10, 0],
  }),
  make({
    documents: { queries: [20, 40], keys: [33, 47] },
    queries: 60,
    keys: 80,
    alibi: true,
    sinks: true,
    softcap: 6,
    dropout: 0.3,
  }),
  make({ documents: { queries: [], keys: [] }, queries: 5, keys: 7 }),
  // With dropout, groups, PiecewiseAttention.
  make({ dropout: 0.4, keyLengths: [40, 90], batch: 2, window: [30, 0], bias: [false, true, true], sinks: true }),
  make({ threshold: 10, window: [30, 0], sinkTokens: 5, softcap: 8, queries: 80, keys: 80 }),
  make({ threshold: 12, prefix: [20], alibi: true, sinks: true, queries: 60, keys: 70 }),
  make({ threshold: 8, documents: { queries: [40, 30], keys: [40, 60] }, queries: 70, keys: 100, dropout: 0.2 }),
  make({
    threshold: 5,
    bias: [false, true, true],
    keyLengths: [50, 20],
    batch: 2,
    queries: 40,
    keys: 60,
    dtype: "f16",
  }),
];

/** Decoding: few queries, keys in parts. */
export const decodeCases: readonly VariantCase[] = [
  make({ queries: 1, keys: 150, queryHeads: 8, window: [40, 0], sinkTokens: 4, sinks: true, splits: 3 }),
  make({ queries: 2, keys: 150, queryHeads: 12, keyHeads: 2, alibi: true, softcap: 9, splits: 4, dtype: "f16" }),
  make({ queries: 1, keys: 100, queryHeads: 6, alibi: true, sinks: true, splits: 1 }),
  make({ queries: 3, keys: 80, queryHeads: 4, bias: [false, true, true], splits: 2 }),
  make({ queries: 2, keys: 130, batch: 3, queryHeads: 6, keyLengths: [130, 40, 0], sinks: true, splits: 3 }),
  make({ queries: 1, keys: 0, queryHeads: 4, sinks: true, splits: 3 }),
  make({ queries: 5, keys: 90, queryHeads: 6, prefix: [30], threshold: 10, splits: 2 }),
  make({
    documents: { queries: [1, 2, 0, 1], keys: [70, 40, 5, 0] },
    queries: 4,
    keys: 115,
    queryHeads: 6,
    splits: 3,
    sinks: true,
  }),
];

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 1 });
const length = fc.integer({ min: 0, max: 50 });

/** Random combinations on random shapes, in f32: of a few elements in 16 bits the naive computation may be right by luck, and the rule asks for twice that. */
export const randomCases: fc.Arbitrary<VariantCase> = fc
  .record({
    keyHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 3 }),
    headDim: fc.integer({ min: 1, max: 20 }),
    valueDim: fc.integer({ min: 1, max: 20 }),
    causal: fc.boolean(),
    threshold: maybe(fc.integer({ min: -40, max: 60 })),
    dropout: fc.option(fc.constantFrom(0.1, 0.5), { nil: undefined, freq: 3 }),
    window: maybe(fc.tuple(fc.integer({ min: -1, max: 60 }), fc.integer({ min: -1, max: 60 }))),
    sinkTokens: fc.integer({ min: 0, max: 40 }),
    softcap: maybe(fc.constantFrom(3, 10)),
    alibi: fc.boolean(),
    sinks: fc.boolean(),
    prefix: maybe(fc.array(length, { minLength: 4, maxLength: 4 })),
    packed: fc.boolean(),
    documents: fc.array(fc.tuple(length, length), { maxLength: 4 }),
    rest: fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 9 })),
    batch: fc.integer({ min: 1, max: 2 }),
    lengths: maybe(fc.array(length, { minLength: 2, maxLength: 2 })),
    size: fc.tuple(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 80 })),
    bias: maybe(fc.tuple(fc.boolean(), fc.boolean(), fc.boolean())),
  })
  .map(({ group, packed, documents, rest, lengths, size, prefix, bias, sinkTokens, window, batch, causal, ...c }) => {
    const bounded = window !== undefined && window[0] !== -1;
    const shared = {
      ...c,
      causal,
      window,
      sinkTokens: bounded ? sinkTokens : 0,
      queryHeads: c.keyHeads * group,
      ...(causal && prefix && { prefix }),
    };
    if (packed) {
      const [queries, keys] = [0, 1].map((i) => documents.map((pair) => pair[i]!)) as [number[], number[]];
      const total = (of: readonly number[]) => of.reduce((a, b) => a + b, 0);
      return make({
        ...shared,
        ...(shared.prefix && { prefix: shared.prefix.slice(0, documents.length) }),
        documents: { queries, keys },
        queries: total(queries) + rest[0],
        keys: total(keys) + rest[1],
      });
    }
    const [queries, keys] = size;
    return make({
      ...shared,
      ...(shared.prefix && { prefix: shared.prefix.slice(0, batch) }),
      batch,
      queries,
      keys,
      ...(bias && { bias }),
      ...(lengths && { keyLengths: lengths.slice(0, batch).map((n) => Math.min(n, keys)) }),
    });
  });

export const titleOf = (c: VariantCase): string =>
  [
    `${c.dtype} B${c.batch} H${c.queryHeads}/${c.keyHeads} ${c.queries}x${c.keys} D${c.headDim}`,
    c.causal ? "causal" : "",
    ...(
      [
        "threshold",
        "window",
        "sinkTokens",
        "prefix",
        "softcap",
        "alibi",
        "sinks",
        "keyLengths",
        "dropout",
        "splits",
      ] as const
    ).map((name) => (c[name] === undefined ? "" : `${name} ${c[name]}`)),
    c.bias ? `bias ${c.bias.map((has, i) => (has ? "BHM"[i] : "1")).join("")} ${c.biasDtype ?? c.dtype}` : "",
    c.documents ? `documents ${c.documents.queries}/${c.documents.keys}` : "",
  ]
    .filter(Boolean)
    .join(" ");

/** Random numbers of one seed. */
export const normals = (count: number, seed: number): Float32Array => {
  const next = normalNumbers(seed);
  return Float32Array.from({ length: count }, next);
};
