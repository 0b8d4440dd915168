/** Attention forward, one kernel that uses most of the language, against a plain f64 computation; and fast enough to be an oracle. */
import { describe, expect, it } from "vitest";
import { prepare } from "../../src/interpreter/index.ts";
import type { Builder, Kernel, Value } from "../../src/ir/index.ts";
import { blockParameter, tileType } from "../../src/ir/index.ts";
import { i32, makeKernel, tensor } from "./kernels.ts";

function attentionKernel(blockM: number, blockN: number, dim: number): Kernel {
  const parameters = { q: tensor("f32", 2), k: tensor("f32", 2), v: tensor("f32", 2), out: tensor("f32", 2) };
  return makeKernel(
    parameters,
    (b: Builder, p: Record<keyof typeof parameters, Value>) => {
      const zero = i32(b, 0);
      const row = b.value("mul", [b.value("program_id", [], { axis: 0 }), i32(b, blockM)]);
      const size = b.value("view_size", [p.k], { axis: 0 });
      const q = b.value("view_load", [p.q, row, zero], { shape: [blockM, dim], inBounds: [false, true] });
      const scaled = b.value("mul", [q, b.constant(Math.LOG2E / Math.sqrt(dim), "f32", [blockM, dim])]);
      const perRow = (x: Value, columns: number): Value =>
        b.value("broadcast", [b.value("expand_dims", [x], { axis: 1 })], { shape: [blockM, columns] });
      const types = [tileType("f32", [blockM]), tileType("f32", [blockM]), tileType("f32", [blockM, dim])];
      const [n, max, sum, acc] = [tileType("i32"), ...types].map((type) => blockParameter(type));
      const body = b.block([n!, max!, sum!, acc!], () => {
        const window = { inBounds: [false, true], shape: [blockN, dim] };
        const k = b.value("view_load", [p.k, n!, zero], window);
        const kt = b.value("trans", [k], { permutation: [1, 0] });
        const all = b.value("dot", [scaled, kt, b.constant(0, "f32", [blockM, blockN])], { precision: "ieee" });
        const column = b.value("add", [
          b.value("splat", [n!], { shape: [blockN] }),
          b.value("arange", [], { start: 0, end: blockN }),
        ]);
        const inside = b.value("compare", [column, b.value("splat", [size], { shape: [blockN] })], { predicate: "lt" });
        const mask = b.value("broadcast", [b.value("expand_dims", [inside], { axis: 0 })], { shape: [blockM, blockN] });
        const minus = b.constant(Number.NEGATIVE_INFINITY, "f32", [blockM, blockN]);
        const scores = b.value("select", [mask, all, minus]);
        const newMax = b.value("max", [max!, b.value("reduce", [scores], { axis: 1, kind: "max" })]);
        const weights = b.value("exp2", [b.value("sub", [scores, perRow(newMax, blockN)])]);
        const rescale = b.value("exp2", [b.value("sub", [max!, newMax])]);
        const newSum = b.value("add", [
          b.value("mul", [sum!, rescale]),
          b.value("reduce", [weights], { axis: 1, kind: "sum" }),
        ]);
        const v = b.value("view_load", [p.v, n!, zero], window);
        const kept = b.value("mul", [acc!, perRow(rescale, dim)]);
        b.create("yield", [newMax, newSum, b.value("dot", [weights, v, kept], { precision: "ieee" })]);
      });
      const loop = b.create(
        "loop",
        [
          zero,
          size,
          i32(b, blockN),
          b.constant(Number.NEGATIVE_INFINITY, "f32", [blockM]),
          b.constant(0, "f32", [blockM]),
          b.constant(0, "f32", [blockM, dim]),
        ],
        {},
        { blocks: [body] },
      );
      const out = b.value("div", [loop.results[2]!, perRow(loop.results[1]!, dim)]);
      b.create("view_store", [p.out, out, row, zero], { inBounds: [false, true] });
    },
    [`ceilDiv(q.shape.0, ${blockM})`, "1", "1"],
  );
}

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
