/** Windows of views against element-by-element indexing: strides of every kind, edges, negative indices, leading indices. */
import { describe, expect, it } from "vitest";
import { type DType, dtypes } from "../../src/ir/index.ts";
import { decode, type Element, encode } from "./evaluate.ts";
import { makeKernel, pointer, run, scalar, storeTile, tensor } from "./kernels.ts";

interface Layout {
  readonly name: string;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
}
const layouts: readonly Layout[] = [
  { name: "row-major", shape: [5, 6], strides: [6, 1], offset: 0 },
  { name: "column-major", shape: [5, 6], strides: [1, 5], offset: 2 },
  { name: "padded rows", shape: [5, 6], strides: [9, 1], offset: 3 },
  { name: "reversed", shape: [5, 6], strides: [-6, -1], offset: 40 },
  { name: "broadcast", shape: [5, 6], strides: [0, 1], offset: 1 },
  { name: "one row", shape: [1, 6], strides: [6, 1], offset: 0 },
  { name: "empty", shape: [0, 6], strides: [6, 1], offset: 0 },
];
const data = Float32Array.from({ length: 64 }, (_, i) => i + 1);

/** Element (row, column) of the view, 0 outside. */
const at = ({ shape, strides, offset }: Layout, row: number, column: number): number =>
  row >= 0 && row < shape[0]! && column >= 0 && column < shape[1]!
    ? data[offset + row * strides[0]! + column * strides[1]!]!
    : 0;
const windowIndices = (rows: number, columns: number): [number, number][] =>
  Array.from({ length: rows * columns }, (_, i) => [Math.floor(i / columns), i % columns]);
const starts = [-9, -3, -1, 0, 1, 3, 4, 6, 100];

describe.each(layouts)("a view: $name", (layout) => {
  const { shape, strides, offset } = layout;

  it("view_load gives the elements inside and 0 outside", () => {
    const kernel = makeKernel(
      { x: tensor("f32", 2), row: scalar("i32"), column: scalar("i32"), out: pointer("f32") },
      (b, p) => {
        const tile = b.value("view_load", [p.x, p.row, p.column], { shape: [4, 8], inBounds: [false, false] });
        storeTile(b, p.out, tile, [4, 8]);
      },
    );
    for (const row of starts)
      for (const column of starts) {
        const out = new Float32Array(32).fill(-1);
        run(kernel, { x: { data, shape, strides, offset }, row, column, out: { data: out } });
        expect([...out], `${row}, ${column}`).toEqual(
          windowIndices(4, 8).map(([i, j]) => at(layout, row + i, column + j)),
        );
      }
  });

  it("view_store writes the elements inside and no others", () => {
    const kernel = makeKernel({ x: tensor("f32", 2), row: scalar("i32"), column: scalar("i32") }, (b, p) => {
      b.create("view_store", [p.x, b.constant(-7, "f32", [4, 8]), p.row, p.column], { inBounds: [false, false] });
    });
    for (const row of starts)
      for (const column of starts) {
        const memory = data.slice();
        run(kernel, { x: { data: memory, shape, strides, offset }, row, column });
        const expected = data.slice();
        for (const [i, j] of windowIndices(4, 8))
          if (at(layout, row + i, column + j) !== 0)
            expected[offset + (row + i) * strides[0]! + (column + j) * strides[1]!] = -7;
        expect(memory, `${row}, ${column}`).toEqual(expected);
      }
  });
});

describe("leading indices", () => {
  const kernel = makeKernel({ x: tensor("i32", 3), b: scalar("i32"), out: pointer("i32") }, (b, p) => {
    const zero = b.constant(0, "i32");
    const row = b.value("view_load", [p.x, p.b, p.b, zero], { shape: [4], inBounds: [false] });
    storeTile(b, p.out, row, [4]);
  });
  const x = { data: Int32Array.from({ length: 12 }, (_, i) => i), shape: [2, 2, 3] };

  it("select a row", () => {
    const out = new Int32Array(4);
    run(kernel, { x, b: 1, out: { data: out } });
    expect([...out]).toEqual([9, 10, 11, 0]);
  });

  it.each([-1, 2])("must be inside: %i", (b) => {
    expect(() => run(kernel, { x, b, out: { data: new Int32Array(4) } })).toThrow(
      `index ${b} along axis 0 is outside a view of size 2`,
    );
  });

  it("a scalar is a window of rank 0", () => {
    const scalarKernel = makeKernel({ x: tensor("i32", 3) }, (b, p) => {
      const one = b.constant(1, "i32");
      const value = b.value("view_load", [p.x, one, one, one], { shape: [], inBounds: [] });
      const zero = b.constant(0, "i32");
      b.create("view_store", [p.x, b.value("neg", [value]), zero, zero, zero], { inBounds: [] });
    });
    const memory = x.data.slice();
    run(scalarKernel, { x: { ...x, data: memory } });
    expect(memory[0]).toBe(-10);
  });
});

describe.each(dtypes)("storage of %s", (dtype: DType) => {
  it("is read and written exactly", () => {
    const values: Record<DType, Element[]> = {
      bool: [true, false, true, true],
      i8: [-128, 127, 0, -1],
      i32: [-(2 ** 31), 2 ** 31 - 1, 0, -1],
      u32: [2 ** 32 - 1, 2 ** 31, 0, 1],
      i64: [-(2n ** 63n), 2n ** 63n - 1n, 0n, 2n ** 53n + 1n],
      f16: [65504, 2 ** -24, -0, Number.POSITIVE_INFINITY],
      bf16: [3.3895313892515355e38, 2 ** -133, -0, Number.NaN],
      f32: [Math.fround(3.4e38), 2 ** -149, -0, Number.NaN],
    };
    const source = encode(dtype, values[dtype]);
    const target = encode(
      dtype,
      values[dtype].map(() => 0),
    );
    const kernel = makeKernel({ x: tensor(dtype, 1), y: tensor(dtype, 1) }, (b, p) => {
      const zero = b.constant(0, "i32");
      const tile = b.value("view_load", [p.x, zero], { shape: [4], inBounds: [true] });
      b.create("view_store", [p.y, tile, zero], { inBounds: [true] });
    });
    run(kernel, { x: { data: source, shape: [4] }, y: { data: target, shape: [4] } });
    expect(decode(dtype, target)).toEqual(values[dtype]);
    expect(target).toEqual(source);
  });
});
