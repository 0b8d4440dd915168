/**
 * @file The conformance test of attention forward: written once, instantiated for every back end. Against f64, under the project's rule
 * that the error is at most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import { describe, expect, it } from "vitest";
import { attention } from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";
import { conformanceCases, titleOf } from "./attention-cases.ts";
import { errorShares, sizeOf } from "./attention-errors.ts";
import { expectWithinRule } from "./judge.ts";

export function describeAttention(title: string, device: () => Device): void {
  describe(`attention on ${title}`, () => {
    it.each(conformanceCases.map((c) => [titleOf(c), c] as const))("%s", async (_, c) => {
      expectWithinRule(await errorShares(device(), c, { gradients: false }), c, 2);
    });

    it("gives the same bits twice", async () => {
      const shape = [1, 2, 40, 32];
      const q = device().tensor(randomValues("f16", sizeOf(shape), 9), { shape, dtype: "f16" });
      const run = async () => attention({ q, k: q, v: q, causal: true }).out.readRaw();
      expect(await run()).toEqual(await run());
    });

    it("loses nothing from tile to tile where no logit grows", async () => {
      // All logits of a row are alike and large, and all values 1: the output is 1, and lse the logit plus log(keys).
      const [queries, keys, dim, scale] = [16, 8192, 16, 8];
      const firstChannel = (rows: number, value: (row: number) => number) =>
        device().tensor(
          Float32Array.from({ length: rows * dim }, (_, i) => (i % dim === 0 ? value(i / dim) : 0)),
          { shape: [1, 1, rows, dim], dtype: "f16" },
        );
      const [q, k] = [firstChannel(queries, (row) => 1 + row / 16), firstChannel(keys, () => 125.5)];
      const v = device().tensor(new Float32Array(keys * dim).fill(1), { shape: [1, 1, keys, dim], dtype: "f16" });
      const { out, lse } = attention({ q, k, v, scale, returnLse: true, splits: 1 });
      // The weights and the quotient are rounded to f16, and not one of the kernel's roundings of a logit happens once a tile.
      for (const x of (await out.read()) as Float32Array) expect(Math.abs(x - 1)).toBeLessThanOrEqual(2 * 2 ** -11);
      for (const [row, x] of ((await lse!.read()) as Float32Array).entries()) {
        const expected = (1 + row / 16) * 125.5 * scale + Math.log(keys);
        // Rounded are log2(e), factor, shift, lse to base 2, log(2), and lse.
        expect(Math.abs(x - expected)).toBeLessThanOrEqual(6 * 2 ** -24 * expected);
      }
    });

    it("takes BTHD tensors by their strides and writes into a given strided tensor", async () => {
      const [heads, length, dim] = [3, 21, 16];
      const values = [1, 2, 3].map((seed) => randomValues("f32", heads * length * dim, seed));
      const bhtd = values.map((data) => device().tensor(data, { shape: [1, heads, length, dim], dtype: "f32" }));
      const bthd = values.map((data) => {
        const moved = data.map((_, i) => {
          const [t, h, d] = [Math.floor(i / (heads * dim)), Math.floor(i / dim) % heads, i % dim];
          return data[(h * length + t) * dim + d]!;
        });
        return device()
          .tensor(moved, { shape: [1, length, heads, dim], dtype: "f32" })
          .permute([0, 2, 1, 3]);
      });
      const out = device().empty([1, length, heads, dim], "f32").permute([0, 2, 1, 3]);
      const plain = attention({ q: bhtd[0]!, k: bhtd[1]!, v: bhtd[2]!, causal: true });
      attention({ q: bthd[0]!, k: bthd[1]!, v: bthd[2]!, causal: true, out });
      expect(await out.read()).toEqual(await plain.out.read());
    });

    it("gives zeros and -inf for no keys, and nothing for no queries", async () => {
      const tensor = (length: number) => device().zeros([1, 1, length, 16], "f32");
      const noKeys = attention({ q: tensor(2), k: tensor(0), v: tensor(0), returnLse: true });
      expect([...((await noKeys.out.read()) as Float32Array)]).toEqual(new Array(32).fill(0));
      expect([...((await noKeys.lse!.read()) as Float32Array)]).toEqual(new Array(2).fill(Number.NEGATIVE_INFINITY));
      expect(((await attention({ q: tensor(0), k: tensor(4), v: tensor(4) }).out.read()) as Float32Array).length).toBe(
        0,
      );
    });
  });
}
