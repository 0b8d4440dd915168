import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSampler } from "../../src/models/aquila2/sampling.ts";
import { errorOf } from "./files.ts";

const probabilities = [0.1, 0.4, 0.05, 0.25, 0.2];
const logits = Float32Array.from(probabilities, (p) => Math.log(p) + 3);

/** How often each token is chosen in `draws` draws, as a fraction. */
function frequencies(options: Parameters<typeof createSampler>[0], draws = 20_000): number[] {
  const sample = createSampler(options);
  const counts = probabilities.map(() => 0);
  for (let draw = 0; draw < draws; draw++) counts[sample(logits)]!++;
  return counts.map((count) => count / draws);
}

/** Five standard deviations of a frequency: a correct sampler stays inside (the seed is fixed, so always or never). */
const expectFrequencies = (actual: number[], expected: number[], draws = 20_000) => {
  for (const [id, p] of expected.entries()) {
    expect(Math.abs(actual[id]! - p)).toBeLessThanOrEqual(5 * Math.sqrt((p * (1 - p)) / draws));
  }
};
const normalised = (weights: number[]) => weights.map((weight) => weight / weights.reduce((a, b) => a + b));

test("temperature 0 takes the largest, the smallest id among equals", () => {
  expect(createSampler({})(logits)).toBe(1);
  expect(createSampler({})(new Float32Array([1, 3, 2, 3]))).toBe(1);
  expect(createSampler({})(new Float32Array([-Infinity, -5]))).toBe(1);
});

describe("frequencies", () => {
  test("temperature 1 draws by the softmax", () => {
    expectFrequencies(frequencies({ temperature: 1 }), probabilities);
  });
  test("temperature draws by p^(1/T)", () => {
    const expected = (temperature: number) => normalised(probabilities.map((p) => p ** (1 / temperature)));
    expectFrequencies(frequencies({ temperature: 0.5 }), expected(0.5));
    expectFrequencies(frequencies({ temperature: 2 }), expected(2));
  });
  test("topK keeps the k most probable", () => {
    expectFrequencies(frequencies({ temperature: 1, topK: 2 }), normalised([0, 0.4, 0, 0.25, 0]));
    expectFrequencies(frequencies({ temperature: 1, topK: 99 }), probabilities);
  });
  test("topP keeps the smallest set that reaches p, at least one", () => {
    expectFrequencies(frequencies({ temperature: 1, topP: 0.6 }), normalised([0, 0.4, 0, 0.25, 0]));
    expectFrequencies(frequencies({ temperature: 1, topP: 0.7 }), normalised([0, 0.4, 0, 0.25, 0.2]));
    expectFrequencies(frequencies({ temperature: 1, topP: 0.01 }), [0, 1, 0, 0, 0]);
  });
  test("topP counts the plain probabilities, before the temperature", () => {
    const hot = normalised([0, 0.4, 0, 0.25, 0].map((p) => p ** 0.25));
    expectFrequencies(frequencies({ temperature: 4, topP: 0.6 }), hot);
  });
  test("a very small temperature is greedy, without NaN", () => {
    expectFrequencies(frequencies({ temperature: 1e-6 }), [0, 1, 0, 0, 0]);
  });
});

test("the same seed draws the same tokens; another seed draws others", () => {
  const draw = (seed: number) => {
    const sample = createSampler({ temperature: 1, seed });
    return Array.from({ length: 50 }, () => sample(logits));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

test("never picks a token of probability 0 (property)", () => {
  const logit = fc.oneof(fc.constant(-Infinity), fc.float({ min: -100, max: 100, noNaN: true }));
  const row = fc
    .array(logit, { minLength: 1, maxLength: 20 })
    .filter((values) => values.some((value) => value > -Infinity));
  fc.assert(
    fc.property(row, fc.double({ min: 0.1, max: 5, noNaN: true }), fc.integer(), (values, temperature, seed) => {
      const id = createSampler({ temperature, seed })(Float32Array.from(values));
      expect(values[id]).toBeGreaterThan(-Infinity);
    }),
  );
});

test("options out of range are refused by name", async () => {
  for (const options of [
    { temperature: -1 },
    { temperature: NaN },
    { topK: 0 },
    { topK: 1.5 },
    { topP: 0 },
    { topP: 1.1 },
    { seed: 0.5 },
  ]) {
    const [name] = Object.keys(options);
    expect(await errorOf(() => createSampler(options))).toMatchObject({
      code: "SAMPLING_OPTION",
      message: expect.stringContaining(name!),
    });
  }
});
