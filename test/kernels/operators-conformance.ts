/**
 * @file The conformance test of the operators around attention: written once, instantiated for every back end. References are plain
 * TypeScript in f64; an error may be half a unit of the result's dtype plus what f32 arithmetic of that length may lose.
 */
import { describe, expect, it } from "vitest";
import {
  add,
  copy,
  embedding,
  largestDifference,
  matmul,
  rmsNorm,
  rope,
  ropeTable,
  softmax,
  swiglu,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { recordShare } from "../support/record-share.ts";
import { type FloatDType, randomValues } from "../support/rounding.ts";
import { dtypes, halfUnit } from "./judge.ts";

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
const indices = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export function describeOperators(title: string, device: () => Device): void {
  const tensor = (values: Float32Array, shape: readonly number[], dtype: FloatDType) =>
    device().tensor(values, { shape, dtype });
  const expectClose = async (actual: Tensor, expected: ArrayLike<number>, dtype: FloatDType, operations: number) => {
    const allowed = largest(expected) * (halfUnit[dtype] + operations * halfUnit.f32);
    const error = largestDifference((await actual.read()) as Float32Array, expected);
    expect(error).toBeLessThanOrEqual(allowed);
    recordShare(error / allowed, dtype);
  };

  describe(`operators on ${title}`, () => {
    it.each(dtypes.flatMap((dtype) => [false, true].map((transposed) => [dtype, transposed] as const)))(
      "matmul %s, transposed %s",
      async (dtype, transposeB) => {
        const [M, N, K] = [37, 50, 45];
        const a = randomValues(dtype, M * K, 1);
        const b = randomValues(dtype, K * N, 2);
        const expected = indices(M * N).map((i) => {
          const [m, n] = [Math.floor(i / N), i % N];
          return indices(K).reduce((sum, k) => sum + a[m * K + k]! * b[transposeB ? n * K + k : k * N + n]!, 0);
        });
        const out = matmul({
          a: tensor(a, [M, K], dtype),
          b: tensor(b, transposeB ? [N, K] : [K, N], dtype),
          transposeB,
        });
        await expectClose(out, expected, dtype, 2 * K);
      },
    );

    it("matmul of f32 activations with bf16 weights", async () => {
      const [M, N, K] = [5, 17, 64];
      const a = randomValues("f32", M * K, 1);
      const b = randomValues("bf16", N * K, 2);
      const expected = indices(M * N).map((i) =>
        indices(K).reduce((sum, k) => sum + a[Math.floor(i / N) * K + k]! * b[(i % N) * K + k]!, 0),
      );
      await expectClose(
        matmul({ a: tensor(a, [M, K], "f32"), b: tensor(b, [N, K], "bf16"), transposeB: true }),
        expected,
        "f32",
        2 * K,
      );
    });

    it.each(dtypes)("rmsNorm %s: the weight is multiplied in f32, with one rounding", async (dtype) => {
      const [rows, hidden] = [5, 200];
      const x = randomValues(dtype, rows * hidden, 1, 3);
      const weight = randomValues(dtype, hidden, 2);
      const expected = indices(rows * hidden).map((i) => {
        const row = Math.floor(i / hidden);
        const mean = indices(hidden).reduce((sum, j) => sum + x[row * hidden + j]! ** 2, 0) / hidden;
        return (x[i]! / Math.sqrt(mean + 1e-5)) * weight[i % hidden]!;
      });
      await expectClose(
        rmsNorm({ x: tensor(x, [rows, hidden], dtype), weight: tensor(weight, [hidden], dtype) }),
        expected,
        dtype,
        16,
      );
    });

    it.each([32, 80].flatMap((dim) => dtypes.map((dtype) => [dtype, dim] as const)))(
      "rope %s, head dim %i",
      async (dtype, dim) => {
        const [heads, length, start] = [2, 9, 5];
        const half = dim / 2;
        const x = randomValues(dtype, heads * length * dim, 1);
        const expected = indices(x.length).map((i) => {
          const [position, d] = [start + (Math.floor(i / dim) % length), i % dim];
          const angle = position * 10000 ** ((-2 * (d % half)) / dim);
          return x[i]! * Math.cos(angle) + (d < half ? -x[i + half]! : x[i - half]!) * Math.sin(angle);
        });
        const table = ropeTable(device(), { positions: start + length, headDim: dim });
        await expectClose(
          rope({ x: tensor(x, [1, heads, length, dim], dtype), ...table, startPosition: start }),
          expected,
          dtype,
          4,
        );
      },
    );

    it.each(dtypes)("swiglu %s", async (dtype) => {
      const gate = randomValues(dtype, 3 * 70, 1, 4);
      const up = randomValues(dtype, 3 * 70, 2);
      const expected = indices(gate.length).map((i) => (gate[i]! / (1 + Math.exp(-gate[i]!))) * up[i]!);
      await expectClose(
        swiglu({ gate: tensor(gate, [3, 70], dtype), up: tensor(up, [3, 70], dtype) }),
        expected,
        dtype,
        16,
      );
    });

    it.each(dtypes)("softmax %s", async (dtype) => {
      const [rows, columns] = [4, 50];
      const x = randomValues(dtype, rows * columns, 1, 5);
      const expected = indices(x.length).map((i) => {
        const row = Array.from(x.subarray(Math.floor(i / columns) * columns, (Math.floor(i / columns) + 1) * columns));
        return Math.exp(x[i]!) / row.reduce((sum, value) => sum + Math.exp(value), 0);
      });
      await expectClose(softmax({ x: tensor(x, [rows, columns], dtype) }), expected, dtype, 32);
    });

    it("add, embedding and copy move and round exactly", async () => {
      const [a, b] = [randomValues("bf16", 2 * 33, 1), randomValues("bf16", 2 * 33, 2)];
      const sum = add({ a: tensor(a, [2, 33], "bf16"), b: tensor(b, [2, 33], "bf16") });
      await expectClose(
        sum,
        a.map((x, i) => x + b[i]!),
        "bf16",
        1,
      );

      const ids = device().tensor(Int32Array.of(3, 0, 3), { shape: [3], dtype: "i32" });
      const table = randomValues("f16", 5 * 40, 3);
      const rows = await embedding({ table: tensor(table, [5, 40], "f16"), ids, outDtype: "f32" }).read();
      expect(rows).toEqual(Float32Array.from([3, 0, 3].flatMap((id) => [...table.subarray(id * 40, id * 40 + 40)])));

      const cache = device().zeros([1, 2, 8, 24], "bf16");
      const from = randomValues("bf16", 2 * 3 * 24, 4);
      copy({ from: tensor(from, [1, 3, 2, 24], "bf16").permute([0, 2, 1, 3]), to: cache.slice(2, 4, 7) });
      const copied = (await cache.read()) as Float32Array;
      const expected = indices(2 * 8 * 24).map((i) => {
        const [h, t, d] = [Math.floor(i / (8 * 24)), Math.floor(i / 24) % 8, i % 24];
        return t >= 4 && t < 7 ? from[((t - 4) * 2 + h) * 24 + d]! : 0;
      });
      expect(copied).toEqual(Float32Array.from(expected));

      // Rows and columns of several programs.
      const [long, width] = [40, 200];
      const wide = randomValues("f16", long * width, 5);
      const to = device().zeros([1, 1, long, width], "f32");
      copy({ from: tensor(wide, [1, 1, long, width], "f16"), to });
      expect(await to.read()).toEqual(wide);
    });

    // In the PTX emulator a failed assertion traps.
    it("reports a token id outside the table", async () => {
      const ids = device().tensor(Int32Array.of(5), { shape: [1], dtype: "i32" });
      const table = device().zeros([5, 16], "f32");
      await expect(async () => embedding({ table, ids }).read()).rejects.toThrow(/token id|trap/);
    });
  });
}
