/**
 * @file The conformance test of split-KV attention and of merging: written once, instantiated for every back end. Against f64, under the
 * project's rule that an error is at most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attention, largestDifference, mergeAttention } from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";
import { errorShares, sizeOf } from "./attention-errors.ts";
import { makeSplitCase, type SplitCase, splitCases, titleOf } from "./decode-cases.ts";
import { expectWithinRule } from "./judge.ts";

/** Errors of `out` and `lse`. */
const splitErrorShares = (device: Device, c: SplitCase) => errorShares(device, c, { gradients: false, offset: 77n });

/** Shapes of a decoding step or of a short chunk. */
const randomCases = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    keyHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.constantFrom(1, 2, 6, 8),
    queries: fc.integer({ min: 1, max: 9 }),
    keys: fc.integer({ min: 0, max: 140 }),
    headDim: fc.constantFrom(8, 16, 24),
    causal: fc.boolean(),
    splits: fc.integer({ min: 1, max: 8 }),
    threshold: fc.option(fc.integer({ min: -20, max: 160 }), { nil: undefined }),
    dtype: fc.constantFrom("f32" as const, "f16" as const),
  })
  .map(({ group, ...c }) => makeSplitCase({ ...c, queryHeads: c.keyHeads * group }));

/** `every`: only each so many-th case, for devices that are slow. */
export function describeDecode(title: string, device: () => Device, { randomRuns = 12, every = 1 } = {}): void {
  const expectRight = async (c: SplitCase) => expectWithinRule(await splitErrorShares(device(), c), c, 2);

  describe(`split-KV attention on ${title}`, () => {
    const cases = splitCases.filter((_, i) => i % every === 0);
    it.each(cases.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectRight(c));

    it("holds for random shapes", async () => {
      await fc.assert(fc.asyncProperty(randomCases, expectRight), { numRuns: randomRuns });
    });

    it("gives the same bits twice, and takes BTHD tensors by their strides", async () => {
      const [heads, keyHeads, keys, dim] = [6, 1, 100, 16];
      const make = (shape: readonly number[], seed: number) =>
        device().tensor(randomValues("f16", sizeOf(shape), seed), { shape, dtype: "f16" });
      const [q, k, v] = [
        make([2, 2, heads, dim], 1),
        make([2, keys, keyHeads, dim], 2),
        make([2, keys, keyHeads, dim], 3),
      ];
      const [bq, bk, bv] = [q, k, v].map((tensor) => tensor.permute([0, 2, 1, 3]));
      const run = async (out?: ReturnType<Device["empty"]>) =>
        attention({ q: bq!, k: bk!, v: bv!, causal: true, splits: 3, ...(out && { out }) }).out.readRaw();
      const first = await run();
      expect(await run()).toEqual(first);
      const strided = device().empty([2, 2, heads, dim], "f16").permute([0, 2, 1, 3]);
      expect(await run(strided)).toEqual(first);
    });

    it("refuses splits that are no positive integer", () => {
      const q = device().zeros([1, 1, 1, 16], "f32");
      for (const splits of [0, -1, 1.5, Number.NaN])
        expect(() => attention({ q, k: q, v: q, splits })).toThrow(/attention: "splits" must be an integer/);
    });
  });

  describe(`merging attention on ${title}`, () => {
    const shape = [2, 3, 5, 24];
    const keys = 90;
    const tensor = (dtype: "f32" | "f16", shape: readonly number[], seed: number) =>
      device().tensor(randomValues(dtype, sizeOf(shape), seed), { shape, dtype });
    const [batch, heads, , dim] = shape as [number, number, number, number];

    /** Attention over all keys, and over pieces of them, as a ring of devices computes it. */
    function ring(dtype: "f32" | "f16", cuts: readonly number[]) {
      const [q, k, v] = [
        tensor(dtype, shape, 1),
        ...[2, 3].map((seed) => tensor(dtype, [batch, heads, keys, dim], seed)),
      ];
      const pieces = cuts.slice(1).map((to, i) => {
        const [piece, values] = [k!, v!].map((all) => all.slice(2, cuts[i]!, to));
        const { out, lse } = attention({ q: q!, k: piece!, v: values!, returnLse: true });
        return { out, lse: lse! };
      });
      const { out, lse } = attention({ q: q!, k: k!, v: v!, returnLse: true });
      return { whole: { out, lse: lse! }, pieces };
    }
    const difference = async (a: { out: any; lse: any }, b: { out: any; lse: any }) => [
      largestDifference(await a.out.read(), await b.out.read()),
      largestDifference(await a.lse.read(), await b.lse.read()),
    ];

    it("of chunks of the keys is attention over all of them, however it is bracketed", async () => {
      const { whole, pieces } = ring("f32", [0, 20, 21, 21, 64, 90]);
      const [a, b, ...rest] = pieces;
      const pairs = mergeAttention([mergeAttention([a!, b!]), mergeAttention(rest)]);
      // Values of magnitude 1 in f32, a few roundings each.
      for (const merged of [mergeAttention(pieces), pairs, mergeAttention([...pieces].reverse())])
        for (const error of await difference(merged, whole)) expect(error).toBeLessThan(2e-6);
    });

    it("takes states of any dtype and strides, writes where it is told, and leaves a single state as it is", async () => {
      const { whole, pieces } = ring("f16", [0, 33, 90]);
      const out = device().empty([batch, shape[2]!, heads, dim], "f32").permute([0, 2, 1, 3]);
      const merged = mergeAttention(pieces, { out });
      expect(merged.out).toBe(out);
      // Three roundings to f16 of values below 4.
      expect((await difference(merged, whole))[0]).toBeLessThan(3 * 2 ** -10);
      const alone = mergeAttention([whole]);
      expect(await alone.out.readRaw()).toEqual(await whole.out.readRaw());
      expect(await alone.lse.read()).toEqual(await whole.lse.read());
      expect(await mergeAttention(pieces).out.readRaw()).toEqual(await mergeAttention(pieces).out.readRaw());
    });

    it("gives 0 and -inf where no state saw a key, and ignores states that did not", async () => {
      const { whole } = ring("f32", [0, 90]);
      const nothing = {
        out: device().zeros(shape, "f32"),
        lse: device().tensor(new Float32Array(30).fill(Number.NEGATIVE_INFINITY), {
          shape: shape.slice(0, 3),
          dtype: "f32",
        }),
      };
      expect(await mergeAttention([nothing, whole, nothing]).out.read()).toEqual(await whole.out.read());
      const none = mergeAttention([nothing, nothing]);
      expect(await none.out.read()).toEqual(await nothing.out.read());
      expect(await none.lse.read()).toEqual(await nothing.lse.read());
    });

    it("names the argument that is wrong", () => {
      const good = { out: device().zeros(shape, "f32"), lse: device().zeros(shape.slice(0, 3), "f32") };
      expect(() => mergeAttention([])).toThrow(/"states" must be an array/);
      expect(() => mergeAttention([good, { ...good, lse: good.out }])).toThrow(/"states\[1\]\.lse" has shape/);
      expect(() => mergeAttention([good, { ...good, out: device().zeros([2, 3, 4, 24], "f32") }])).toThrow(
        /"states\[1\]\.out" has shape/,
      );
      expect(() => mergeAttention([undefined as never])).toThrow(/"states\[0\]\.out" must be a tensor/);
    });
  });
}
