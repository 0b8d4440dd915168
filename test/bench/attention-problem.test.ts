/** The check that stands between a wrong kernel and a good-looking figure. */
import { describe, expect, it } from "vitest";
import { accuracyOf, inputsOf, isWrong, type Problem } from "../../bench/attention/problem.ts";
import { attentionReference } from "../../src/kernels/index.ts";

/** Longer than the sampled rows of a head, so that sampling takes place. */
const problems: readonly Problem[] = [false, true].map((causal) => ({ length: 100, heads: 2, headDim: 16, causal }));

function wholeReference({ length, heads, headDim, causal }: Problem, { q, k, v }: ReturnType<typeof inputsOf>) {
  const sizes = { batch: 1, queryHeads: heads, keyHeads: heads, queries: length, keys: length };
  const shape = { ...sizes, headDim, valueDim: headDim, causal, scale: headDim ** -0.5 };
  return Float32Array.from(attentionReference(shape, q, k, v).out);
}

describe.each(problems)("attention's check, causal: $causal", (problem) => {
  const inputs = inputsOf(problem);
  const right = wholeReference(problem, inputs);

  it("accepts the reference rounded to f32, with an error of its rounding", () => {
    const accuracy = accuracyOf(problem, inputs, right);
    expect(isWrong(accuracy)).toBe(false);
    expect(accuracy.relativeL2).toBeLessThanOrEqual(2 ** -24);
  });

  it.each([
    ["an element of the first row", 3, 0.001],
    ["an element of the last row", right.length - 1, 0.001],
    ["NaN", 5, Number.NaN],
  ])("refuses %s", (_, at, change) => {
    const wrong = right.slice();
    wrong[at]! += change;
    expect(isWrong(accuracyOf(problem, inputs, wrong))).toBe(true);
  });

  it("refuses zeros, and one head's result in the place of another's", () => {
    expect(isWrong(accuracyOf(problem, inputs, new Float32Array(right.length)))).toBe(true);
    const half = right.length / 2;
    const swapped = Float32Array.from([...right.subarray(half), ...right.subarray(0, half)]);
    expect(isWrong(accuracyOf(problem, inputs, swapped))).toBe(true);
  });
});
