/**
 * @file The conformance test of attention over paged caches: written once, instantiated for every back end. Against f64 over each sequence's
 * keys, under the project's rule that an error is at most twice that of the naive computation in the same dtype, plus 1e-5. What must not be
 * read is poisoned: NaN in every row that belongs to no sequence, and page numbers far outside the cache beyond each context.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  allowedError,
  attend,
  exactArithmetic,
  keyAngles,
  largestDifference,
  leakyReRope,
  naiveArithmetic,
  pagedAttention,
  pagedPiecewiseAttention,
  plainRope,
  ropeFrequencies,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues, roundTo } from "../support/rounding.ts";
import { makePagedCase, type PagedCase, pagedCases, titleOf } from "./paged-cases.ts";

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** Pages of the sequences, dealt out backwards so that none lies where its number says, with some left over. */
export function dealPages({ contexts, pageSize }: PagedCase): { tables: number[][]; columns: number; blocks: number } {
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
export function fillCache(
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
export function pagedShares(
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

/** Keys [Hk, context, D] turned by RoPE (half-split, base 10000), where key n stands at `position(n)`; rounded once. */
function turned(c: PagedCase, keys: Float32Array, context: number, position: (n: number) => number): Float32Array {
  const [D, half] = [c.headDim, c.headDim / 2];
  return keys.map((x, i) => {
    const [d, n] = [i % D, Math.floor(i / D) % context];
    const angle = position(n) * 10000 ** (-(d % half) / half);
    const partner = d < half ? -keys[i + half]! : keys[i - half]!;
    return roundTo(c.dtype, x * Math.cos(angle) + partner * Math.sin(angle));
  });
}

/** Near keys at their own positions, far ones four times as close. */
const map = leakyReRope({ window: 8, factor: 4 });

/** Runs one case. */
async function errorShares(device: Device, c: PagedCase): Promise<{ out: number; lse: number }> {
  const batch = c.contexts.length;
  const queryShape = [batch, c.queryHeads, ...(c.queries === 0 ? [] : [c.queries]), c.headDim];
  const q = [1, 2].map((seed) => randomValues(c.dtype, sizeOf(queryShape), seed, c.magnitude));
  const [q1, q2] = q.map((values) => device.tensor(values, { shape: queryShape, dtype: c.dtype })) as [Tensor, Tensor];
  const pages = dealPages(c);
  const rawKeys = denseRows(c, c.headDim, 3);
  const k = c.raw
    ? [(n: number) => n, (n: number) => n / 4].map((position) =>
        rawKeys.map((keys, b) => turned(c, keys, c.contexts[b]!, position)),
      )
    : [rawKeys, denseRows(c, c.headDim, 4)];
  const v = denseRows(c, c.valueDim, 5);
  const caches = (c.raw ? [rawKeys] : k).map((rows) => fillCache(device, c, c.headDim, rows, pages));
  const length = pages.columns * c.pageSize;
  const frequencies = ropeFrequencies(plainRope(10000), { headDim: c.headDim });
  const angles = keyAngles(device, { map, frequencies, length });
  const common = {
    valueCache: fillCache(device, c, c.valueDim, v, pages),
    contextLengths: device.tensor(Int32Array.from(c.contexts), { shape: [batch], dtype: "i32" }),
    blockTables: device.tensor(Int32Array.from(pages.tables.flat()), { shape: [batch, pages.columns], dtype: "i32" }),
    scale: c.scale,
    causal: c.causal,
    splits: c.splits,
    returnLse: true,
  };
  const { threshold } = c;
  const { out, lse } =
    threshold === undefined
      ? pagedAttention({ q: q1, keyCache: caches[0]!, ...common })
      : c.raw
        ? pagedPiecewiseAttention({ q1, q2, keyCache: caches[0]!, keyAngles: angles, threshold, ...common })
        : pagedPiecewiseAttention({ q1, q2, keyCache1: caches[0]!, keyCache2: caches[1]!, threshold, ...common });
  expect(out.shape).toEqual([...queryShape.slice(0, -1), c.valueDim]);
  expect(lse!.shape).toEqual(queryShape.slice(0, -1));
  const result = { out: (await out.read()) as Float32Array, lse: (await lse!.read()) as Float32Array };
  const { valueCache, contextLengths, blockTables } = common;
  for (const tensor of [q1, q2, ...caches, angles, valueCache, contextLengths, blockTables, out, lse!])
    tensor.dispose();
  const terms = q.map((values, i) => ({ q: values, k: k[i]! }));
  return pagedShares(c, terms, v, result);
}

const randomCases = fc
  .record({
    keyHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.constantFrom(1, 2, 6, 8),
    queries: fc.integer({ min: 0, max: 9 }),
    contexts: fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 3 }),
    headDim: fc.constantFrom(8, 16, 24),
    pageSize: fc.constantFrom(1, 3, 8, 16, 32, 40, 64),
    causal: fc.boolean(),
    splits: fc.integer({ min: 1, max: 8 }),
    threshold: fc.option(fc.integer({ min: -20, max: 100 }), { nil: undefined }),
    dtype: fc.constantFrom("f32" as const, "f16" as const),
    layout: fc.constantFrom("heads first" as const, "keys first" as const),
  })
  .map(({ group, ...c }) => makePagedCase({ ...c, queryHeads: c.keyHeads * group }));

/** `every`: only each so many-th case, for devices that are slow. */
export function describePaged(title: string, device: () => Device, { randomRuns = 12, every = 1 } = {}): void {
  describe(`paged attention on ${title}`, () => {
    const cases = pagedCases.filter((_, i) => i % every === 0);
    it.each(cases.map((c) => [titleOf(c), c] as const))("%s", async (_, c) => {
      const { out, lse } = await errorShares(device(), c);
      expect(out).toBeLessThanOrEqual(1);
      expect(lse).toBeLessThanOrEqual(1);
    });

    it("holds for random shapes", async () => {
      await fc.assert(
        fc.asyncProperty(randomCases, async (c) => {
          const { out, lse } = await errorShares(device(), c);
          expect(out).toBeLessThanOrEqual(1);
          expect(lse).toBeLessThanOrEqual(1);
        }),
        { numRuns: randomRuns },
      );
    });

    const arguments_ = () => ({
      q: device().zeros([2, 6, 16], "f16"),
      keyCache: device().zeros([4, 2, 8, 16], "f16"),
      valueCache: device().zeros([4, 2, 8, 16], "f16"),
      contextLengths: device().tensor(Int32Array.of(3, 9), { shape: [2], dtype: "i32" }),
      blockTables: device().tensor(Int32Array.of(0, 1, 2, 3), { shape: [2, 2], dtype: "i32" }),
    });

    it("gives the same bits twice, and writes where it is told", async () => {
      const good = arguments_();
      const q = device().tensor(randomValues("f16", 192, 1), { shape: [2, 6, 16], dtype: "f16" });
      const run = async (out?: Tensor) => pagedAttention({ ...good, q, splits: 2, ...(out && { out }) }).out.readRaw();
      const first = await run();
      expect(await run()).toEqual(first);
      expect(await run(device().empty([6, 2, 16], "f16").permute([1, 0, 2]))).toEqual(first);
    });

    it("names the argument that is wrong", () => {
      const good = arguments_();
      const wrong = (change: Partial<Parameters<typeof pagedAttention>[0]>, message: RegExp) =>
        expect(() => pagedAttention({ ...good, ...change })).toThrow(message);
      wrong({ q: device().zeros([2, 16], "f16") }, /"q" has shape \[2, 16\], but must be \[B, Hq, M, D\]/);
      wrong({ q: device().zeros([2, 5, 16], "f16") }, /"q" has 5 heads/);
      wrong({ q: undefined as never }, /"q" must be a tensor/);
      wrong({ keyCache: device().zeros([4, 2, 8, 16], "f32") }, /"keyCache" is f32, but must be f16/);
      wrong({ valueCache: device().zeros([4, 2, 16, 16], "f16") }, /"valueCache" has shape/);
      wrong({ contextLengths: device().zeros([2], "i64") }, /"contextLengths" is i64/);
      wrong({ blockTables: device().zeros([3, 2], "i32") }, /"blockTables" has shape/);
      wrong({ splits: 0 }, /"splits" must be an integer/);
      wrong({ scale: 0 }, /"scale" must be a finite number above 0/);
      wrong({ maxContextLength: 17 }, /"maxContextLength" is 17, but a row of "blockTables" holds 16 keys/);
      wrong({ causal: 1 as never }, /"causal" must be true or false/);
      const { q, keyCache, ...rest } = good;
      const piecewise = { ...rest, q1: q, q2: q, keyCache1: keyCache, keyCache2: keyCache };
      expect(() => pagedPiecewiseAttention({ ...piecewise, threshold: 0.5 })).toThrow(/"threshold" must be an integer/);
      expect(() =>
        pagedPiecewiseAttention({ ...piecewise, threshold: 1, keyCache2: device().zeros([4, 2, 8, 8], "f16") }),
      ).toThrow(/"keyCache2" has shape/);
      const raw = { ...rest, q1: q, q2: q, keyCache, threshold: 1 };
      const frequencies = ropeFrequencies({ ...plainRope(10000), layout: "interleaved" }, { headDim: 16 });
      expect(() => keyAngles(device(), { map, frequencies, length: 16 })).toThrow(/got layout "interleaved"/);
      const angles = (positions: number, pairs: number) => device().zeros([2, 2, positions, pairs], "f32");
      expect(() => pagedPiecewiseAttention({ ...raw, keyAngles: angles(16, 16) })).toThrow(/"keyAngles" has shape/);
      expect(() => pagedPiecewiseAttention({ ...raw, keyAngles: angles(15, 8) })).toThrow(
        /"keyAngles" has 15 positions, but a context may have 16 keys/,
      );
    });
  });
}
