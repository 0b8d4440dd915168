/**
 * @file The conformance test of the operators that training needs: written once, instantiated for every back end. References are plain
 * TypeScript in f64. An error may be half a unit of the result's dtype, plus one f32 rounding for each operation on the way, relative to the
 * magnitude of the terms that were added up.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  adamWStep,
  crossEntropy,
  crossEntropyBackward,
  embeddingBackward,
  matmul,
  rmsNorm,
  rmsNormBackward,
  rope,
  ropeTable,
  swigluBackward,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { type FloatDType, normalNumbers, randomValues, roundTo } from "../support/rounding.ts";
import * as reference from "./training-reference.ts";

/** Half a unit in the last place at 1, and the relative error of one f32 operation. */
const halfUnit: Readonly<Record<FloatDType, number>> = { f16: 2 ** -11, bf16: 2 ** -8, f32: 2 ** -24 };
/** Half the distance of the smallest numbers: what rounding may cost where a result is close to 0. */
const smallest: Readonly<Record<FloatDType, number>> = { f16: 2 ** -25, bf16: 2 ** -134, f32: 2 ** -127 };
const dtypes = ["f32", "f16", "bf16"] as const;

/** A transcendental function of a target may be off by a few units of its last place (PTX's ex2.approx: 2). */
const transcendental = 4;

/** A failed assertion gives its message; in the PTX emulator it traps. */
const assertion = (message: RegExp): RegExp => new RegExp(`${message.source}|trap`);

export function describeTraining(title: string, device: () => Device): void {
  const tensor = (values: ArrayLike<number>, shape: readonly number[], dtype: FloatDType) =>
    device().tensor(Float32Array.from(values), { shape, dtype });
  const integers = (values: readonly number[]) =>
    device().tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });

  /** Each element within half a unit, and `operations` f32 roundings of the magnitude of its terms. */
  const expectClose = async (
    actual: Tensor,
    { values, magnitudes }: reference.Judged,
    operations: number,
  ): Promise<void> => {
    const dtype = actual.dtype as FloatDType;
    const read = (await actual.read()) as Float32Array;
    expect(read.length).toBe(values.length);
    for (const [i, value] of values.entries()) {
      const lost = magnitudes[i]! * operations * halfUnit.f32;
      const allowed = lost + (Math.abs(value) + lost) * halfUnit[dtype] + smallest[dtype];
      if (!(Math.abs(read[i]! - value) <= allowed))
        expect.fail(`element ${i} is ${read[i]}, expected ${value} with an error of at most ${allowed}`);
    }
  };
  const exact = (values: Float64Array): reference.Judged => ({ values, magnitudes: values.map(Math.abs) });
  const expectSameBits = async (run: () => Tensor[]): Promise<void> => {
    const bits = () => Promise.all(run().map((result) => result.readRaw()));
    expect(await bits()).toEqual(await bits());
  };

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

    describe("crossEntropy", () => {
      /** Of a loss: the sum over the classes, log, and the maximum minus the logit. Of a probability: one exp, and the same sum. */
      const operations = (classes: number) => classes + 2 * transcendental + 4;

      const run = async (dtype: FloatDType, logits: Float32Array, labels: readonly number[], ignoreIndex = -100) => {
        const [rows, classes] = [labels.length, logits.length / labels.length];
        const expected = reference.crossEntropy(logits, labels, ignoreIndex);
        const spread = logits.reduce((most, x) => Math.max(most, Math.abs(x)), 0) * 2;
        // exp(x - max) is off by the rounding of x - max, at most half a unit of the spread, and the log of the sum is below log(classes).
        const judge = (values: Float64Array, magnitude: number) => ({
          values,
          magnitudes: values.map(() => magnitude),
        });
        const [given, ids] = [tensor(logits, [rows, classes], dtype), integers(labels)];
        const each = crossEntropy({ logits: given, labels: ids, ignoreIndex, reduction: "none" });
        await expectClose(each.loss, judge(expected.losses, spread + Math.log(classes)), operations(classes));
        const counted = Math.max(1, labels.filter((label) => label !== ignoreIndex).length);
        const mean = crossEntropy({ logits: given, labels: ids, ignoreIndex });
        const total = expected.losses.reduce((sum, loss) => sum + loss, 0);
        await expectClose(
          mean.loss,
          judge(Float64Array.of(total / counted), spread + Math.log(classes)),
          operations(classes) + rows,
        );
        const gradient = expected.gradient.map((x) => x / counted);
        const backward = {
          logits: given,
          labels: ids,
          statistics: mean.statistics,
          dloss: mean.rowWeight!,
          ignoreIndex,
        };
        // A probability or its difference from 1 is at most 1; its relative error that of exp(x - max), of an argument up to the spread.
        const probability = { values: gradient, magnitudes: gradient.map(() => 1 / counted) };
        const allowed = operations(classes) + spread;
        await expectClose(crossEntropyBackward(backward), probability, allowed);
        const separate = await crossEntropyBackward(backward).readRaw();
        expect(crossEntropyBackward({ ...backward, out: given })).toBe(given);
        expect(await given.readRaw()).toEqual(separate);
      };

      it.each(dtypes)("%s, with ignored rows", async (dtype) => {
        await run(dtype, randomValues(dtype, 6 * 50, 1, 4), [3, -100, 49, 0, -100, 7]);
      });

      it("a vocabulary of 100008, streamed", async () => {
        await run("bf16", randomValues("bf16", 2 * 100008, 1, 3), [100007, 5]);
      });

      it("logits of ±1e4, and a row that only ignored labels leave", async () => {
        await run("f32", randomValues("f32", 2 * 3000, 1, 1e4), [2999, -1], -1);
        await run("f32", randomValues("f32", 8, 1), [-7, -7], -7);
      });

      it("any shape", async () => {
        const shapes = fc.record({
          rows: fc.integer({ min: 1, max: 5 }),
          classes: fc.integer({ min: 1, max: 5000 }),
          seed: fc.nat(1000),
        });
        await fc.assert(
          fc.asyncProperty(shapes, async ({ rows, classes, seed }) => {
            const labels = Array.from({ length: rows }, (_, row) => ((row + seed) * 7919) % classes);
            await run("f32", randomValues("f32", rows * classes, seed, 2), labels);
          }),
          { numRuns: 4, seed: 5 },
        );
      });

      it("a gradient for each row, scaled; sum; blocks of -inf before the first finite logit", async () => {
        const classes = 2100; // longer than a block, so that the first block holds no finite logit
        const logits = new Float32Array(2 * classes).fill(Number.NEGATIVE_INFINITY);
        logits.set([1, 2], 2050);
        logits.set([0, 0, 0], classes + 2060);
        const [given, labels] = [tensor(logits, [2, classes], "f32"), integers([2051, 2061])];
        const { loss, statistics } = crossEntropy({ logits: given, labels, reduction: "sum" });
        const expected = reference.crossEntropy(logits, [2051, 2061], -100);
        await expectClose(loss, exact(Float64Array.of(expected.losses[0]! + expected.losses[1]!)), 32);
        const dlogits = crossEntropyBackward({
          logits: given,
          labels,
          statistics,
          dloss: tensor([2, -1], [2], "f32"),
          scale: 8,
        });
        const scaled = expected.gradient.map((x, i) => x * (i < classes ? 16 : -8));
        await expectClose(dlogits, { values: scaled, magnitudes: scaled.map(() => 16) }, 32);
      });

      it("reports a label outside the vocabulary", async () => {
        const logits = device().zeros([1, 5], "f32");
        const wrong = async () => crossEntropy({ logits, labels: integers([5]) }).loss.read();
        await expect(wrong).rejects.toThrow(assertion(/label/));
      });

      it("the same bits twice", async () => {
        const [logits, labels] = [tensor(randomValues("f16", 3 * 2500, 1), [3, 2500], "f16"), integers([1, 2, 3])];
        await expectSameBits(() => {
          const { loss, statistics, rowWeight } = crossEntropy({ logits, labels });
          return [loss, statistics, crossEntropyBackward({ logits, labels, statistics, dloss: rowWeight! })];
        });
      });
    });

    describe("adamWStep", () => {
      const numbers = { learningRate: 1e-2, betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as const;
      const count = 3 * 350;

      /** Three steps with the references' numbers and the device's; the parameter's error against the f64 one. */
      const run = async (dtype: FloatDType, withMaster: boolean) => {
        const start = randomValues(dtype, count, 1);
        const shape = [3, 350];
        const states = Array.from(start, (x): [number, number, number] => [x, 0, 0]);
        const parameter = tensor(start, shape, dtype);
        const master = withMaster ? tensor(start, shape, "f32") : undefined;
        const [firstMoment, secondMoment] = [device().zeros(shape, "f32"), device().zeros(shape, "f32")];
        for (let step = 1; step <= 3; step++) {
          const gradient = randomValues(dtype, count, step + 1, 0.1);
          gradient[0] = 0;
          adamWStep({
            ...numbers,
            parameter,
            gradient: tensor(gradient, shape, dtype),
            firstMoment,
            secondMoment,
            master,
            step,
          });
          for (const [i, state] of states.entries()) {
            states[i] = reference.adamW(numbers, step, state, gradient[i]!);
            // Without a master copy the parameter is rounded after each step, of which the reference knows nothing.
            if (!withMaster && dtype !== "f32") states[i]![0] = roundTo(dtype, states[i]![0]);
          }
        }
        const column = (at: 0 | 1 | 2): Float64Array => Float64Array.from(states, (state) => state[at]);
        return { parameter, master, firstMoment, secondMoment, expected: column };
      };
      /** A parameter moves by about the learning rate a step, with a dozen f32 operations in each. */
      const judged = (values: Float64Array) => ({
        values,
        magnitudes: values.map((x) => Math.abs(x) + 3 * numbers.learningRate),
      });

      it("f32, three steps", async () => {
        const { parameter, firstMoment, secondMoment, expected } = await run("f32", false);
        await expectClose(parameter, judged(expected(0)), 3 * 12);
        await expectClose(firstMoment, { values: expected(1), magnitudes: expected(1).map(() => 0.5) }, 3 * 4);
        await expectClose(secondMoment, exact(expected(2)), 3 * 4);
      });

      it.each(["f16", "bf16"] as const)(
        "%s with a master copy, of which the parameter is the rounding",
        async (dtype) => {
          const { parameter, master, expected } = await run(dtype, true);
          await expectClose(master!, judged(expected(0)), 3 * 12);
          const rounded = ((await master!.read()) as Float32Array).map((x) => roundTo(dtype, x));
          expect(await parameter.read()).toEqual(rounded);
        },
      );

      it("bf16 without one: rounded at each step", async () => {
        const { parameter, expected } = await run("bf16", false);
        // A value close to the middle of two may be rounded the other way in each step.
        const unit = 2 * halfUnit.bf16 * 3;
        const read = (await parameter.read()) as Float32Array;
        for (const [i, value] of expected(0).entries())
          expect(Math.abs(read[i]! - value)).toBeLessThanOrEqual(Math.abs(value) * unit + 1e-6);
      });

      it("keeps updates in the master copy that are lost in 16 bits", async () => {
        const parameter = tensor([1], [1], "bf16");
        const master = tensor([1], [1], "f32");
        const [firstMoment, secondMoment] = [device().zeros([1], "f32"), device().zeros([1], "f32")];
        const state = {
          firstMoment,
          secondMoment,
          gradient: tensor([1], [1], "f32"),
          learningRate: 1e-3,
          weightDecay: 0,
        };
        // Each step moves by 0.001; numbers of bf16 below 1 are 2^-8 = 0.0039 apart.
        const seen: number[] = [];
        for (let step = 1; step <= 4; step++) {
          adamWStep({ ...state, parameter, master, step });
          seen.push(((await parameter.read()) as Float32Array)[0]!);
        }
        expect(seen).toEqual([1, 1 - 2 ** -8, 1 - 2 ** -8, 1 - 2 ** -8]);
      });

      it("undoes the scale of a gradient; moves nothing at learning rate 0", async () => {
        const [start, gradient] = [randomValues("f32", 8, 1), randomValues("f32", 8, 2)];
        const run = async (learningRate: number, scale: number) => {
          const parameter = tensor(start, [8], "f32");
          const [firstMoment, secondMoment] = [device().zeros([8], "f32"), device().zeros([8], "f32")];
          const scaled = tensor(
            gradient.map((x) => x * scale),
            [8],
            "f32",
          );
          adamWStep({
            learningRate,
            parameter,
            gradient: scaled,
            firstMoment,
            secondMoment,
            step: 1,
            gradientScale: 1 / scale,
          });
          return parameter.read();
        };
        expect(await run(1e-2, 1024)).toEqual(await run(1e-2, 1));
        expect(await run(0, 1)).toEqual(start);
      });
    });
  });
}
