/** Views, pointers and atomics. */
import { describe, expect, it } from "vitest";
import { tl } from "../../src/dsl/index.ts";
import { runOn, text, textOf } from "./trace.ts";

describe("views", () => {
  it("fix leading indices without an operation", () => {
    expect(
      textOf((p) => {
        const head = p.q.at(p.n, 2);
        p.q
          .at(p.n)
          .at(2)
          .store([0, 8], head.load([p.n, 0], [16, 32], { inBounds: [1] }), { inBounds: [true, false] });
      }),
    ).toBe(text`
      %0 = constant 2 : i32
      %1 = constant 2 : i32
      %2 = constant 0 : i32
      %3 = view_load %q, %n, %0, %n, %2 {inBounds = [false, true]} : tile<16x32xf16>
      %4 = constant 0 : i32
      %5 = constant 8 : i32
      view_store %q, %3, %n, %1, %4, %5 {inBounds = [true, false]}
    `);
  });

  it("count axes from the first that is not fixed", () => {
    expect(textOf((p) => void p.q.at(0).shape(2))).toContain("view_size %q {axis = 3} : i32");
    expect(textOf((p) => void p.q.at(0).stride(0))).toContain("view_stride %q {axis = 1} : i64");
  });

  it("load scalars and tiles of fewer axes", () => {
    expect(textOf((p) => void p.ids.load([p.n], []))).toBe("%0 = view_load %ids, %n {inBounds = []} : i32");
    expect(textOf((p) => void p.x.load([p.n, 0], [8]))).toContain(
      "view_load %x, %n, %0 {inBounds = [false]} : tile<8xf32>",
    );
  });

  it("give the address of what is left after fixing", () => {
    const result = runOn(Float32Array.from([0, 1, 2, 3, 4, 5, 6, 7]), [2, 4], (p) => {
      const second = p.x.at(1).pointer;
      tl.store(p.x.pointer, tl.load(second.add(2)));
      tl.store(second.add(tl.arange(0, 2)), 9);
    });
    expect([...result]).toEqual([6, 1, 2, 3, 9, 9, 6, 7]);
  });

  it("are made from pointers", () => {
    const result = runOn(Float32Array.from([0, 1, 2, 3, 4, 5, 6, 7]), [2, 4], (p) => {
      // Every second column of x, as a matrix of its own: [[1, 3], [5, 7]].
      const odd = tl.makeView(p.x.pointer.add(1), [2, 2], [p.x.stride(0), 2]);
      odd.store([0, 0], odd.load([0, 0], [2, 2]).trans());
    });
    expect([...result]).toEqual([0, 1, 2, 5, 4, 3, 6, 7]);
  });
});

describe("pointers", () => {
  it("gather with masks that broadcast", () => {
    expect(
      textOf((p) => {
        const [rows, columns] = [tl.arange(0, 2), tl.arange(0, 4)];
        const pointers = p.ptr.add(rows.perRow().mul(8).add(columns));
        tl.load(pointers, { mask: columns.lt(p.n), other: -1 });
      }),
    ).toBe(text`
      %0 = arange {start = 0, end = 2} : tile<2xi32>
      %1 = arange {start = 0, end = 4} : tile<4xi32>
      %2 = expand_dims %0 {axis = 1} : tile<2x1xi32>
      %3 = constant 8 : tile<2x1xi32>
      %4 = mul %2, %3 : tile<2x1xi32>
      %5 = broadcast %4 : tile<2x4xi32>
      %6 = expand_dims %1 {axis = 0} : tile<1x4xi32>
      %7 = broadcast %6 : tile<2x4xi32>
      %8 = add %5, %7 : tile<2x4xi32>
      %9 = splat %ptr : tile<2x4xptr<f32>>
      %10 = add_pointer %9, %8 : tile<2x4xptr<f32>>
      %11 = splat %n : tile<4xi32>
      %12 = compare %1, %11 {predicate = "lt"} : tile<4xbool>
      %13 = expand_dims %12 {axis = 0} : tile<1x4xbool>
      %14 = broadcast %13 : tile<2x4xbool>
      %15 = constant -1 : tile<2x4xf32>
      %16 = load %10, %14, %15 : tile<2x4xf32>
    `);
  });

  it("take offsets beyond 32 bits", () => {
    expect(textOf((p) => void p.ptr.add(2 ** 40))).toContain(`constant ${2 ** 40}n : i64`);
  });

  it("update memory atomically", () => {
    const atomics = ["Add", "Max", "Min", "And", "Or", "Xor", "Exchange"] as const;
    for (const name of atomics)
      expect(textOf((p) => void tl[`atomic${name}`](p.counts.add(tl.arange(0, 4)), 1))).toContain(
        `{kind = "${name.toLowerCase()}"} : tile<4xi32>`,
      );
    expect(textOf((p) => void tl.atomicCas(p.counts, 0, 1))).toContain("atomic_cas %counts, %0, %1 : i32");
    expect(textOf((p) => void tl.atomicAdd(p.counts, 1, { mask: p.n.gt(0) }))).toMatch(/atomic_rmw %counts, %\d, %\d /);
  });
});
