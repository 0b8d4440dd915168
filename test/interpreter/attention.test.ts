/** Attention forward, one kernel that uses most of the language, against a plain f64 computation; and fast enough to be an oracle. */
import { describe, expect, it } from "vitest";
import { prepare } from "../../src/interpreter/index.ts";
import { attentionKernel } from "./attention-kernel.ts";

/** A fixed stream of numbers in [-1, 1). */
function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function attentionReference(q: Float32Array, k: Float32Array, v: Float32Array, length: number, dim: number): number[] {
  const out: number[] = [];
  for (let m = 0; m < length; m++) {
    const scores = Array.from({ length }, (_, n) => {
      let sum = 0;
      for (let d = 0; d < dim; d++) sum += q[m * dim + d]! * k[n * dim + d]!;
      return sum / Math.sqrt(dim);
    });
    const max = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - max));
    const total = weights.reduce((a, b) => a + b, 0);
    for (let d = 0; d < dim; d++)
      out.push(weights.reduce((sum, weight, n) => sum + weight * v[n * dim + d]!, 0) / total);
  }
  return out;
}

describe("attention forward", () => {
  it.each([
    [64, 32, 16],
    [77, 32, 16],
    [512, 64, 64],
  ])("length %i with blocks of %i and head dimension %i", (length, block, dim) => {
    const [q, k, v] = [1, 2, 3].map((seed) => numbers(length * dim, seed)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const out = new Float32Array(length * dim);
    const kernel = prepare(attentionKernel(block, block, dim));
    const shape = [length, dim];
    const start = performance.now();
    const { counts, grid } = kernel.run({
      arguments: { q: { data: q, shape }, k: { data: k, shape }, v: { data: v, shape }, out: { data: out, shape } },
    });
    const seconds = (performance.now() - start) / 1000;
    const expected = attentionReference(q, k, v, length, dim);
    const error = expected.reduce((worst, value, i) => Math.max(worst, Math.abs(value - out[i]!)), 0);
    // Scores err by about 2^-24 each for q's scaling and the dot (|score| < 8), weights and outputs by a few roundings of values below 1.
    expect(error).toBeLessThan(32 * 2 ** -24);
    const programs = Math.ceil(length / block);
    expect(grid).toEqual([programs, 1, 1]);
    expect(counts.dot).toBe(2 * programs * Math.ceil(length / block));
    expect(counts.view_store).toBe(programs);
    expect(seconds).toBeLessThan(5);
    if (process.env.INTERPRETER_TIMES) console.log(length, dim, seconds);
  });
});
