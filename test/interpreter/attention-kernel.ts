/** Attention forward, built with the Builder: one kernel that uses most of the language. One head, [length, dim] tensors. */
import { type Builder, blockParameter, type Kernel, tileType, type Value } from "../../src/ir/index.ts";
import { i32, makeKernel, tensor } from "./kernels.ts";

/** FlashAttention-2, algorithm 1, with a mask at the end of the keys. */
export function attentionKernel(blockM: number, blockN: number, dim: number): Kernel {
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
