/** @file The conformance test of cross-entropy and AdamW: part of `describeTraining`, whose rules hold here. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { adamWStep, crossEntropy, crossEntropyBackward } from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { type FloatDType, randomValues, roundTo } from "../support/rounding.ts";
import { assertion, dtypes, exact, expectClose, expectSameBits, halfUnit, makersOn, transcendental } from "./judge.ts";
import * as reference from "./training-reference.ts";

export function describeOptimizer(device: () => Device): void {
  const { tensor, integers } = makersOn(device);

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
}
