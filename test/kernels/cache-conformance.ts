/** @file The conformance test of what writes to paged caches: written once, instantiated for every back end. Copies are exact. */
import { describe, expect, it } from "vitest";
import { appendToCache, fromVllmCache, toVllmCache } from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

export function describeCaches(title: string, device: () => Device): void {
  const random = <T extends "f16" | "bf16" | "f32">(dtype: T, shape: readonly number[], seed: number) => {
    const values = randomValues(dtype, sizeOf(shape), seed);
    return { values, tensor: device().tensor(values, { shape, dtype }) };
  };

  describe(`paged caches on ${title}`, () => {
    it.each([
      ["f16", 3, 16, 5, false],
      ["f32", 1, 24, 16, false],
      ["bf16", 10, 80, 1, true],
      ["f16", 2, 128, 32, true],
    ] as const)(
      "appendToCache writes rows to their slots: %s, %i heads, D %i, pages of %i",
      async (dtype, heads, dim, page, keysFirst) => {
        const blocks = Math.ceil(40 / page);
        // Negative ones and those beyond the cache are left out.
        const slots = [7, 0, -1, 39, 12, -100, 13, blocks * page, 2 ** 31 - 1, -(2 ** 31)];
        const exists = (slot: number) => slot >= 0 && slot < blocks * page;
        const cacheShape = keysFirst ? [blocks, page, heads, dim] : [blocks, heads, page, dim];
        const cache = random(dtype, cacheShape, 1);
        // Rows [Hk, T, D], given as [T, Hk, D].
        const rows = random(dtype, [heads, slots.length, dim], 2);
        appendToCache({
          rows: rows.tensor.permute([1, 0, 2]),
          slots: device().tensor(Int32Array.from(slots), { shape: [slots.length], dtype: "i32" }),
          cache: keysFirst ? cache.tensor.permute([0, 2, 1, 3]) : cache.tensor,
          validate: false,
        });
        const expected = Float32Array.from(cache.values);
        for (const [t, slot] of slots.entries())
          for (let h = 0; h < heads && exists(slot); h++) {
            const [block, key] = [Math.floor(slot / page), slot % page];
            const row = keysFirst ? (block * page + key) * heads + h : (block * heads + h) * page + key;
            const from = (h * slots.length + t) * dim;
            expected.set(rows.values.subarray(from, from + dim), row * dim);
          }
        expect(await cache.tensor.read()).toEqual(expected);
      },
    );

    it("appendToCache takes slots of the host, and says which is wrong", async () => {
      const [heads, dim, page, blocks] = [2, 16, 4, 3];
      const written = async (slots: Int32Array | readonly number[] | Tensor) => {
        const cache = device().zeros([blocks, heads, page, dim], "f16");
        appendToCache({ rows: random("f16", [3, heads, dim], 1).tensor, slots, cache });
        return cache.readRaw();
      };
      const slots = Int32Array.of(11, -1, 4);
      const expected = await written(device().tensor(slots, { shape: [3], dtype: "i32" }));
      expect(expected.some((bits) => bits !== 0)).toBe(true);
      expect(await written(slots)).toEqual(expected);
      expect(await written([...slots])).toEqual(expected);
      await expect(written([0, 12, 1])).rejects.toThrow(/"slots\[1\]" is 12, but "cache" has 12 slots; -1 leaves/);
      await expect(written([0, 5, 0])).rejects.toThrow(/"slots\[0\]" and "slots\[2\]" are both 0/);
      await expect(written([0, 0.5, 1])).rejects.toThrow(/"slots\[1\]" must be an integer/);
      await expect(written([0, 1])).rejects.toThrow(/"slots" has 2 entries, but T is 3 by "rows"/);
    });

    it.each([
      ["f16", 16, 16],
      ["f16", 80, 5],
      ["f32", 24, 32],
    ] as const)("fromVllmCache and toVllmCache move every element: %s, D %i, pages of %i", async (dtype, dim, page) => {
      const [blocks, heads, valueDim] = [3, 2, 20];
      const x = dtype === "f32" ? 4 : 8;
      const k = random(dtype, [blocks, heads, dim / x, page, x], 1);
      const v = random(dtype, [blocks, heads, valueDim, page], 2);
      const converted = fromVllmCache({ keyCache: k.tensor, valueCache: v.tensor });
      expect(converted.keyCache.shape).toEqual([blocks, heads, page, dim]);
      expect(converted.valueCache.shape).toEqual([blocks, heads, page, valueDim]);
      const keys = Float32Array.from({ length: k.values.length }, (_, i) => {
        const [d, n, pages] = [i % dim, Math.floor(i / dim) % page, Math.floor(i / (dim * page))];
        return k.values[((pages * (dim / x) + Math.floor(d / x)) * page + n) * x + (d % x)]!;
      });
      const values = Float32Array.from({ length: v.values.length }, (_, i) => {
        const [e, n, pages] = [i % valueDim, Math.floor(i / valueDim) % page, Math.floor(i / (valueDim * page))];
        return v.values[(pages * valueDim + e) * page + n]!;
      });
      expect(await converted.keyCache.read()).toEqual(keys);
      expect(await converted.valueCache.read()).toEqual(values);
      const back = toVllmCache(converted);
      expect(await back.keyCache.read()).toEqual(k.values);
      expect(await back.valueCache.read()).toEqual(v.values);
    });

    it("names the argument that is wrong", () => {
      const cache = device().zeros([2, 3, 4, 16], "f16");
      const slots = device().zeros([5], "i32");
      const append =
        (rows: unknown, wrong: object = {}) =>
        () =>
          appendToCache({ rows: rows as never, slots, cache, ...wrong });
      expect(append(device().zeros([5, 2, 16], "f16"))).toThrow(/appendToCache: "cache" has shape \[2, 3, 4, 16\]/);
      expect(append(device().zeros([4, 3, 16], "f16"))).toThrow(/"slots" has shape \[5\]/);
      expect(append(device().zeros([5, 3, 16], "f32"))).toThrow(/"cache" is f16, but must be f32/);
      expect(append(undefined)).toThrow(/"rows" must be a tensor/);
      const none = { cache: device().zeros([0, 3, 4, 16], "f16") };
      expect(append(device().zeros([5, 3, 16], "f16"), none)).toThrow(
        /"cache" has shape \[0, 3, 4, 16\]: it has no room/,
      );
      expect(() => fromVllmCache({ keyCache: cache, valueCache: cache })).toThrow(
        /fromVllmCache: "keyCache" has shape/,
      );
      const narrow = device().zeros([2, 3, 4, 12], "f16");
      expect(() => toVllmCache({ keyCache: narrow, valueCache: narrow })).toThrow(/"keyCache" has head dim 12/);
    });
  });
}
