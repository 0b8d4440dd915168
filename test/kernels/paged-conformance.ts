/**
 * @file The conformance test of attention over paged caches: written once, instantiated for every back end. Against f64 over each sequence's
 * keys, under the project's rule that an error is at most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  pagedAttention,
  pagedPiecewiseAttention,
  plainRope,
  ropeAngles,
  ropeFrequencies,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";
import { expectWithinRule } from "./judge.ts";
import { makePagedCase, type PagedCase, pagedCases, titleOf } from "./paged-cases.ts";
import { pagedErrorShares, pagedPositionMap } from "./paged-errors.ts";

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
  const expectRight = async (c: PagedCase) => expectWithinRule(await pagedErrorShares(device(), c), c, 2);

  describe(`paged attention on ${title}`, () => {
    const cases = pagedCases.filter((_, i) => i % every === 0);
    it.each(cases.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectRight(c));

    it("holds for random shapes", async () => {
      await fc.assert(fc.asyncProperty(randomCases, expectRight), { numRuns: randomRuns });
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
      wrong({ scale: 0 }, /"scale" must be a finite number .*, got 0/);
      wrong({ maxContextLength: 17 }, /"maxContextLength" is 17, but a row of "blockTables" holds 16 keys/);
      wrong({ causal: 1 as never }, /"causal" must be true or false/);
      const { q, keyCache, ...rest } = good;
      const piecewise = { ...rest, q1: q, q2: q, keyCache1: keyCache, keyCache2: keyCache };
      expect(() => pagedPiecewiseAttention({ ...piecewise, threshold: 0.5 })).toThrow(/"threshold" must be an integer/);
      expect(() =>
        pagedPiecewiseAttention({ ...piecewise, threshold: 1, keyCache2: device().zeros([4, 2, 8, 8], "f16") }),
      ).toThrow(/"keyCache2" has shape/);
      const raw = { ...rest, q, keyCache, threshold: 1 };
      const frequencies = ropeFrequencies(plainRope(10000), { headDim: 16 });
      const rope = (length: number) => ropeAngles(device(), { map: pagedPositionMap, frequencies, length });
      expect(() => pagedAttention({ ...good, rope: rope(16) })).toThrow(/"rope.angles" has shape \[2, 2, /);
      expect(() => pagedPiecewiseAttention({ ...raw, rope: rope(15) })).toThrow(
        /"rope.angles" has 15 positions, but there may be 16 keys/,
      );
      expect(() => pagedPiecewiseAttention(raw as never)).toThrow(/"rope" must be what ropeAngles gives/);
      expect(() => pagedPiecewiseAttention({ ...piecewise, threshold: 1, rope: rope(16) } as never)).toThrow(
        /"rope" and "q1" cannot be combined/,
      );
    });
  });
}
