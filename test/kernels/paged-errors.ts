/**
 * @file The errors of attention over paged caches on a device, as shares of what the project allows, against f64 over each sequence's keys: the
 * one judge of its conformance test, of FlagAttention's grid and of the accuracy table. What must not be read is poisoned: NaN in every row that
 * belongs to no sequence, and page numbers far outside the cache beyond each context. It knows nothing of a test framework.
 */
import {
  type AttentionInputs,
  type AttentionResult,
  allowedError,
  attend,
  exactArithmetic,
  largestDifference,
  leakyReRope,
  naiveArithmetic,
  pagedAttention,
  pagedPiecewiseAttention,
  plainRope,
  ropeAngles,
  ropeFrequencies,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues, roundTo } from "../support/rounding.ts";
import { sizeOf } from "./attention-errors.ts";
import { cumulative, problemOf, slopesOf } from "./attention-variants-cases.ts";
import { denseAttention } from "./attention-variants-reference.ts";
import type { PagedCase } from "./paged-cases.ts";

/** Pages of the sequences, dealt out backwards so that none lies where its number says, with some left over. */
function dealPages({ contexts, pageSize }: PagedCase): { tables: number[][]; columns: number; blocks: number } {
  const counts = contexts.map((context) => Math.ceil(context / pageSize));
  const columns = Math.max(1, ...counts) + 1;
  const blocks = counts.reduce((a, b) => a + b, 2);
  let next = blocks - 2;
  const tables = counts.map((count) =>
    Array.from({ length: columns }, (_, i) => (i < count ? next-- : i % 2 === 0 ? 1_000_000_000 : -7)),
  );
  return { tables, columns, blocks };
}

/** A cache [blocks, Hk, page, D] with the rows of dense keys [Hk, context, D] in their pages and NaN elsewhere. */
function fillCache(
  device: Device,
  c: PagedCase,
  dim: number,
  dense: readonly Float32Array[],
  { tables, blocks }: ReturnType<typeof dealPages>,
): Tensor {
  const { keyHeads, pageSize, layout, dtype } = c;
  const data = new Float32Array(blocks * keyHeads * pageSize * dim).fill(Number.NaN);
  const [ofHead, ofKey] = layout === "heads first" ? [pageSize * dim, dim] : [dim, keyHeads * dim];
  for (const [b, rows] of dense.entries())
    for (let h = 0; h < keyHeads; h++)
      for (let n = 0; n < c.contexts[b]!; n++) {
        const page = tables[b]![Math.floor(n / pageSize)]!;
        const at = page * keyHeads * pageSize * dim + h * ofHead + (n % pageSize) * ofKey;
        const from = (h * c.contexts[b]! + n) * dim;
        data.set(rows.subarray(from, from + dim), at);
      }
  if (layout === "heads first") return device.tensor(data, { shape: [blocks, keyHeads, pageSize, dim], dtype });
  return device.tensor(data, { shape: [blocks, pageSize, keyHeads, dim], dtype }).permute([0, 2, 1, 3]);
}

/** Dense random rows [Hk, context, dim] of every sequence. */
const denseRows = (c: PagedCase, dim: number, seed: number): Float32Array[] =>
  c.contexts.map((context, b) => randomValues(c.dtype, c.keyHeads * context * dim, seed + 100 * b, c.magnitude));

/** How many queries each sequence has, and the shape of the queries up to their channels. */
function queriesOf({ queries, contexts, queryHeads }: PagedCase): { each: readonly number[]; rows: readonly number[] } {
  if (typeof queries !== "number")
    return { each: queries.slice(0, contexts.length), rows: [queries.reduce((a, b) => a + b, 0), queryHeads] };
  const rows = [contexts.length, queryHeads, ...(queries === 0 ? [] : [queries])];
  return { each: contexts.map(() => Math.max(queries, 1)), rows };
}

/** Of queries or results, as the operators take and give them, those of sequence b: [Hq, M, width]. */
function ofSequence(c: PagedCase, all: Float32Array, b: number, width: number): Float32Array {
  const { each } = queriesOf(c);
  const [count, first] = [each[b]!, each.slice(0, b).reduce((x, y) => x + y, 0)];
  if (typeof c.queries === "number")
    return all.subarray(first * c.queryHeads * width, (first + count) * c.queryHeads * width);
  return Float32Array.from({ length: c.queryHeads * count * width }, (_, i) => {
    const [h, m, e] = [Math.floor(i / (count * width)), Math.floor(i / width) % count, i % width];
    return all[((first + m) * c.queryHeads + h) * width + e]!;
  });
}

/** Bias and sinks as they are given to the operators. */
interface Given {
  readonly bias?: { readonly values: Float32Array; readonly shape: readonly number[] };
  readonly sinks?: Float32Array;
}

/** Of a bias [B or 1, Hq or 1, M or 1, keys] what sequence b has: [1, Hq or 1, M or 1, context]. */
function biasOfSequence({ contexts }: PagedCase, { values, shape }: NonNullable<Given["bias"]>, b: number) {
  const [batch, heads, queries, width] = shape as [number, number, number, number];
  const rows = heads * queries;
  const start = batch === 1 ? 0 : b * rows;
  const length = contexts[b]!;
  return Float32Array.from(
    { length: rows * length },
    (_, i) => values[(start + Math.floor(i / length)) * width + (i % length)]!,
  );
}

/** Output and normaliser of one sequence: exactly, and as computed naively in the dtype. */
function expectedOf(c: PagedCase, b: number, inputs: AttentionInputs, given: Given): readonly AttentionResult[] {
  const { dtype, queryHeads, keyHeads, headDim, valueDim, causal, scale, variant, threshold, magnitude } = c;
  const [queries, keys] = [queriesOf(c).each[b]!, c.contexts[b]!];
  const shape = { batch: 1, queryHeads, keyHeads, queries, keys, headDim, valueDim, causal, scale };
  const piecewise = threshold === undefined ? {} : { threshold };
  if (variant === undefined)
    return [exactArithmetic, naiveArithmetic(dtype)].map((arithmetic) =>
      attend({ ...shape, ...piecewise }, inputs, arithmetic),
    );
  const prefix = variant.prefix && { prefix: [variant.prefix[b]!] };
  const problem = problemOf(
    { ...shape, ...piecewise, ...variant, dtype, magnitude, ...prefix },
    {
      ...(given.bias && { bias: biasOfSequence(c, given.bias, b) }),
      ...(given.sinks && { sinks: given.sinks }),
    },
  );
  const dout = new Float32Array(queryHeads * queries * valueDim);
  return [(x: number) => x, (x: number) => roundTo(dtype, x)].map((round) => {
    const { out, lse } = denseAttention(problem, { ...inputs, dout }, round);
    return { out: out!, lse: lse! };
  });
}

/** The largest errors over all sequences as shares of what is allowed, from results in the shape of the queries. */
function sharesOf(
  c: PagedCase,
  inputs: (b: number) => AttentionInputs,
  given: Given,
  result: { readonly out: Float32Array; readonly lse: Float32Array },
): { out: number; lse: number } {
  const shares = { out: 0, lse: 0 };
  for (const b of c.contexts.keys()) {
    const [expected, naive] = expectedOf(c, b, inputs(b), given) as [AttentionResult, AttentionResult];
    for (const [name, width] of [
      ["out", c.valueDim],
      ["lse", 1],
    ] as const) {
      const difference = largestDifference(ofSequence(c, result[name], b, width), expected[name]);
      shares[name] = Math.max(shares[name], difference / allowedError(naive[name], expected[name]));
    }
  }
  return shares;
}

/** Rows [heads, count, D] turned by RoPE (half-split, base 10000), where row n stands at `position(n)`; rounded once. */
function turned(c: PagedCase, rows: Float32Array, count: number, position: (n: number) => number): Float32Array {
  const [D, half] = [c.headDim, c.headDim / 2];
  return rows.map((x, i) => {
    const [d, n] = [i % D, Math.floor(i / D) % count];
    const angle = position(n) * 10000 ** (-(d % half) / half);
    const partner = d < half ? -rows[i + half]! : rows[i - half]!;
    return roundTo(c.dtype, x * Math.cos(angle) + partner * Math.sin(angle));
  });
}

/** Of raw queries and keys: near ones at their own positions, far ones four times as close. */
const [window, factor] = [8, 4];
export const pagedPositionMap = leakyReRope({ window, factor });
const positions = {
  queries: [(i: number) => i, (i: number) => (i + window * (factor - 1)) / factor],
  keys: [(j: number) => j, (j: number) => j / factor],
};

/** The arguments by which the operators take a case's variant. */
function variantArguments(device: Device, c: PagedCase, given: Given) {
  const { variant = {}, queryHeads: Hq, queries, contexts } = c;
  const integers = (values: readonly number[]) =>
    device.tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });
  const { alibi, bias, prefix, sinks, ...rest } = variant;
  return {
    ...rest,
    ...(prefix && { prefixLengths: integers(prefix) }),
    ...(alibi && { alibiSlopes: device.tensor(slopesOf(Hq), { shape: [Hq], dtype: "f32" }) }),
    ...(bias && { bias: device.tensor(given.bias!.values, { shape: given.bias!.shape, dtype: "f32" }) }),
    ...(sinks && { sinks: device.tensor(given.sinks!, { shape: [Hq], dtype: "f32" }) }),
    ...(typeof queries !== "number" && {
      cumulativeLengths: { queries: integers(cumulative(queries.slice(0, contexts.length))) },
    }),
  };
}

/** Runs one case. The largest errors as shares of what is allowed: at most 1 is right. */
export async function pagedErrorShares(device: Device, c: PagedCase): Promise<{ out: number; lse: number }> {
  const batch = c.contexts.length;
  const { each, rows } = queriesOf(c);
  const queryShape = [...rows, c.headDim];
  const q = [1, 2].map((seed) => randomValues(c.dtype, sizeOf(queryShape), seed, c.magnitude)) as [
    Float32Array,
    Float32Array,
  ];
  const [q1, q2] = q.map((values) => device.tensor(values, { shape: queryShape, dtype: c.dtype })) as [Tensor, Tensor];
  const pages = dealPages(c);
  const rawKeys = denseRows(c, c.headDim, 3);
  const { threshold, variant } = c;
  const [map, terms] = threshold === undefined ? [{}, 1] : [{ map: pagedPositionMap }, 2];
  const keys = c.raw ? [rawKeys] : [rawKeys, denseRows(c, c.headDim, 4)];
  const v = denseRows(c, c.valueDim, 5);
  const caches = keys.map((rows) => fillCache(device, c, c.headDim, rows, pages));
  const length = pages.columns * c.pageSize;
  const frequencies = ropeFrequencies(plainRope(10000), { headDim: c.headDim });
  using rope = ropeAngles(device, { frequencies, length, ...map });
  const biasShape = variant?.bias && [
    ...[batch, c.queryHeads, each[0]!].map((size, i) => (variant.bias![i] ? size : 1)),
    length,
  ];
  const given: Given = {
    ...(biasShape && { bias: { shape: biasShape, values: randomValues("f32", sizeOf(biasShape), 7) } }),
    ...(variant?.sinks && { sinks: randomValues("f32", c.queryHeads, 8, 2) }),
  };
  const common = {
    valueCache: fillCache(device, c, c.valueDim, v, pages),
    contextLengths: device.tensor(Int32Array.from(c.contexts), { shape: [batch], dtype: "i32" }),
    blockTables: device.tensor(Int32Array.from(pages.tables.flat()), { shape: [batch, pages.columns], dtype: "i32" }),
    ...variantArguments(device, c, given),
    scale: c.scale,
    causal: c.causal,
    splits: c.splits,
    returnLse: true,
  };
  const one = { q: q1, keyCache: caches[0]!, ...common };
  const { out, lse } =
    threshold === undefined
      ? pagedAttention({ ...one, ...(c.raw && { rope }) })
      : c.raw
        ? pagedPiecewiseAttention({ ...one, rope, threshold })
        : pagedPiecewiseAttention({ q1, q2, keyCache1: caches[0]!, keyCache2: caches[1]!, threshold, ...common });
  if (`${out.shape}; ${lse!.shape}` !== `${[...rows, c.valueDim]}; ${rows}`)
    throw new Error(`out is [${out.shape}], lse [${lse!.shape}], for queries [${queryShape}]`);
  const result = { out: (await out.read()) as Float32Array, lse: (await lse!.read()) as Float32Array };
  const { valueCache, contextLengths, blockTables } = common;
  for (const tensor of [q1, q2, ...caches, valueCache, contextLengths, blockTables, out, lse!]) tensor.dispose();

  const inputs = (b: number): AttentionInputs => ({
    terms: Array.from({ length: terms }, (_, term) => {
      const [context, count] = [c.contexts[b]!, each[b]!];
      const own = ofSequence(c, q[c.raw ? 0 : term]!, b, c.headDim);
      if (!c.raw) return { q: own, k: keys[term]![b]! };
      const [ofQuery, ofKey] = [positions.queries[term]!, positions.keys[term]!];
      return {
        q: turned(c, own, count, (m) => ofQuery(context - count + m)),
        k: turned(c, rawKeys[b]!, context, ofKey),
      };
    }),
    v: v[b]!,
  });
  return sharesOf(c, inputs, given, result);
}
