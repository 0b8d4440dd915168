/**
 * @file The conformance test of the operators that training needs: written once, instantiated for every back end, against references in plain
 * TypeScript and f64 (training-reference.ts). Here the matrix product and the gradients; optimizer-conformance.ts has loss and AdamW.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  embeddingBackward,
  matmul,
  rmsNorm,
  rmsNormBackward,
  rope,
  ropeTable,
  swigluBackward,
} from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { normalNumbers, randomValues, roundTo } from "../support/rounding.ts";
import { assertion, dtypes, exact, expectClose, expectSameBits, makersOn, transcendental } from "./judge.ts";
import { describeOptimizer } from "./optimizer-conformance.ts";
import * as reference from "./training-reference.ts";

export function describeTraining(title: string, device: () => Device): void {
  const { tensor, integers } = makersOn(device);

  describe(`training operators on ${title}`, () => {
    describe("matmul", () => {
      const cases = dtypes.flatMap((dtype) => [
        { dtype, transposeB: false, accumulate: false },
        { dtype, transposeB: true, accumulate: true },
      ]);
      it.each(cases)(
        "of a transposed first matrix, $dtype, transposeB $transposeB, accumulate $accumulate",
        async (c) => {
          const { dtype, transposeB, accumulate } = c;
          const [M, N, K] = [37, 50, 45];
          const [a, b, before] = [M * K, K * N, M * N].map((count, i) =>
            randomValues(dtype, count, i),
          ) as Float32Array[];
          const expected = reference.product(
            [M, N, K],
            (m, k) => a![k * M + m]!,
            (k, n) => b![transposeB ? n * K + k : k * N + n]!,
          );
          const out = tensor(before!, [M, N], dtype);
          matmul({
            a: tensor(a!, [K, M], dtype),
            transposeA: true,
            b: tensor(b!, transposeB ? [N, K] : [K, N], dtype),
            transposeB,
            out,
            accumulate,
          });
          if (accumulate)
            for (const [i, value] of before!.entries()) {
              expected.values[i]! += value;
              expected.magnitudes[i]! += Math.abs(value);
            }
          await expectClose(out, expected, K + 1);
        },
      );

      it("any shape, in rows or by strides", async () => {
        const size = fc.integer({ min: 1, max: 70 });
        const shapes = fc.record({ M: size, N: size, K: size, strided: fc.boolean(), seed: fc.nat(1000) });
        await fc.assert(
          fc.asyncProperty(shapes, async ({ M, N, K, strided, seed }) => {
            const [a, b] = [randomValues("f32", M * K, seed), randomValues("f32", K * N, seed + 1)];
            const expected = reference.product(
              [M, N, K],
              (m, k) => a[k * M + m]!,
              (k, n) => b[k * N + n]!,
            );
            const [stored, right] = [tensor(a, [K, M], "f32"), tensor(b, [K, N], "f32")];
            const out = strided
              ? matmul({ a: stored.transpose(), b: right.transpose(), transposeB: true })
              : matmul({ a: stored, transposeA: true, b: right });
            await expectClose(out, expected, K);
          }),
          { numRuns: 5, seed: 7 },
        );
      });

      it("a sum over nothing is 0, and adds nothing", async () => {
        const [a, b] = [device().zeros([0, 3], "f32"), device().zeros([0, 2], "f32")];
        expect(await matmul({ a, transposeA: true, b }).read()).toEqual(new Float32Array(6));
        const out = tensor([1, 2, 3, 4, 5, 6], [3, 2], "f32");
        matmul({ a, transposeA: true, b, out, accumulate: true });
        expect(await out.read()).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
      });

      it("adds to f32 what 16-bit matrices give", async () => {
        const [a, b] = [randomValues("bf16", 8 * 3, 1), randomValues("bf16", 8 * 5, 2)];
        const out = tensor(new Float32Array(15).fill(1), [3, 5], "f32");
        matmul({ a: tensor(a, [8, 3], "bf16"), transposeA: true, b: tensor(b, [8, 5], "bf16"), out, accumulate: true });
        const expected = reference.product(
          [3, 5, 8],
          (m, k) => a[k * 3 + m]!,
          (k, n) => b[k * 5 + n]!,
        );
        await expectClose(
          out,
          { values: expected.values.map((x) => x + 1), magnitudes: expected.magnitudes.map((x) => x + 1) },
          9,
        );
      });
    });

    describe("rmsNorm", () => {
      /** Rounding of the mean and of the root, and the products. */
      const operations = (terms: number) => terms + transcendental + 8;

      it.each([
        ...dtypes.map((dtype) => [dtype, 5, 200] as const),
        ["f32", 1, 1] as const,
        ["f32", 70, 24] as const,
        ["bf16", 3, 5120] as const,
        ["f16", 2, 8192] as const,
      ])("%s [%i, %i]: forward and both gradients", async (dtype, rows, hidden) => {
        const shape = [rows, hidden];
        const x = randomValues(dtype, rows * hidden, 1, 3);
        const weight = randomValues(dtype, hidden, 2);
        const dout = randomValues(dtype, rows * hidden, 3);
        const [xs, weights, douts] = [
          tensor(x, shape, dtype),
          tensor(weight, [hidden], dtype),
          tensor(dout, shape, dtype),
        ];
        await expectClose(
          rmsNorm({ x: xs, weight: weights }),
          exact(reference.rmsNorm(x, weight, 1e-5)),
          operations(hidden),
        );
        const expected = reference.rmsNormGradients(x, weight, dout, 1e-5);
        const { dx, dweight } = rmsNormBackward({ x: xs, weight: weights, dout: douts });
        await expectClose(dx, expected.dx, operations(2 * hidden));
        await expectClose(dweight, expected.dweight, operations(hidden + rows));
      });

      it("gives the weight's gradient in more groups of rows than one, and zeros for no rows", async () => {
        const [rows, hidden] = [1050, 3]; // 64 groups of 32 rows at most, of which 33 are used
        const [x, dout] = [randomValues("f32", rows * hidden, 1), randomValues("f32", rows * hidden, 2)];
        const weight = Float32Array.of(1, -2, 0.5);
        const { dweight } = rmsNormBackward({
          x: tensor(x, [rows, hidden], "f32"),
          weight: tensor(weight, [hidden], "f32"),
          dout: tensor(dout, [rows, hidden], "f32"),
        });
        await expectClose(
          dweight,
          reference.rmsNormGradients(x, weight, dout, 1e-5).dweight,
          operations(hidden + rows),
        );
        const none = device().zeros([0, hidden], "f32");
        const empty = rmsNormBackward({ x: none, weight: tensor(weight, [hidden], "f32"), dout: none });
        expect(await empty.dweight.read()).toEqual(new Float32Array(hidden));
      });

      it("writes the weight's gradient in another dtype, and gives the same bits twice", async () => {
        const x = tensor(randomValues("bf16", 40 * 96, 1), [40, 96], "bf16");
        const weight = tensor(randomValues("bf16", 96, 2), [96], "bf16");
        const run = () => rmsNormBackward({ x, weight, dout: x, dweight: device().empty([96], "f32") });
        expect(run().dweight.dtype).toBe("f32");
        await expectSameBits(() => Object.values(run()));
      });

      it("any shape", async () => {
        const shapes = fc.record({
          rows: fc.integer({ min: 1, max: 40 }),
          hidden: fc.integer({ min: 1, max: 300 }),
          seed: fc.nat(1000),
        });
        await fc.assert(
          fc.asyncProperty(shapes, async ({ rows, hidden, seed }) => {
            const [x, dout] = [0, 1].map((i) => randomValues("f32", rows * hidden, seed + i)) as Float32Array[];
            const weight = randomValues("f32", hidden, seed + 2);
            const expected = reference.rmsNormGradients(x!, weight, dout!, 1e-5);
            const { dx, dweight } = rmsNormBackward({
              x: tensor(x!, [rows, hidden], "f32"),
              weight: tensor(weight, [hidden], "f32"),
              dout: tensor(dout!, [rows, hidden], "f32"),
            });
            await expectClose(dx, expected.dx, operations(2 * hidden));
            await expectClose(dweight, expected.dweight, operations(hidden + rows));
          }),
          { numRuns: 4, seed: 9 },
        );
      });

      it("gives no NaN for rows of zeros and for large values", async () => {
        const x = tensor([...new Array(16).fill(0), ...new Array(16).fill(1e15)], [2, 16], "f32");
        const dout = tensor(randomValues("f32", 32, 1, 1e4), [2, 16], "f32");
        const { dx, dweight } = rmsNormBackward({ x, weight: tensor(new Array(16).fill(1), [16], "f32"), dout });
        for (const result of [dx, dweight])
          expect(((await result.read()) as Float32Array).every(Number.isFinite)).toBe(true);
      });
    });

    it.each(dtypes)("rope %s: inverse is the transpose, and undoes it", async (dtype) => {
      const [heads, length, dim, startPosition] = [2, 9, 20, 5];
      const shape = [1, heads, length, dim];
      const dout = randomValues(dtype, heads * length * dim, 1);
      const half = dim / 2;
      const table = ropeTable(device(), { positions: 14, headDim: dim });
      const expected = { values: new Float64Array(dout.length), magnitudes: new Float64Array(dout.length) };
      for (let i = 0; i < dout.length; i++) {
        const [position, d] = [startPosition + (Math.floor(i / dim) % length), i % dim];
        const angle = position * 10000 ** ((-2 * (d % half)) / dim);
        const other = d < half ? dout[i + half]! : -dout[i - half]!;
        expected.values[i] = dout[i]! * Math.cos(angle) + other * Math.sin(angle);
        expected.magnitudes[i] = Math.abs(dout[i]!) + Math.abs(other);
      }
      const x = tensor(dout, shape, dtype);
      await expectClose(rope({ x, ...table, startPosition, inverse: true }), expected, 4);
      if (dtype !== "f32") return;
      const back = rope({ x: rope({ x, ...table, startPosition }), ...table, startPosition, inverse: true });
      await expectClose(
        back,
        { values: Float64Array.from(dout), magnitudes: expected.magnitudes.map((m) => 2 * m) },
        8,
      );
    });

    it.each(dtypes)("swiglu %s: both gradients", async (dtype) => {
      const shape = [3, 70];
      const [gate, up, dout] = [4, 1, 1].map((scale, seed) => randomValues(dtype, 210, seed, scale)) as Float32Array[];
      gate!.set([roundTo(dtype, 1e4), roundTo(dtype, -1e4)]);
      const expected = reference.swigluGradients(gate!, up!, dout!);
      const { dgate, dup } = swigluBackward({
        gate: tensor(gate!, shape, dtype),
        up: tensor(up!, shape, dtype),
        dout: tensor(dout!, shape, dtype),
      });
      // e^-x of a large x is off by x units, as x itself is rounded; |x| of these is below 2^4.
      const operations = 2 * transcendental + 16 + 8;
      await expectClose(dgate, expected.dgate, operations);
      await expectClose(dup, expected.dup, operations);
    });

    describe("embeddingBackward", () => {
      const repeated = [3, 0, 3, 6, 3, 0, 3, 3, 3, 1];

      it.each(dtypes)("%s: adds the rows of repeated ids, and leaves zeros elsewhere", async (dtype) => {
        const [rows, hidden] = [7, 40];
        const dout = randomValues(dtype, repeated.length * hidden, 1);
        const out = embeddingBackward({
          dout: tensor(dout, [repeated.length, hidden], dtype),
          ids: integers(repeated),
          rows,
        });
        expect(out.dtype).toBe(dtype);
        await expectClose(out, reference.embeddingGradient(dout, repeated, rows), repeated.length);
      });

      it("adds to a given tensor or replaces it, in its dtype", async () => {
        const dout = randomValues("bf16", repeated.length * 24, 1);
        const given = { dout: tensor(dout, [repeated.length, 24], "bf16"), ids: integers(repeated), rows: 7 };
        const gradient = reference.embeddingGradient(dout, repeated, 7);
        const out = tensor(new Array(7 * 24).fill(9), [7, 24], "f32");
        embeddingBackward({ ...given, out });
        await expectClose(out, gradient, repeated.length);
        const twice = { values: gradient.values.map((x) => 2 * x), magnitudes: gradient.magnitudes.map((x) => 2 * x) };
        embeddingBackward({ ...given, out, accumulate: true });
        await expectClose(out, twice, 2 * repeated.length);
      });

      it("any number of tokens, ids and channels; the same bits twice", async () => {
        const shapes = fc.record({
          tokens: fc.integer({ min: 1, max: 150 }),
          rows: fc.integer({ min: 1, max: 90 }),
          hidden: fc.integer({ min: 1, max: 20 }),
          seed: fc.nat(1000),
        });
        await fc.assert(
          fc.asyncProperty(shapes, async ({ tokens, rows, hidden, seed }) => {
            const next = normalNumbers(seed);
            const ids = Array.from({ length: tokens }, () => Math.floor(Math.abs(next()) * rows) % rows);
            const dout = randomValues("f32", tokens * hidden, seed);
            const run = () =>
              embeddingBackward({ dout: tensor(dout, [tokens, hidden], "f32"), ids: integers(ids), rows });
            await expectClose(run(), reference.embeddingGradient(dout, ids, rows), tokens);
            await expectSameBits(() => [run()]);
          }),
          { numRuns: 4, seed: 3 },
        );
      });

      it("no tokens give zeros; an id outside the table is reported", async () => {
        const none = embeddingBackward({ dout: device().zeros([0, 4], "f32"), ids: integers([]), rows: 3 });
        expect(await none.read()).toEqual(new Float32Array(12));
        const wrong = async () =>
          embeddingBackward({ dout: device().zeros([1, 4], "f32"), ids: integers([3]), rows: 3 }).read();
        await expect(wrong).rejects.toThrow(assertion(/token id/));
      });
    });

    describeOptimizer(device);
  });
}
