/**
 * Layout assignment on small kernels with a toy policy: dots and loads are anchors, everything else must follow, and conversions
 * appear only where two anchors meet.
 */
import { describe, expect, it } from "vitest";
import {
  Builder,
  blockParameter,
  type Kernel,
  type Operation,
  tileType,
  type Value,
  viewType,
  walk,
} from "../../src/ir/index.ts";
import { assignLayouts, defaultBlocked, type LayoutPolicy, layoutOfReduce, mmaLayout } from "../../src/layout/index.ts";

const loads = (shape: readonly number[]) => defaultBlocked({ shape, warps: 4, contiguous: 4 });
const accumulator = ([m, n]: readonly number[]) =>
  mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [m!, n!], warpsPerCta: [4, 1] });

const policy: LayoutPolicy = {
  anchor(operation) {
    const shape = (i: number) => (operation.operands[i]!.type as { shape: readonly number[] }).shape;
    if (operation.opcode === "view_load") return { results: [loads(operation.attributes.shape as number[])] };
    if (operation.opcode === "dot") {
      const layout = accumulator(shape(2));
      return { operands: [loads(shape(0)), loads(shape(1)), layout], results: [layout], weight: 2 };
    }
    return undefined;
  },
  default: (type) => defaultBlocked({ shape: type.shape, warps: 4 }),
};

function kernelOf(fill: (b: Builder, view: Value, at: Value) => void): Kernel {
  const b = new Builder();
  const view = blockParameter(viewType("f16", 2), "x");
  fill(b, view, b.constant(0, "i32"));
  return {
    name: "k",
    parameters: [{ name: "x", kind: "tensor", dtype: "f16", rank: 2, facts: {} }],
    body: b.finish([view]),
    constants: {},
    grid: null,
    hints: {},
  };
}

function opsOf(kernel: Kernel, opcode: string): Operation[] {
  const found: Operation[] = [];
  walk(kernel.body, (operation) => {
    if (operation.opcode === opcode) found.push(operation);
  });
  return found;
}

/** An attention-shaped loop: two dots, row statistics, a mask from ranges. */
const attentionLike = kernelOf((b, view, at) => {
  const load = () => b.value("view_load", [view, at, at], { shape: [64, 64], inBounds: [false, false] });
  const q = load();
  const row = b.value("expand_dims", [b.value("arange", [], { start: 0, end: 64 })], { axis: 1 });
  const column = b.value("expand_dims", [b.value("arange", [], { start: 0, end: 64 })], { axis: 0 });
  const mask = b.value(
    "compare",
    [row, column].map((x) => b.value("broadcast", [x], { shape: [64, 64] })),
    { predicate: "ge" },
  );
  const iv = blockParameter(tileType("i32"), "n");
  const max = blockParameter(tileType("f32", [64]), "max");
  const acc = blockParameter(tileType("f32", [64, 64]), "acc");
  const body = b.block([iv, max, acc], () => {
    const k = b.value("trans", [load()], { permutation: [1, 0] });
    const scores = b.value("dot", [q, k, b.constant(0, "f32", [64, 64])], { precision: "ieee" });
    const masked = b.value("select", [mask, scores, b.constant(Number.NEGATIVE_INFINITY, "f32", [64, 64])]);
    const newMax = b.value("max", [max, b.value("reduce", [masked], { axis: 1, kind: "max" })]);
    const perRow = b.value("broadcast", [b.value("expand_dims", [newMax], { axis: 1 })], { shape: [64, 64] });
    const weights = b.value("cast", [b.value("exp2", [b.value("sub", [masked, perRow])])], { dtype: "f16" });
    b.create("yield", [newMax, b.value("dot", [weights, load(), acc], { precision: "ieee" })]);
  });
  const out = b.create(
    "loop",
    [at, at, at, b.constant(0, "f32", [64]), b.constant(0, "f32", [64, 64])],
    {},
    { blocks: [body] },
  );
  b.create("view_store", [view, b.value("cast", [out.results[1]!], { dtype: "f16" }), at, at], {
    inBounds: [false, false],
  });
});

describe("assignLayouts", () => {
  const { kernel, layouts } = assignLayouts(attentionLike, policy);

  it("gives every ranked value a layout of its own shape", () => {
    walk(kernel.body, (operation) => {
      for (const value of [...operation.operands, ...operation.results]) {
        if (value.type.kind === "view" || value.type.shape.length === 0) continue;
        expect(layouts.get(value)?.shape).toEqual(value.type.shape);
      }
    });
  });

  it("gives operands and results of an elementwise operation one layout", () => {
    for (const opcode of ["select", "sub", "compare", "exp2", "cast", "max"])
      for (const { operands, results } of opsOf(kernel, opcode)) {
        const keys = new Set([...operands, ...results].map((value) => layouts.get(value)!.key));
        expect([opcode, keys.size]).toEqual([opcode, 1]);
      }
  });

  it("lets carried values follow the dot and the row statistics follow its rows", () => {
    const [loop] = opsOf(kernel, "loop");
    const [, max, acc] = loop!.blocks[0]!.parameters;
    expect(layouts.get(acc!)!.equals(accumulator([64, 64]))).toBe(true);
    expect(layouts.get(max!)!.equals(layoutOfReduce(accumulator([64, 64]), 1))).toBe(true);
  });

  it("computes the mask once, in the accumulator's layout, outside the loop", () => {
    expect(opsOf(kernel, "compare")).toHaveLength(1);
    expect(kernel.body.operations.some((operation) => operation.opcode === "compare")).toBe(true);
  });

  it("converts exactly where anchors meet: k after trans, the weights for the second dot", () => {
    const converted = opsOf(kernel, "convert_layout").map((operation) => operation.operands[0]!.definition!.opcode);
    expect(converted.sort()).toEqual(["cast", "trans"]);
  });

  it("gives a pointer that a loop carries only to load from it the layout of the load", () => {
    const coalesced = loads([512]);
    const walking = kernelOf((b, view, at) => {
      const base = b.value("splat", [b.value("view_pointer", [view])], { shape: [512] });
      const start = b.value("add_pointer", [base, b.value("arange", [], { start: 0, end: 512 })]);
      const iv = blockParameter(tileType("i32"), "i");
      const pointer = blockParameter(start.type, "pointer");
      const body = b.block([iv, pointer], () => {
        b.create("store", [pointer, b.value("load", [pointer])]);
        b.create("yield", [b.value("add_pointer", [pointer, b.constant(512, "i32", [512])])]);
      });
      b.create("loop", [at, at, at, start], {}, { blocks: [body] });
    });
    const { kernel: laid, layouts: chosen } = assignLayouts(walking, {
      anchor: (operation) =>
        operation.opcode === "load"
          ? { operands: [coalesced], results: [coalesced] }
          : policy.anchor(operation, () => undefined),
      default: policy.default,
    });
    const [loop] = opsOf(laid, "loop");
    expect(chosen.get(loop!.blocks[0]!.parameters[1]!)!.equals(coalesced)).toBe(true);
    expect(opsOf(laid, "convert_layout")).toEqual([]);
  });
});
