/** Loops and branches: nesting, simultaneous assignment of carried values, empty loops, counts of what was executed. */
import { describe, expect, it } from "vitest";
import { prepare } from "../../src/interpreter/index.ts";
import { type Builder, blockParameter, pointerType, tileType, type Value, viewType } from "../../src/ir/index.ts";
import { evaluate, tile } from "./evaluate.ts";
import { i32, makeKernel, pointer, run, scalar, storeTile, tensor } from "./kernels.ts";

/** A loop over [from, to) by step that carries `initial`; `body` gives the next values. */
function loop(
  b: Builder,
  [from, to, step]: readonly [Value, Value, Value],
  initial: readonly Value[],
  body: (i: Value, carried: Value[]) => readonly Value[],
): readonly Value[] {
  const [i, ...carried] = [tileType("i32"), ...initial.map(({ type }) => type)].map((type) => blockParameter(type));
  const block = b.block([i!, ...carried], () => b.create("yield", body(i!, carried)));
  return b.create("loop", [from, to, step, ...initial], {}, { blocks: [block] }).results;
}
const upTo = (b: Builder, to: number) => [i32(b, 0), i32(b, to), i32(b, 1)] as const;
const add = (b: Builder, x: Value, y: Value): Value => b.value("add", [x, y]);

describe("loop", () => {
  it("assigns all carried values at once", () => {
    const results = evaluate([], (b) => [
      // Fibonacci: (x, y) <- (y, x + y); and a rotation of three, through a reshape that shares memory.
      ...loop(b, upTo(b, 10), [i32(b, 0), i32(b, 1)], (_, [x, y]) => [y!, add(b, x!, y!)]),
      ...loop(
        b,
        upTo(b, 4),
        [1, 2, 3].map((value) => b.constant(value, "f32", [2])),
        (_, [x, y, z]) => [b.value("reshape", [b.value("expand_dims", [y!], { axis: 0 })], { shape: [2] }), z!, x!],
      ),
    ]);
    expect(results).toEqual([[55], [89], [2, 2], [3, 3], [1, 1]]);
  });

  it("nests; the inner loop starts anew each time", () => {
    const [total] = evaluate([], (b) => [
      ...loop(b, upTo(b, 4), [i32(b, 0)], (i, [outer]) => {
        const [inner] = loop(b, [i, i32(b, 4), i32(b, 1)], [i32(b, 100)], (j, [sum]) => [add(b, sum!, j)]);
        return [add(b, outer!, inner!)];
      }),
    ]);
    expect(total).toEqual([4 * 100 + (0 + 1 + 2 + 3) + (1 + 2 + 3) + (2 + 3) + 3]);
  });

  it("carries what an inner loop was given back to it", () => {
    const [x, y] = evaluate([], (b) => [
      ...loop(b, upTo(b, 3), [i32(b, 1), i32(b, 2)], (_, [p, q]) =>
        loop(b, upTo(b, 1), [q!, p!], (__, [r, s]) => [s!, r!]),
      ),
    ]);
    // Each round hands (q, p) in, swapped back to (p, q).
    expect([x, y]).toEqual([[1], [2]]);
  });

  it("may run no round, one round, and up to the largest i32", () => {
    const counts = [
      [5, 5, 1],
      [5, 0, 1],
      [0, 1, 100],
      [2 ** 31 - 10, 2 ** 31 - 1, 4],
      [-3, 3, 2],
    ].map(([from, to, step]) =>
      evaluate([], (b) => [
        ...loop(b, [i32(b, from!), i32(b, to!), i32(b, step!)], [i32(b, 0)], (_, [n]) => [add(b, n!, i32(b, 1))]),
      ]),
    );
    expect(counts).toEqual([[[0]], [[0]], [[1]], [[3]], [[3]]]);
  });

  it("carries pointers and views", () => {
    const kernel = makeKernel(
      { x: tensor("f32", 1), y: tensor("f32", 1), p: pointer("f32"), out: pointer("f32") },
      (b, p) => {
        const results = loop(b, upTo(b, 3), [p.x, p.y, p.p], (_, [x, y, address]) => [
          y!,
          x!,
          b.value("add_pointer", [address!, i32(b, 2)]),
        ]);
        const first = b.value("view_load", [results[0]!, i32(b, 0)], { shape: [1], inBounds: [false] });
        const second = b.value("load", [results[2]!]);
        storeTile(b, p.out, b.value("join", [b.value("reshape", [first], { shape: [] }), second]), [2]);
      },
    );
    expect(kernel.body.operations.find(({ opcode }) => opcode === "loop")!.results.map(({ type }) => type)).toEqual([
      viewType("f32", 1),
      viewType("f32", 1),
      pointerType("f32"),
    ]);
    const out = new Float32Array(2);
    const data = Float32Array.from({ length: 8 }, (_, i) => i);
    run(kernel, {
      x: { data: Float32Array.of(10), shape: [1] },
      y: { data: Float32Array.of(20), shape: [1] },
      p: { data },
      out: { data: out },
    });
    expect([...out]).toEqual([20, 6]);
  });

  it("refuses a step that is not positive", () => {
    expect(() =>
      evaluate([], (b) => [...loop(b, [i32(b, 0), i32(b, 3), i32(b, 0)], [i32(b, 0)], (_, [n]) => [n!])]),
    ).toThrow(/loop .*the step must be positive, but is 0/);
  });
});

describe("if", () => {
  it("runs only the arm that is taken", () => {
    const kernel = makeKernel(
      { out: pointer("i32") },
      (b, p) => {
        const x = b.value("program_id", [], { axis: 0 });
        const even = b.value("compare", [b.value("and", [x, i32(b, 1)]), i32(b, 0)], { predicate: "eq" });
        const address = b.value("add_pointer", [p.out, x]);
        const arm = (value: number, store: boolean) =>
          b.block([], () => {
            if (store) b.create("store", [address, i32(b, value)]);
            b.create("yield", [i32(b, value), b.constant(value, "f32", [2])]);
          });
        b.create("if", [even], {}, { blocks: [arm(7, true), arm(8, false)] });
      },
      ["5", "1", "1"],
    );
    const out = new Int32Array(5);
    const { counts, operations } = prepare(kernel).run({ arguments: { out: { data: out } } });
    expect([...out]).toEqual([7, 0, 7, 0, 7]);
    expect(counts).toMatchObject({ if: 5, store: 3, yield: 5, program_id: 5 });
    expect(operations.filter(({ opcode }) => opcode === "yield").map(({ count }) => count)).toEqual([3, 2]);
  });

  it("gives the values of its arms, inside a loop", () => {
    const [total] = evaluate([tile("bool", [true], [])], (b, [condition]) => [
      ...loop(b, upTo(b, 6), [i32(b, 0)], (i, [sum]) => {
        const small = b.value("compare", [i, i32(b, 3)], { predicate: "lt" });
        const both = b.value("and", [small, condition!]);
        const arms = [add(b, sum!, i), sum!].map((value) => b.block([], () => b.create("yield", [value])));
        return [b.value("if", [both], {}, { blocks: arms })];
      }),
    ]);
    expect(total).toEqual([3]);
  });
});

describe("a prepared kernel", () => {
  it("starts each launch and each program afresh and counts anew", () => {
    const kernel = makeKernel(
      { n: scalar("i32"), out: pointer("i32") },
      (b, p) => {
        const [sum] = loop(b, [i32(b, 0), p.n, i32(b, 1)], [i32(b, 0)], (i, [s]) => [add(b, s!, i)]);
        b.create("store", [b.value("add_pointer", [p.out, b.value("program_id", [], { axis: 0 })]), sum!]);
      },
      ["n", "1", "1"],
    );
    const prepared = prepare(kernel);
    for (const n of [4, 2, 0]) {
      const out = new Int32Array(4);
      const { counts, grid } = prepared.run({ arguments: { n, out: { data: out } } });
      expect(grid).toEqual([n, 1, 1]);
      expect([...out]).toEqual(Array.from({ length: 4 }, (_, i) => (i < n ? (n * (n - 1)) / 2 : 0)));
      expect(counts.yield).toBe(n * n);
    }
  });
});
