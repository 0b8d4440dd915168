/** The references' gradients against central differences of their forward functions, in f64. */
import { expect, test } from "vitest";
import { randomValues } from "../support/rounding.ts";
import * as reference from "./training-reference.ts";

const random = (count: number, seed: number): Float64Array => Float64Array.from(randomValues("f32", count, seed));
const dotted = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** Of a function of x, by differences of width 2^-16: the error is about 2^-32 of its third derivative, and 2^-52 / 2^-16 of its values. */
function differences(x: Float64Array, f: (x: Float64Array) => number): Float64Array {
  const width = 2 ** -16;
  return x.map((value, i) => (f(x.with(i, value + width)) - f(x.with(i, value - width))) / (2 * width));
}

function expectGradient(actual: Float64Array, x: Float64Array, f: (x: Float64Array) => number): void {
  const expected = differences(x, f);
  for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-7);
}

test("rmsNorm", () => {
  const [x, weight, dout] = [random(12, 1), random(6, 2), random(12, 3)];
  const { dx, dweight } = reference.rmsNormGradients(x, weight, dout, 1e-2);
  expectGradient(dx.values, x, (moved) => dotted(reference.rmsNorm(moved, weight, 1e-2), dout));
  expectGradient(dweight.values, weight, (moved) => dotted(reference.rmsNorm(x, moved, 1e-2), dout));
});

test("swiglu", () => {
  const [gate, up, dout] = [random(8, 1), random(8, 2), random(8, 3)];
  const { dgate, dup } = reference.swigluGradients(gate, up, dout);
  expectGradient(dgate.values, gate, (moved) => dotted(reference.swiglu(moved, up), dout));
  expectGradient(dup.values, up, (moved) => dotted(reference.swiglu(gate, moved), dout));
});

test("crossEntropy", () => {
  const logits = random(15, 1);
  const labels = [4, -1, 0];
  const { gradient } = reference.crossEntropy(logits, labels, -1);
  expectGradient(gradient, logits, (moved) =>
    reference.crossEntropy(moved, labels, -1).losses.reduce((sum, loss) => sum + loss, 0),
  );
});
