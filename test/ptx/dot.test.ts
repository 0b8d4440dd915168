/**
 * dot on tensor cores and by multiply-adds, over shapes at and below the instructions' own, both ways of storing b, and numbers of
 * warps: PTX in the emulator against the interpreter. Operands are small integers: every sum is exact, so results are equal.
 */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import type { DType, Kernel, Value } from "../../src/ir/index.ts";
import { i32, makeKernel, tensor } from "../interpreter/kernels.ts";
import { randomData } from "../support/random-data.ts";
import { runBoth, withoutConflicts } from "./emulator.ts";

function dotKernel(dtype: DType, [m, n, k]: Shape, transposed: boolean, precision: string): Kernel {
  const rows = (type: DType, length: number) => ({
    ...tensor(type, 2),
    facts: { unitStride: true, alignment: Math.min(16, length * (type === "f32" ? 4 : 2)) },
  });
  return makeKernel({ a: rows(dtype, k), b: rows(dtype, transposed ? k : n), c: rows("f32", n) }, (b, p) => {
    const zero = i32(b, 0);
    const load = (view: "a" | "b", shape: number[]) =>
      b.value("view_load", [p[view], zero, zero], { shape, inBounds: [true, true] });
    const right = transposed ? b.value("trans", [load("b", [n, k])], { permutation: [1, 0] }) : load("b", [k, n]);
    const product = b.value("dot", [load("a", [m, k]), right, b.constant(0.5, "f32", [m, n])], { precision });
    b.create("view_store", [p.c, product, zero, zero], { inBounds: [true, true] });
  });
}

type Shape = readonly [m: number, n: number, k: number];
const shapes: readonly Shape[] = [
  [64, 64, 64],
  [128, 32, 32],
  [16, 8, 16],
  [8, 8, 16],
  [1, 64, 64],
  [64, 2, 16],
  [16, 128, 16],
  [4, 4, 4],
  [2, 4, 8],
  [16, 16, 1],
];

function launchArguments(dtype: DType, [m, n, k]: Shape, transposed: boolean) {
  return {
    a: { data: randomData(dtype, m * k, 1, true), shape: [m, k] },
    b: { data: randomData(dtype, k * n, 2, true), shape: transposed ? [n, k] : [k, n] },
    c: { data: new Float32Array(m * n), shape: [m, n] },
  };
}

describe("dot in the emulator", () => {
  for (const [dtype, precision] of [
    ["f16", "ieee"],
    ["bf16", "ieee"],
    ["f32", "ieee"],
    ["f32", "tf32"],
  ] as const)
    for (const shape of shapes)
      it(`${dtype} ${precision} ${shape.join(" x ")}`, () => {
        for (const [transposed, numWarps] of [
          [false, 4],
          [true, 1],
          [true, 8],
        ] as const) {
          const kernel = dotKernel(dtype, shape, transposed, precision);
          const launch = { arguments: launchArguments(dtype, shape, transposed) };
          const { expected, actual } = runBoth(kernel, launch, { numWarps });
          expect(actual.c).toEqual(expected.c);
        }
      });

  it("has no bank conflict, transposed or not", () => {
    for (const [dtype, transposed] of [
      ["f16", false],
      ["f16", true],
      ["f32", false],
      ["f32", true],
    ] as const) {
      const shape = [128, 64, 64] as const;
      const kernel = dotKernel(dtype, shape, transposed, "ieee");
      const { report } = runBoth(kernel, { arguments: launchArguments(dtype, shape, transposed) });
      expect(withoutConflicts(report)).toBe(true);
      for (const { sectors, leastSectors } of report.globalAccesses) expect(sectors).toBe(leastSectors);
    }
  });

  it("has none where k is so short that the banks hold several rows at once", () => {
    for (const [dtype, shape] of [
      ["f32", [64, 32, 4]],
      ["f32", [16, 32, 8]],
      ["f32", [32, 8, 16]],
      ["f32", [128, 64, 16]],
      // By multiply-adds in f32, from vectors of 8.
      ["f16", [128, 8, 8]],
      ["f16", [32, 64, 8]],
    ] as const)
      for (const numWarps of [1, 4, 8]) {
        const launch = { arguments: launchArguments(dtype, shape, true) };
        const { report } = runBoth(dotKernel(dtype, shape, true, "ieee"), launch, { numWarps });
        expect([shape, numWarps, withoutConflicts(report)]).toEqual([shape, numWarps, true]);
      }
  });
});

/**
 * out = (a bᵀ)ᵀ a, as the gradients of attention have it: the second dot reads the first one's result along the axis that it holds in lanes.
 * Or out = (a bᵀ) b, as attention has it: along the other axis.
 */
function chainedKernel([m, n, k]: Shape, order: "gradient" | "forward"): Kernel {
  const rows = { ...tensor("f32", 2), facts: { unitStride: true, alignment: 16 } };
  return makeKernel({ a: rows, b: rows, out: rows }, (b, p) => {
    const zero = i32(b, 0);
    const load = (view: "a" | "b", shape: number[]) =>
      b.value("view_load", [p[view], zero, zero], { shape, inBounds: [true, true] });
    const swap = (value: Value) => b.value("trans", [value], { permutation: [1, 0] });
    const dot = (x: Value, y: Value, shape: number[]) =>
      b.value("dot", [x, y, b.constant(0, "f32", shape)], { precision: "ieee" });
    const left = load("a", [m, k]);
    const right = load("b", [n, k]);
    const first = dot(left, swap(right), [m, n]);
    const second = order === "gradient" ? dot(swap(first), left, [n, k]) : dot(first, right, [m, k]);
    b.create("view_store", [p.out, second, zero, zero], { inBounds: [true, true] });
  });
}

describe("a dot in f32 of another's result", () => {
  it.each([
    ["gradient", [32, 8, 64], 8],
    ["gradient", [64, 16, 64], 4],
    ["gradient", [32, 16, 128], 4],
    ["forward", [16, 16, 128], 8],
    ["forward", [16, 16, 64], 8],
    ["forward", [32, 32, 64], 4],
    ["forward", [64, 64, 64], 8],
    ["forward", [64, 64, 16], 4],
    ["gradient", [32, 32, 16], 4],
    ["forward", [32, 64, 16], 8],
    ["forward", [32, 32, 8], 4],
  ] as const)("%s %j in %i warps: no bank conflict", (order, shape, numWarps) => {
    const [m, n, k] = shape;
    const rows = order === "gradient" ? n : m;
    const given = {
      a: { data: randomData("f32", m * k, 1, true), shape: [m, k] },
      b: { data: randomData("f32", n * k, 2, true), shape: [n, k] },
      out: { data: new Float32Array(rows * k), shape: [rows, k] },
    };
    const { expected, actual, report } = runBoth(chainedKernel(shape, order), { arguments: given }, { numWarps });
    expect(actual.out).toEqual(expected.out);
    expect(withoutConflicts(report)).toBe(true);
  });
});

describe("the instructions of a dot", () => {
  const opcodesOf = (kernel: Kernel): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const [opcode] of compilePtx(kernel, { target: "sm_80" }).source.matchAll(/\b(mma|ldmatrix|fma)\.[\w.]+/g))
      counts.set(opcode, (counts.get(opcode) ?? 0) + 1);
    return counts;
  };

  it("multiplies 128 x 64 x 64 in 4 warps by 64 mma, fed by x4 matrix loads", () => {
    const counts = opcodesOf(dotKernel("f16", [128, 64, 64], true, "ieee"));
    expect(counts.get("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32")).toBe(64);
    // a: 32 x 64 a warp is 8 fragments of 16 x 16; b: 64 x 64 is 16 pieces of 16 x 16.
    expect(counts.get("ldmatrix.sync.aligned.m8n8.x4.shared.b16")).toBe(24);
  });

  it("reads a row-major b with transposing loads", () => {
    const counts = opcodesOf(dotKernel("bf16", [128, 64, 64], false, "ieee"));
    // Each of 4 warps computes 64 x 32: 2 x 4 fragments of 16 x 16.
    expect(counts.get("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16")).toBe(8);
  });

  it("feeds an accumulator into the next dot without shared memory", () => {
    const kernel = makeKernel({ a: tensor("f16", 2), b: tensor("f16", 2), c: tensor("f32", 2) }, (b, p) => {
      const zero = i32(b, 0);
      const [left, right] = (["a", "b"] as const).map((view) =>
        b.value("view_load", [p[view], zero, zero], { shape: [64, 64], inBounds: [true, true] }),
      );
      const none = b.constant(0, "f32", [64, 64]);
      const first = b.value("dot", [left!, right!, none], { precision: "ieee" });
      const weights = b.value("cast", [b.value("exp2", [first])], { dtype: "f16" });
      const second = b.value("dot", [weights, right!, none], { precision: "ieee" });
      b.create("view_store", [p.c, second, zero, zero], { inBounds: [true, true] });
    });
    const { source } = compilePtx(kernel, { target: "sm_80" });
    const afterFirst = source.slice(source.lastIndexOf("ex2.approx"));
    expect(afterFirst).not.toContain("st.shared");
    expect(afterFirst).toContain("mma.sync");
  });
});
