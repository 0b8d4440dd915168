/**
 * Every operation of the op table does what its summary says, on values worked out by hand or by other means. The table below must have
 * an entry for every opcode: a new operation without a test does not compile, and fails.
 */
import { describe, expect, it } from "vitest";
import { interpret } from "../../src/interpreter/index.ts";
import { type Attributes, blockParameter, type Opcode, opcodes, ops, tileType } from "../../src/ir/index.ts";
import { type Case, f, gives, inf, keeps, max32, max64, min32, min64, nan, on, ramp } from "./cases.ts";
import { elementwiseCases } from "./elementwise-cases.ts";
import { type Element, evaluate, type TileInput, tile } from "./evaluate.ts";
import { i32, makeKernel, pointer, pointersTo, run, scalar, storeTile, tensor } from "./kernels.ts";

const cases: Readonly<Record<Opcode, readonly Case[]>> = {
  constant: (
    [
      ["f32", 0.1, f(0.1)],
      ["f32", -inf, -inf],
      ["f16", 0.1, 0.0999755859375],
      ["bf16", 0.1, 0.10009765625],
      ["i32", -7, -7],
      ["u32", 2 ** 32 - 1, 2 ** 32 - 1],
      ["i8", -128, -128],
      ["i64", max64, max64],
      ["bool", true, true],
    ] as const
  ).map(([dtype, value, expected]) => [
    `${dtype} ${value}`,
    () => {
      const [scalarResult, filled] = evaluate([], (b) => [b.constant(value, dtype), b.constant(value, dtype, [2, 2])]);
      expect(scalarResult).toEqual([expected]);
      expect(filled).toEqual([expected, expected, expected, expected]);
    },
  ]),
  program_id: [["along each axis", () => expect(programNumbers("program_id")).toEqual(allPrograms.map(digits))]],
  num_programs: [["along each axis", () => expect(programNumbers("num_programs")).toEqual(allPrograms.map(() => 232))]],
  arange: [
    ["from 5", () => expect(evaluate([], (b) => b.value("arange", [], { start: 5, end: 9 }))).toEqual([[5, 6, 7, 8]])],
    ["negative", () => expect(evaluate([], (b) => b.value("arange", [], { start: -1, end: 1 }))).toEqual([[-1, 0]])],
  ],

  splat: [
    gives("splat", [tile("f32", [2.5], [])], [2.5, 2.5, 2.5, 2.5], { shape: [2, 2] }),
    gives("splat", [tile("i64", [-3n], [])], [-3n, -3n], { shape: [2] }),
    gives("splat", [tile("bool", [true], [])], [true, true], { shape: [2] }),
  ],
  broadcast: [
    gives("broadcast", [tile("f32", [1, 2], [2, 1])], [1, 1, 2, 2], { shape: [2, 2] }),
    gives("broadcast", [tile("f32", [1, 2], [1, 2])], [1, 2, 1, 2], { shape: [2, 2] }),
    gives("broadcast", [tile("i64", [1n, 2n], [2, 1])], [1n, 1n, 2n, 2n], { shape: [2, 2] }),
    gives("broadcast", [tile("i32", [1, 2, 3, 4], [2, 1, 2])], [1, 2, 1, 2, 3, 4, 3, 4], { shape: [2, 2, 2] }),
    gives("broadcast", [tile("i32", [1, 2], [1, 2, 1])], [1, 1, 2, 2, 1, 1, 2, 2], { shape: [2, 2, 2] }),
  ],
  expand_dims: [gives("expand_dims", [tile("i32", [1, 2], [2])], [1, 2], { axis: 1 })],
  reshape: [gives("reshape", [tile("i32", [1, 2, 3, 4], [2, 2])], [1, 2, 3, 4], { shape: [4, 1] })],
  trans: [
    gives("trans", [tile("f32", ramp(8), [2, 4])], [0, 4, 1, 5, 2, 6, 3, 7], { permutation: [1, 0] }),
    gives("trans", [tile("i32", ramp(8), [2, 2, 2])], [0, 2, 4, 6, 1, 3, 5, 7], { permutation: [2, 0, 1] }),
    gives("trans", [tile("i64", [0n, 1n, 2n, 3n], [2, 2])], [0n, 2n, 1n, 3n], { permutation: [1, 0] }),
  ],
  join: [
    on("join", "f32", [1, 2], [3, 4], [1, 3, 2, 4]),
    on("join", "i64", [1n, 2n], [3n, 4n], [1n, 3n, 2n, 4n]),
    gives("join", [tile("i8", [1], []), tile("i8", [2], [])], [1, 2]),
  ],
  split: [
    [
      "the inverse of join",
      () =>
        expect(evaluate([tile("i32", [1, 3, 2, 4], [2, 2])], (b, [x]) => [...b.create("split", [x!]).results])).toEqual(
          [
            [1, 2],
            [3, 4],
          ],
        ),
    ],
  ],

  ...elementwiseCases,

  dot: [
    [
      "products of bigger tiles, every float dtype and odd panels",
      () => {
        for (const dtype of ["f32", "f16", "bf16"] as const)
          for (const [m, k, n] of [
            [1, 1, 1],
            [2, 4, 1],
            [1, 8, 16],
            [8, 2, 4],
            [16, 32, 8],
          ] as const) {
            // Small integers: exact in every dtype, so any order of summation gives the same.
            const a = ramp(m * k).map((i) => ((i * 7) % 11) - 5);
            const b = ramp(k * n).map((i) => ((i * 5) % 13) - 6);
            const c = ramp(m * n).map((i) => i / 2);
            const expected = c.map((start, i) => {
              const [row, column] = [Math.floor(i / n), i % n];
              return ramp(k).reduce((sum, j) => sum + a[row * k + j]! * b[j * n + column]!, start);
            });
            const inputs = [tile(dtype, a, [m, k]), tile(dtype, b, [k, n]), tile("f32", c, [m, n])];
            expect(evaluate(inputs, (builder, tiles) => builder.value("dot", tiles, { precision: "ieee" }))).toEqual([
              expected,
            ]);
          }
      },
    ],
    // Of i8, modulo 2^32.
    gives(
      "dot",
      [
        tile("i8", [-128, 127, 1, 0], [2, 2]),
        tile("i8", [-128, 2, 127, -1], [2, 2]),
        tile("i32", [max32, 5, 0, min32], [2, 2]),
      ],
      [min32 + 128 * 128 + 127 * 127 - 1, -378, -128, min32 + 2],
      { precision: "ieee" },
    ),
    // 2^24 + 1 + 1 = 2^24 + 2 when rounded once.
    gives(
      "dot",
      [tile("f32", [2 ** 12, 1, 1, 0], [1, 4]), tile("f32", [2 ** 12, 1, 1, 0], [4, 1]), tile("f32", [0], [1, 1])],
      [2 ** 24 + 2],
      { precision: "tf32" },
    ),
  ],
  reduce: [
    gives("reduce", [tile("f32", [1, 2, 3, 4], [2, 2])], [4, 6], { axis: 0, kind: "sum" }),
    gives("reduce", [tile("f32", [1, 2, 3, 4], [2, 2])], [3, 7], { axis: 1, kind: "sum" }),
    gives("reduce", [tile("f32", ramp(8), [2, 2, 2])], [2, 4, 10, 12], { axis: 1, kind: "sum" }),
    gives("reduce", [tile("f32", [2 ** 24, 1, 1, 1])], [2 ** 24 + 4], { axis: 0, kind: "sum" }), // 2^24 + 3, a tie to even
    gives("reduce", [tile("f32", [1, 2, 3, 4])], [24], { axis: 0, kind: "product" }),
    gives("reduce", [tile("f32", [1, nan, 3, -4])], [3], { axis: 0, kind: "max" }),
    gives("reduce", [tile("f32", [nan, 2, 3, -4])], [-4], { axis: 0, kind: "min" }),
    gives("reduce", [tile("f32", [nan, nan])], [nan], { axis: 0, kind: "max" }),
    gives("reduce", [tile("f32", [-inf, -inf])], [-inf], { axis: 0, kind: "max" }),
    gives("reduce", [tile("f32", [nan, 5, 7, 7])], [2], { axis: 0, kind: "argmax" }),
    gives("reduce", [tile("f32", [4, 3, nan, 3])], [1], { axis: 0, kind: "argmin" }),
    gives("reduce", [tile("f32", [1, 4, 3, 2, 9, 0, 5, 6], [4, 2])], [2, 3], { axis: 0, kind: "argmax" }),
    gives("reduce", [tile("i32", [max32, 1, 0, 1])], [min32 + 1], { axis: 0, kind: "sum" }),
    gives("reduce", [tile("i32", [65537, 65537])], [131073], { axis: 0, kind: "product" }),
    gives("reduce", [tile("i32", [-5, 3])], [3], { axis: 0, kind: "max" }),
    gives("reduce", [tile("i32", [-5, -5])], [0], { axis: 0, kind: "argmin" }),
    gives("reduce", [tile("i32", [12, 10])], [8], { axis: 0, kind: "and" }),
    gives("reduce", [tile("i8", [-128, 1])], [-127], { axis: 0, kind: "or" }),
    gives("reduce", [tile("u32", [2 ** 32 - 1, 2])], [1], { axis: 0, kind: "sum" }),
    gives("reduce", [tile("u32", [2 ** 32 - 1, 2])], [2 ** 32 - 2], { axis: 0, kind: "product" }),
    gives("reduce", [tile("u32", [2 ** 31, 2])], [2 ** 31 + 2], { axis: 0, kind: "xor" }),
    gives("reduce", [tile("u32", [2 ** 32 - 1, 2])], [2], { axis: 0, kind: "min" }),
    gives("reduce", [tile("i64", [max64, 1n])], [min64], { axis: 0, kind: "sum" }),
    gives("reduce", [tile("i64", [2n ** 62n, 2n])], [min64], { axis: 0, kind: "product" }),
    gives("reduce", [tile("i64", [2n ** 60n, 2n ** 60n + 1n])], [1], { axis: 0, kind: "argmax" }),
    gives("reduce", [tile("i64", [3n, min64])], [min64], { axis: 0, kind: "min" }),
    gives("reduce", [tile("i64", [3n, 5n])], [6n], { axis: 0, kind: "xor" }),
    gives("reduce", [tile("bool", [true, false, true, true], [2, 2])], [false, true], { axis: 1, kind: "and" }),
    gives("reduce", [tile("bool", [true, false, false, false], [2, 2])], [true, false], { axis: 1, kind: "or" }),
    gives("reduce", [tile("bool", [true, true, false, true], [2, 2])], [false, true], { axis: 1, kind: "xor" }),
  ],
  gather: [
    gives("gather", [tile("f32", [5, 6, 7, 8]), tile("i32", [3, 0, 3, 1, 2, 2, 0, 1])], [8, 5, 8, 6, 7, 7, 5, 6], {
      axis: 0,
    }),
    gives("gather", [tile("i64", [1n, 2n, 3n, 4n], [2, 2]), tile("i32", [1, 0, 0, 1], [2, 2])], [3n, 2n, 1n, 4n], {
      axis: 0,
    }),
    gives("gather", [tile("bool", [true, false, false, false], [2, 2]), tile("i32", [0, 0], [2, 1])], [true, false], {
      axis: 1,
    }),
    gives(
      "gather",
      [tile("f32", [1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]), tile("i32", [1, 1, 0, 1], [2, 1, 2])],
      [3, 4, 5, 8],
      {
        axis: 1,
      },
    ),
  ],
  histogram: [
    gives("histogram", [tile("i32", [3, 0, 3, 1, -1, 4, max32, min32])], [1, 1, 0, 2], { bins: 4 }),
    gives("histogram", [tile("i32", [7, 0])], [1], { bins: 1 }),
  ],
  scan: [
    gives("scan", [tile("f32", [1, 2, 3, 4])], [1, 3, 6, 10], { axis: 0, kind: "sum", reverse: false }),
    gives("scan", [tile("f32", [1, 2, 3, 4])], [10, 9, 7, 4], { axis: 0, kind: "sum", reverse: true }),
    gives("scan", [tile("f32", [1, 2, 3, 4], [2, 2])], [1, 2, 3, 8], { axis: 0, kind: "product", reverse: false }),
    gives("scan", [tile("f32", [1, 2, 3, 4], [2, 2])], [3, 2, 7, 4], { axis: 1, kind: "sum", reverse: true }),
    gives("scan", [tile("f32", [1, nan, 0, 4])], [1, 1, 1, 4], { axis: 0, kind: "max", reverse: false }),
    gives("scan", [tile("i32", [max32, 1, -5, 0])], [max32, min32, max32 - 4, max32 - 4], {
      axis: 0,
      kind: "sum",
      reverse: false,
    }),
    gives("scan", [tile("i32", [65537, 65537])], [65537, 131073], { axis: 0, kind: "product", reverse: false }),
    gives("scan", [tile("u32", [2 ** 32 - 1, 2])], [2 ** 32 - 1, 1], { axis: 0, kind: "sum", reverse: false }),
    gives("scan", [tile("i64", [max64, 1n])], [min64, 1n], { axis: 0, kind: "sum", reverse: true }),
    gives("scan", [tile("i64", [3n, 1n, 2n, 0n])], [3n, 1n, 1n, 0n], { axis: 0, kind: "min", reverse: false }),
  ],

  add_pointer: (["i32", "u32", "i64"] as const).map((dtype) => [
    `by ${dtype}`,
    () => {
      const kernel = makeKernel({ x: pointer("f32"), out: pointer("f32") }, (b, p) => {
        const first = b.value("add_pointer", [p.x, b.constant(2, dtype)]);
        const back = dtype === "u32" ? first : b.value("add_pointer", [first, b.constant(-1, dtype)]);
        b.create("store", [p.out, b.value("load", [back])]);
      });
      const out = new Float32Array(1);
      run(kernel, { x: { data: Float32Array.of(5, 6, 7) }, out: { data: out } });
      expect(out[0]).toBe(dtype === "u32" ? 7 : 6);
    },
  ]),
  load: [
    ["masked off: 0", () => expect(maskedLoad(false)).toEqual([1, 0, 3, 0])],
    ["masked off: other", () => expect(maskedLoad(true)).toEqual([1, -1, 3, -1])],
    ...(["f32", "f16", "bf16", "i32", "u32", "i8"] as const).map(
      (dtype): Case => keeps("reshape", dtype, [1, 3], { shape: [2] }),
    ),
    keeps("reshape", "i64", [min64, max64], { shape: [2] }),
    keeps("reshape", "bool", [true, false], { shape: [2] }),
  ],
  store: [
    [
      "where the mask is true",
      () => {
        const kernel = makeKernel({ out: pointer("i32") }, (b, p) => {
          const mask = b.value("compare", [b.value("arange", [], { start: 0, end: 4 }), b.constant(2, "i32", [4])], {
            predicate: "ne",
          });
          b.create("store", [pointersTo(b, p.out, [4]), b.constant(7, "i32", [4]), mask]);
        });
        const out = Int32Array.of(1, 2, 3, 4);
        run(kernel, { out: { data: out } });
        expect([...out]).toEqual([7, 7, 3, 7]);
      },
    ],
  ],
  atomic_rmw: [
    ...(
      [
        ["add", "i32", [max32, 5], [1, 2], [min32, 7]],
        ["add", "u32", [2 ** 32 - 1, 5], [1, 2], [0, 7]],
        ["add", "f32", [2 ** 24, 0.5], [1, 2], [2 ** 24, 2.5]],
        ["max", "i32", [-1, 5], [1, 2], [1, 5]],
        ["max", "u32", [2 ** 32 - 1, 5], [1, 7], [2 ** 32 - 1, 7]],
        ["min", "i32", [-1, 5], [1, 2], [-1, 2]],
        ["min", "u32", [2 ** 32 - 1, 5], [1, 7], [1, 5]],
        ["and", "u32", [2 ** 32 - 1, 12], [2 ** 31, 10], [2 ** 31, 8]],
        ["or", "i32", [1, 12], [2, 10], [3, 14]],
        ["xor", "u32", [2 ** 32 - 1, 12], [1, 10], [2 ** 32 - 2, 6]],
        ["exchange", "f32", [1, 2], [3, 4], [3, 4]],
      ] as const
    ).map(
      ([kind, dtype, memory, values, expected]): Case => [
        `${kind} ${dtype}`,
        () => {
          const kernel = makeKernel({ x: pointer(dtype), v: pointer(dtype), old: pointer(dtype) }, (b, p) => {
            const value = b.value("load", [pointersTo(b, p.v, [2])]);
            storeTile(b, p.old, b.value("atomic_rmw", [pointersTo(b, p.x, [2]), value], { kind }), [2]);
          });
          const arrayOf = { i32: Int32Array, u32: Uint32Array, f32: Float32Array }[dtype];
          const [x, v, old] = [new arrayOf(memory), new arrayOf(values), new arrayOf(2)];
          run(kernel, { x: { data: x }, v: { data: v }, old: { data: old } });
          expect([...old]).toEqual(memory);
          expect([...x]).toEqual(expected);
        },
      ],
    ),
    [
      "one element, all lanes and programs; masked lanes do nothing",
      () => {
        const kernel = makeKernel(
          { x: pointer("i32"), old: pointer("i32") },
          (b, p) => {
            const lanes = b.value("arange", [], { start: 0, end: 4 });
            const mask = b.value("compare", [lanes, b.constant(2, "i32", [4])], { predicate: "lt" });
            const target = b.value("splat", [p.x], { shape: [4] });
            storeTile(
              b,
              p.old,
              b.value("atomic_rmw", [target, b.constant(10, "i32", [4]), mask], { kind: "add" }),
              [4],
            );
          },
          ["3", "1", "1"],
        );
        const [x, old] = [Int32Array.of(1), new Int32Array(4)];
        run(kernel, { x: { data: x }, old: { data: old } });
        expect(x[0]).toBe(61);
        expect([...old]).toEqual([41, 51, 0, 0]);
      },
    ],
  ],
  atomic_cas: (["i32", "u32"] as const).map((dtype) => [
    dtype,
    () => {
      const kernel = makeKernel({ x: pointer(dtype), old: pointer(dtype) }, (b, p) => {
        const swap = [b.constant(5, dtype, [2]), b.constant(9, dtype, [2])];
        storeTile(b, p.old, b.value("atomic_cas", [pointersTo(b, p.x, [2]), ...swap]), [2]);
      });
      const arrayOf = { i32: Int32Array, u32: Uint32Array }[dtype];
      const [x, old] = [arrayOf.of(5, 6), new arrayOf(2)];
      run(kernel, { x: { data: x }, old: { data: old } });
      expect([...x]).toEqual([9, 6]);
      expect([...old]).toEqual([5, 6]);
    },
  ]),
  make_view: [
    [
      "from a pointer, sizes and strides",
      () => {
        const kernel = makeKernel({ x: pointer("f32"), out: pointer("f32") }, (b, p) => {
          const start = b.value("add_pointer", [p.x, i32(b, 1)]);
          const numbers = [i32(b, 2), i32(b, 3), b.constant(1n, "i64"), i32(b, 2)];
          const view = b.value("make_view", [start, ...numbers], { rank: 2 });
          const x = b.value("view_load", [view, i32(b, 0), i32(b, 0)], { shape: [2, 4], inBounds: [true, false] });
          storeTile(b, p.out, x, [2, 4]);
        });
        const out = new Float32Array(8);
        run(kernel, { x: { data: Float32Array.from(ramp(8)) }, out: { data: out } });
        expect([...out]).toEqual([1, 3, 5, 0, 2, 4, 6, 0]);
      },
    ],
  ],
  view_pointer: [
    [
      "the first element's address",
      () => {
        const kernel = makeKernel({ x: tensor("f32", 1), out: pointer("f32") }, (b, p) => {
          b.create("store", [p.out, b.value("load", [b.value("view_pointer", [p.x])])]);
        });
        const out = new Float32Array(1);
        run(kernel, { x: { data: Float32Array.of(1, 2, 3), offset: 2, shape: [1] }, out: { data: out } });
        expect(out[0]).toBe(3);
      },
    ],
  ],
  view_size: [["along each axis", () => expect(viewNumbers("view_size", "i32")).toEqual([2, 3])]],
  view_stride: [["along each axis", () => expect(viewNumbers("view_stride", "i64")).toEqual([1n, 4n])]],
  // Edges, strides and negative indices: views.test.ts.
  view_load: [["zero fill outside", () => expect(windowOf([-1, 1])).toEqual([0, 0, 2, 0])]],
  view_store: [
    [
      "drops what is outside",
      () => {
        const kernel = makeKernel({ x: tensor("i32", 2) }, (b, p) => {
          const value = b.value("reshape", [b.value("arange", [], { start: 1, end: 5 })], { shape: [2, 2] });
          b.create("view_store", [p.x, value, i32(b, 1), i32(b, -1)], { inBounds: [false, false] });
        });
        const x = Int32Array.of(-1, -2, -3, -4);
        run(kernel, { x: { data: x, shape: [2, 2] } });
        expect([...x]).toEqual([-1, -2, 2, -4]);
      },
    ],
  ],

  print: [
    [
      "name, program, prefix and values",
      () => {
        const lines: string[] = [];
        const kernel = makeKernel(
          { x: scalar("f32"), y: pointer("i32") },
          (b, p) => {
            b.create("print", [p.x, b.value("arange", [], { start: 0, end: 4 })], { prefix: "seen" });
            b.create(
              "print",
              [b.value("reshape", [b.value("arange", [], { start: 0, end: 64 })], { shape: [32, 2] })],
              {
                prefix: "long",
              },
            );
            b.create(
              "print",
              [b.constant(true, "bool"), b.constant(-5, "i64"), b.value("add_pointer", [p.y, i32(b, 3)])],
              {
                prefix: "others",
              },
            );
          },
          ["1", "2", "1"],
        );
        interpret(kernel, {
          arguments: { x: 0.1, y: { data: new Int32Array(1) } },
          onPrint: (line) => lines.push(line),
        });
        expect(lines).toHaveLength(6);
        expect(lines[0]).toBe("test[0,0,0] seen: 0.1, [0, 1, 2, 3]");
        expect(lines[3]).toBe("test[0,1,0] seen: 0.1, [0, 1, 2, 3]");
        expect(lines[1]).toBe("test[0,0,0] long: [[0, 1], [2, 3], [4, 5], ..., [58, 59], [60, 61], [62, 63]]");
        expect(lines[2]).toBe("test[0,0,0] others: true, -5, y+3");
      },
    ],
  ],
  assert: [
    [
      "throws, or is collected",
      () => {
        const kernel = makeKernel({ x: pointer("i32"), out: pointer("i32") }, (b, p) => {
          const x = b.value("load", [pointersTo(b, p.x, [2])]);
          b.create("assert", [b.value("compare", [x, b.constant(0, "i32", [2])], { predicate: "gt" })], {
            message: "x > 0",
          });
          storeTile(b, p.out, x, [2]);
        });
        const out = { data: new Int32Array(2) };
        run(kernel, { x: { data: Int32Array.of(1, 2) }, out });
        const bad = { x: { data: Int32Array.of(1, -2) }, out };
        expect(() => run(kernel, bad)).toThrow(/program \(0, 0, 0\), assert .* element \[1\]: assertion failed: x > 0/);
        const failed: string[] = [];
        interpret(kernel, { arguments: bad, onAssert: (message) => failed.push(message) });
        expect(failed).toEqual([expect.stringContaining("assertion failed: x > 0")]);
        expect([...out.data]).toEqual([1, -2]);
      },
    ],
  ],

  // More of control flow: control.test.ts.
  loop: [
    [
      "carries values",
      () => {
        const [sum] = evaluate([], (b) => {
          const [i, total] = [blockParameter(tileType("i32")), blockParameter(tileType("i32"))];
          const body = b.block([i, total], () => b.create("yield", [b.value("add", [total, i])]));
          return b.value("loop", [i32(b, 1), i32(b, 8), i32(b, 3), i32(b, 100)], {}, { blocks: [body] });
        });
        expect(sum).toEqual([100 + 1 + 4 + 7]);
      },
    ],
  ],
  if: [["takes one arm", () => expect([true, false].map(chosenArm)).toEqual([1, 2])]],
  yield: [["ends both arms", () => expect(chosenArm(false)).toBe(2)]],
};

const allPrograms = ramp(12);
/** Grid [2, 3, 2]: the number of a program as x + 10 y + 100 z. */
const digits = (program: number): number =>
  (program % 2) + 10 * (Math.floor(program / 2) % 3) + 100 * Math.floor(program / 6);

/** What each program sees along the three axes, as decimal digits. */
function programNumbers(opcode: "program_id" | "num_programs"): number[] {
  const kernel = makeKernel(
    { out: pointer("i32") },
    (b, p) => {
      const [x, y, z] = [0, 1, 2].map((axis) => b.value("program_id", [], { axis }));
      const scaled = (value: number, by: number) => b.value("mul", [b.value(opcode, [], { axis: value }), i32(b, by)]);
      const seen = b.value("add", [b.value("add", [scaled(0, 1), scaled(1, 10)]), scaled(2, 100)]);
      const row = b.value("add", [b.value("mul", [z!, i32(b, 3)]), y!]);
      const at = b.value("add", [b.value("mul", [row, i32(b, 2)]), x!]);
      b.create("store", [b.value("add_pointer", [p.out, at]), seen]);
    },
    ["2", "1 + 2", "2"],
  );
  const out = new Int32Array(12);
  run(kernel, { out: { data: out } });
  return [...out];
}

function maskedLoad(other: boolean): number[] {
  const kernel = makeKernel({ x: pointer("f32"), out: pointer("f32") }, (b, p) => {
    const lanes = b.value("arange", [], { start: 0, end: 4 });
    const odd = b.value("and", [lanes, b.constant(1, "i32", [4])]);
    const mask = b.value("compare", [odd, b.constant(0, "i32", [4])], { predicate: "eq" });
    const operands = [pointersTo(b, p.x, [4]), mask, ...(other ? [b.constant(-1, "f32", [4])] : [])];
    storeTile(b, p.out, b.value("load", operands), [4]);
  });
  const out = new Float32Array(4);
  run(kernel, { x: { data: Float32Array.of(1, 2, 3) }, out: { data: out } }); // Lane 3 is outside, and masked off.
  return [...out];
}

function viewNumbers(opcode: "view_size" | "view_stride", dtype: "i32" | "i64"): Element[] {
  const out = dtype === "i32" ? new Int32Array(2) : new BigInt64Array(2);
  const kernel = makeKernel({ x: tensor("f32", 2), out: pointer(dtype) }, (b, p) => {
    const [first, second] = [0, 1].map((axis) => b.value(opcode, [p.x], { axis }));
    storeTile(b, p.out, b.value("join", [first!, second!]), [2]);
  });
  run(kernel, { x: { data: new Float32Array(10), shape: [2, 3], strides: [1, 4] }, out: { data: out } });
  return Array.from<number | bigint>(out as Int32Array);
}

/** A window of [2, 2] at the indices of the view [[0, 1], [2, 3]]. */
function windowOf(indices: readonly number[]): Element[] {
  const out = new Int32Array(4);
  const kernel = makeKernel({ x: tensor("i32", 2), out: pointer("i32") }, (b, p) => {
    const at = indices.map((index) => i32(b, index));
    storeTile(b, p.out, b.value("view_load", [p.x, ...at], { shape: [2, 2], inBounds: [false, false] }), [2, 2]);
  });
  run(kernel, { x: { data: Int32Array.of(1, 2, 3, 4), shape: [2, 2] }, out: { data: out } });
  return [...out];
}

function chosenArm(condition: boolean): Element {
  return evaluate([tile("bool", [condition], [])], (b, [c]) => {
    const arm = (value: number) => b.block([], () => b.create("yield", [i32(b, value)]));
    return b.value("if", [c!], {}, { blocks: [arm(1), arm(2)] });
  })[0]![0]!;
}

describe.each(opcodes)("%s", (opcode) => {
  it("has a test", () => expect(cases[opcode].length).toBeGreaterThan(0));
  for (const [name, test] of cases[opcode]) it(name, test);
});

/** Operands for each operation that rearranges, of elements that no arithmetic gives. */
const rearrangements: readonly [Opcode, readonly TileInput[], Attributes][] = [
  ["splat", [tile("i32", [100], [])], { shape: [4] }],
  ["broadcast", [tile("i32", [100, 1003], [2, 1])], { shape: [2, 2] }],
  ["expand_dims", [tile("i32", [100, 1003])], { axis: 0 }],
  ["reshape", [tile("i32", [100, 1003, 7, -5])], { shape: [2, 2] }],
  ["trans", [tile("i32", [100, 1003, 7, -5], [2, 2])], { permutation: [1, 0] }],
  ["join", [tile("i32", [100, 1003]), tile("i32", [7, -5])], {}],
  ["split", [tile("i32", [100, 1003, 7, -5], [2, 2])], {}],
  ["convert_layout", [tile("i32", [100, 1003])], {}],
];

describe("operations that rearrange", () => {
  it("are those", () => {
    const rearranging = opcodes.filter((opcode) => ops[opcode].rearranges);
    expect(rearranging.sort()).toEqual(rearrangements.map(([opcode]) => opcode).sort());
  });

  it.each(rearrangements)("%s gives elements of its operands, and each of them", (opcode, inputs, attributes) => {
    const results = evaluate(inputs, (b, tiles) => [...b.create(opcode, tiles, attributes).results]);
    expect(new Set(results.flat())).toEqual(new Set(inputs.flatMap(({ values }) => values)));
  });
});
