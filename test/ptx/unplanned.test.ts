/** Kernels that the compiler was not made for: they agree with the interpreter, run clean in the emulator and assemble without a spill. */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { kernel, tl } from "../../src/dsl/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { randomData } from "../support/random-data.ts";
import { runBoth, withoutConflicts } from "./emulator.ts";
import { instructionsOfLoops } from "./loops.ts";
import { assemble, describeWithAssembler, noSpills } from "./ptxas.ts";

/** Rows longer than a tile: statistics in one pass over the row, the result in a second. */
const layerNorm = kernel({
  name: "layer_norm",
  constants: { ROWS: 4, COLUMNS: 128 },
  params: {
    x: tl.tensor("f16", 2),
    weight: tl.tensor("f16", 1),
    bias: tl.tensor("f16", 1),
    out: tl.tensor("f16", 2),
    epsilon: tl.scalar("f32"),
  },
  grid: (p, { ROWS }) => [tl.cdiv(p.x.shape(0), ROWS)],
  body(p, { ROWS, COLUMNS }) {
    const first = tl.programId(0).mul(ROWS);
    const length = p.x.shape(1);
    const zero = tl.zeros([ROWS], "f32");
    const { sum, squares } = tl.loop({ to: length, step: COLUMNS }, { sum: zero, squares: zero }, (column, s) => {
      const x = p.x.load([first, column], [ROWS, COLUMNS]).to("f32");
      return { sum: s.sum.add(tl.sum(x, 1)), squares: s.squares.add(tl.sum(x.mul(x), 1)) };
    });
    const mean = sum.div(length.to("f32"));
    const scale = tl.rsqrt(squares.div(length.to("f32")).sub(mean.mul(mean)).add(p.epsilon));
    tl.loop({ to: length, step: COLUMNS }, {}, (column) => {
      const x = p.x.load([first, column], [ROWS, COLUMNS]).to("f32");
      const [weight, bias] = [p.weight, p.bias].map((row) => row.load([column], [COLUMNS]).to("f32").perColumn());
      const normal = x.sub(mean.perRow()).mul(scale.perRow());
      p.out.store([first, column], normal.mul(weight!).add(bias!).to("f16"));
      return {};
    });
  },
});

/** Causal linear attention by chunks: a state [D, E] carried along the sequence, and the chunk's own triangle. */
const linearAttention = kernel({
  name: "linear_attention",
  constants: { CHUNK: 32, DIM: 32 },
  params: { q: tl.tensor("f16", 2), k: tl.tensor("f16", 2), v: tl.tensor("f16", 2), out: tl.tensor("f32", 2) },
  grid: () => [1],
  body(p, { CHUNK, DIM }) {
    const [row, column] = [tl.arange(0, CHUNK).perRow(), tl.arange(0, CHUNK).perColumn()];
    tl.loop({ to: p.q.shape(0), step: CHUNK }, { state: tl.zeros([DIM, DIM], "f32") }, (first, { state }) => {
      const [q, k, v] = [p.q, p.k, p.v].map((view) => view.load([first, 0], [CHUNK, DIM]));
      const own = tl.where(column.le(row), tl.dot(q!, k!.trans()), 0).to("f16");
      const past = tl.dot(q!, state.to("f16"));
      p.out.store([first, 0], tl.dot(own, v!, past));
      return { state: tl.dot(k!.trans(), v!, state) };
    });
  },
});

/** relu(a · b + bias) / 2 + residual. */
const matmulEpilogue = kernel({
  name: "matmul_epilogue",
  constants: { M: 128, N: 128, K: 32 },
  params: {
    a: tl.tensor("f16", 2),
    b: tl.tensor("f16", 2),
    bias: tl.tensor("f32", 1),
    residual: tl.tensor("f16", 2),
    out: tl.tensor("f16", 2),
  },
  grid: (p, { M, N }) => [tl.cdiv(p.out.shape(1), N), tl.cdiv(p.out.shape(0), M)],
  hints: { numWarps: 8 },
  body(p, { M, N, K }) {
    const [column, row] = [tl.programId(0).mul(N), tl.programId(1).mul(M)];
    const { acc } = tl.loop({ to: p.a.shape(1), step: K }, { acc: tl.zeros([M, N], "f32") }, (k, s) => ({
      acc: tl.dot(p.a.load([row, k], [M, K]), p.b.load([k, column], [K, N]), s.acc),
    }));
    const biased = tl.maximum(acc.add(p.bias.load([column], [N]).perColumn()), 0).mul(0.5);
    p.out.store([row, column], biased.add(p.residual.load([row, column], [M, N]).to("f32")).to("f16"));
  },
});

const kernels = { layerNorm, linearAttention, matmulEpilogue };
const trace = (name: keyof typeof kernels) => optimize(kernels[name].trace({}));

function bits(rows: number, columns: number, seed: number, values: readonly number[]) {
  const data = randomData("f16", rows * columns, seed, true);
  for (let i = 0; i < data.length; i++) data[i] = values[Math.abs(Number(data[i])) % values.length]!;
  return { data, shape: [rows, columns] };
}
/** f16 patterns of 0, 1 and -1. */
const signs = [0, 0x3c00, 0xbc00];
const half = (pattern: number): number => {
  const [exponent, fraction] = [(pattern >> 10) & 31, pattern & 1023];
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return pattern & 0x8000 ? -size : size;
};

describe("kernels that nobody planned, in the emulator", () => {
  it("layer norm", () => {
    const [rows, columns] = [6, 200];
    const one = (seed: number) => ({ data: randomData("f16", columns, seed, true), shape: [columns] });
    const launch = {
      arguments: {
        x: { data: randomData("f16", rows * columns, 1, true), shape: [rows, columns] },
        weight: one(2),
        bias: one(3),
        out: { data: new Uint16Array(rows * columns), shape: [rows, columns] },
        epsilon: 1e-3,
      },
      grid: [2, 1, 1] as const,
    };
    const { expected, actual } = runBoth(trace("layerNorm"), launch);
    const numbers = (list: ArrayLike<number | bigint>): number[] =>
      Array.from({ length: list.length }, (_, i) => half(Number(list[i])));
    const [want, got] = [numbers(expected.out!), numbers(actual.out!)];
    const largest = Math.max(...want.map(Math.abs));
    // Before the last rounding: 200 additions in another order and an approximate rsqrt, far below half an ulp of f16. That is one ulp after it.
    for (const [i, value] of want.entries()) expect(Math.abs(value - got[i]!)).toBeLessThanOrEqual(largest * 2 ** -10);
  });

  it("linear attention", () => {
    const launch = {
      arguments: {
        q: bits(96, 32, 1, signs),
        k: bits(96, 32, 2, signs),
        v: bits(96, 32, 3, signs),
        out: { data: new Float32Array(96 * 32), shape: [96, 32] },
      },
    };
    const { expected, actual, report } = runBoth(trace("linearAttention"), launch);
    expect(actual.out).toEqual(expected.out);
    expect(withoutConflicts(report)).toBe(true);
  });

  it("a matrix product with an epilogue", () => {
    const [m, n, k] = [136, 144, 72];
    const launch = {
      arguments: {
        a: bits(m, k, 1, signs),
        b: bits(k, n, 2, signs),
        bias: { data: randomData("f32", n, 3, true), shape: [n] },
        residual: bits(m, n, 4, signs),
        out: { data: new Uint16Array(m * n), shape: [m, n] },
      },
      grid: [2, 2, 1] as const,
    };
    const { expected, actual } = runBoth(trace("matmulEpilogue"), launch);
    expect(actual.out).toEqual(expected.out);
  });
});

describe("their code", () => {
  it("has no exchange between threads in the loop of layer norm's sums", () => {
    const [sums] = instructionsOfLoops(compilePtx(trace("layerNorm"), { target: "sm_80" }).source);
    expect(sums!.filter((opcode) => /^(shfl|bar|ld\.shared)/.test(opcode))).toEqual([]);
  });

  it("spends tens of integer instructions a turn in the matrix product", () => {
    const [loop] = instructionsOfLoops(compilePtx(trace("matmulEpilogue"), { target: "sm_80" }).source);
    const count = (pattern: RegExp): number => loop!.filter((opcode) => pattern.test(opcode)).length;
    // 128 x 128 x 32 by 8 warps of 32 x 64 or 64 x 32: 32 mma, and 4 + 2 fragments of 16 x 16 for each of 2 steps of K.
    expect(count(/^mma/)).toBe(32);
    expect(count(/^ldmatrix/)).toBe(12);
    expect(count(/^cp\.async\.cg/)).toBe(4);
    expect(count(/\.(s32|s64|u32|b32|b64)$/) - count(/^mov/)).toBeLessThan(60);
  });
});

describeWithAssembler("kernels that nobody planned, by ptxas", () => {
  for (const name of Object.keys(kernels) as (keyof typeof kernels)[])
    it(`takes ${name} without a spill`, async () => {
      const { spills } = await assemble(compilePtx(trace(name), { target: "sm_80" }).source);
      expect(spills).toEqual(noSpills);
    });
});
