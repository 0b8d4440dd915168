/**
 * @file The errors of attention over paged caches on a device, as shares of what the project allows, against f64 over each sequence's keys: the
 * one judge of its conformance test, of FlagAttention's grid and of the accuracy table. What must not be read is poisoned: NaN in every row that
 * belongs to no sequence, and page numbers far outside the cache beyond each context. It knows nothing of a test framework.
 */
import {
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

/** The largest errors over all sequences as shares of what is allowed, from results [B, Hq, M, E] and [B, Hq, M]. */
function sharesOf(
  c: PagedCase,
  terms: readonly { readonly q: Float32Array; readonly k: readonly Float32Array[] }[],
  v: readonly Float32Array[],
  result: { readonly out: Float32Array; readonly lse: Float32Array },
): { out: number; lse: number } {
  const queries = Math.max(c.queries, 1);
  const shares = { out: 0, lse: 0 };
  for (const [b, keys] of c.contexts.entries()) {
    const shape = { ...c, batch: 1, queries, keys, causal: c.causal };
    const part = (all: Float32Array, width: number) =>
      all.subarray(b * c.queryHeads * queries * width, (b + 1) * c.queryHeads * queries * width);
    const inputs = { terms: terms.map(({ q, k }) => ({ q: part(q, c.headDim), k: k[b]! })), v: v[b]! };
    const [expected, naive] = [exactArithmetic, naiveArithmetic(c.dtype)].map((arithmetic) =>
      attend(shape, inputs, arithmetic),
    ) as [ReturnType<typeof attend>, ReturnType<typeof attend>];
    for (const [name, width] of [
      ["out", c.valueDim],
      ["lse", 1],
    ] as const) {
      const share =
        largestDifference(part(result[name], width), expected[name]) / allowedError(naive[name], expected[name]);
      shares[name] = Math.max(shares[name], share);
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

/** Queries [B, Hq, M, D], those of each sequence at the end of its context. */
function turnedQueries(c: PagedCase, queries: Float32Array, position: (n: number) => number): Float32Array {
  const count = Math.max(c.queries, 1);
  const size = c.queryHeads * count * c.headDim;
  const result = new Float32Array(queries.length);
  for (const [b, context] of c.contexts.entries())
    result.set(
      turned(c, queries.subarray(b * size, (b + 1) * size), count, (m) => position(context - count + m)),
      b * size,
    );
  return result;
}

/** Runs one case. The largest errors as shares of what is allowed: at most 1 is right. */
export async function pagedErrorShares(device: Device, c: PagedCase): Promise<{ out: number; lse: number }> {
  const batch = c.contexts.length;
  const queryShape = [batch, c.queryHeads, ...(c.queries === 0 ? [] : [c.queries]), c.headDim];
  const q = [1, 2].map((seed) => randomValues(c.dtype, sizeOf(queryShape), seed, c.magnitude));
  const [q1, q2] = q.map((values) => device.tensor(values, { shape: queryShape, dtype: c.dtype })) as [Tensor, Tensor];
  const pages = dealPages(c);
  const rawKeys = denseRows(c, c.headDim, 3);
  const { threshold } = c;
  const [map, terms] = threshold === undefined ? [{}, 1] : [{ map: pagedPositionMap }, 2];
  const k = c.raw
    ? positions.keys
        .slice(0, terms)
        .map((position) => rawKeys.map((keys, b) => turned(c, keys, c.contexts[b]!, position)))
    : [rawKeys, denseRows(c, c.headDim, 4)];
  const seenQueries = c.raw ? positions.queries.map((position) => turnedQueries(c, q[0]!, position)) : q;
  const v = denseRows(c, c.valueDim, 5);
  const caches = (c.raw ? [rawKeys] : k).map((rows) => fillCache(device, c, c.headDim, rows, pages));
  const length = pages.columns * c.pageSize;
  const frequencies = ropeFrequencies(plainRope(10000), { headDim: c.headDim });
  using rope = ropeAngles(device, { frequencies, length, ...map });
  const common = {
    valueCache: fillCache(device, c, c.valueDim, v, pages),
    contextLengths: device.tensor(Int32Array.from(c.contexts), { shape: [batch], dtype: "i32" }),
    blockTables: device.tensor(Int32Array.from(pages.tables.flat()), { shape: [batch, pages.columns], dtype: "i32" }),
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
  const rows = queryShape.slice(0, -1);
  if (`${out.shape}; ${lse!.shape}` !== `${[...rows, c.valueDim]}; ${rows}`)
    throw new Error(`out is [${out.shape}], lse [${lse!.shape}], for queries [${queryShape}]`);
  const result = { out: (await out.read()) as Float32Array, lse: (await lse!.read()) as Float32Array };
  const { valueCache, contextLengths, blockTables } = common;
  for (const tensor of [q1, q2, ...caches, valueCache, contextLengths, blockTables, out, lse!]) tensor.dispose();
  const operands = k.map((keys, i) => ({ q: seenQueries[i]!, k: keys }));
  return sharesOf(c, operands, v, result);
}
