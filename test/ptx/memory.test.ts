/**
 * Loads, stores and atomics: vectors where the facts allow and no wider, masks, views with runtime sizes and strides, addresses beyond
 * 32 bits, order between threads.
 */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { type Builder, type DType, dtypes, elementBytes, type Kernel, type Value } from "../../src/ir/index.ts";
import { i32, loadTile, makeKernel, pointer, scalar, storeTile, tensor } from "../interpreter/kernels.ts";
import { randomData } from "../support/random-data.ts";
import { sameData } from "../support/random-kernel.ts";
import { runBoth } from "./emulator.ts";

const sourceOf = (kernel: Kernel): string => compilePtx(kernel, { target: "sm_80" }).source;
const aligned = { facts: { unitStride: true, alignment: 16 } };
const alignedPointer = (dtype: DType) => ({ ...pointer(dtype), facts: { alignment: 16 } });

/** out[row, 0..columns] = x[row, 0..columns], tile by tile, through views. */
function copyKernel(dtype: DType, facts: object, inBounds: readonly boolean[]): Kernel {
  return makeKernel({ x: { ...tensor(dtype, 2), ...facts }, out: { ...tensor(dtype, 2), ...facts } }, (b, p) => {
    const row = b.value("mul", [b.value("program_id", [], { axis: 0 }), i32(b, 8)]);
    const at = [row, i32(b, 0)];
    b.create("view_store", [p.out, b.value("view_load", [p.x, ...at], { shape: [8, 64], inBounds }), ...at], {
      inBounds,
    });
  });
}

/** x[i], where i runs to a limit: the mask of the last block is partial. */
function maskedKernel(divisibleBy: number | undefined): Kernel {
  const facts = divisibleBy === undefined ? {} : { facts: { divisibleBy } };
  return makeKernel(
    { x: alignedPointer("f32"), out: alignedPointer("f32"), n: { ...scalar("i32"), ...facts } },
    (b, p) => {
      const start = b.value("mul", [b.value("program_id", [], { axis: 0 }), i32(b, 512)]);
      const at = b.value("add", [
        b.value("splat", [start], { shape: [512] }),
        b.value("arange", [], { start: 0, end: 512 }),
      ]);
      const mask = b.value("compare", [at, b.value("splat", [p.n], { shape: [512] })], { predicate: "lt" });
      const place = (base: Value): Value => b.value("add_pointer", [b.value("splat", [base], { shape: [512] }), at]);
      b.create("store", [place(p.out), b.value("load", [place(p.x), mask]), mask]);
    },
  );
}

describe("the width of accesses", () => {
  it("is 16 bytes for aligned rows in bounds", () => {
    const source = sourceOf(copyKernel("f16", aligned, [true, true]));
    expect(source.match(/ld\.global\.\S+/g)).toEqual(["ld.global.v2.b32"]); // 8 x 64 elements for 128 threads: 4 each.
    expect(source.match(/st\.global\.\S+/g)).toEqual(["st.global.v2.b32"]);
  });

  it("is one element without facts", () => {
    const source = sourceOf(copyKernel("f32", {}, [true, true]));
    expect(new Set(source.match(/(ld|st)\.global\.\S+/g))).toEqual(new Set(["ld.global.b32", "st.global.b32"]));
  });

  it("has a version with vectors for rows whose length is not known, and one without", () => {
    const source = sourceOf(copyKernel("f32", aligned, [true, false]));
    expect(new Set(source.match(/ld\.global\.\S+/g))).toEqual(new Set(["ld.global.v4.b32", "ld.global.b32"]));
    expect(source).toMatch(/and\.b32 (%r\d+), %r\d+, 3;\n\s*setp\.eq\.s32 (%p\d+), \1, 0;/);
  });

  it("is a vector under a mask whose limit is a multiple, one element under any other", () => {
    expect(sourceOf(maskedKernel(16)).match(/ld\.global\.\S+/g)).toEqual(["ld.global.v4.b32"]);
    expect(new Set(sourceOf(maskedKernel(undefined)).match(/ld\.global\.\S+/g))).toEqual(new Set(["ld.global.b32"]));
  });

  it("puts constant distances into the instruction", () => {
    const source = sourceOf(
      makeKernel({ x: alignedPointer("f32"), out: alignedPointer("f32") }, (b, p) =>
        storeTile(b, p.out, loadTile(b, p.x, [2048]), [2048]),
      ),
    );
    expect(source.match(/ld\.global\.v4\.b32 .*\[%rd\d+(\+\d+)?\]/g)?.map((line) => /\+(\d+)/.exec(line)?.[1])).toEqual(
      [undefined, "2048", "4096", "6144"],
    );
  });
});

describe("memory in the emulator", () => {
  for (const dtype of dtypes)
    it(`copies ${dtype} through views of any size and stride`, () => {
      for (const [rows, columns, stride, facts] of [
        [20, 64, 64, aligned],
        [13, 50, 64, aligned],
        [9, 33, 37, {}],
        [1, 1, 1, {}],
        [8, 64, 65, { facts: { unitStride: true } }],
      ] as const) {
        const size = rows * stride;
        const memory = (seed: number) => ({
          data: randomData(dtype, size, seed, true),
          shape: [rows, columns],
          strides: [stride, 1],
        });
        const { expected, actual } = runBoth(copyKernel(dtype, facts, [false, false]), {
          arguments: { x: memory(3), out: memory(0) },
          grid: [Math.ceil(rows / 8), 1, 1],
        });
        expect(sameData(dtype, expected.out!, actual.out!), `${rows} x ${columns}, stride ${stride}`).toBe(true);
      }
    });

  it("masks partial vectors", () => {
    for (const [divisibleBy, n] of [
      [16, 1008],
      [4, 1000],
      [undefined, 999],
      [undefined, 0],
    ] as const) {
      const { expected, actual } = runBoth(maskedKernel(divisibleBy), {
        arguments: {
          x: { data: randomData("f32", 1024, 1, true) },
          out: { data: new Float32Array(1024).fill(7) },
          n,
        },
        grid: [2, 1, 1],
      });
      expect(actual.out).toEqual(expected.out);
    }
  });

  for (const dtype of dtypes)
    it(`gives "other" where the mask is false: ${dtype}`, () => {
      const kernel = makeKernel(
        { x: alignedPointer(dtype), y: pointer(dtype), out: pointer(dtype), mask: pointer("bool") },
        (b, p) => {
          const at = b.value("arange", [], { start: 0, end: 256 });
          const place = b.value("add_pointer", [b.value("splat", [p.x], { shape: [256] }), at]);
          const loaded = b.value("load", [place, loadTile(b, p.mask, [256]), loadTile(b, p.y, [256])]);
          storeTile(b, p.out, loaded, [256]);
        },
      );
      const { expected, actual } = runBoth(kernel, {
        arguments: {
          x: { data: randomData(dtype, 256, 1, true) },
          y: { data: randomData(dtype, 256, 2, true) },
          out: { data: randomData(dtype, 256, 0, true) },
          mask: { data: randomData("bool", 256, 3, true) as Uint8Array },
        },
      });
      expect(sameData(dtype, expected.out!, actual.out!)).toBe(true);
    });

  it("computes addresses in 64 bits", () => {
    // Element [3, 5] at 3 · 2^30 + 5: its bytes are beyond 2^33, reached from a base so far before the buffer that it lies inside.
    const kernel = makeKernel({ x: tensor("f32", 2), out: pointer("f32") }, (b, p) => {
      const loaded = b.value("view_load", [p.x, i32(b, 3), i32(b, 5)], { shape: [1, 1], inBounds: [true, true] });
      storeTile(b, p.out, loaded, [1, 1]);
    });
    const { source } = compilePtx(kernel, { target: "sm_80" });
    expect(source).toMatch(/mul\.lo\.s64|mul\.wide\.s32/);
    expect(source).not.toMatch(/cvt\.u32\.u64/);
  });

  for (const [kind, dtype] of [
    ["add", "i32"],
    ["add", "u32"],
    ["add", "f32"],
    ["max", "i32"],
    ["min", "u32"],
    ["and", "i32"],
    ["or", "u32"],
    ["xor", "i32"],
  ] as const)
    it(`adds up atomically: ${kind} ${dtype}`, () => {
      // 8 elements for 128 threads: copies must not be combined. Their old values go to all threads.
      const kernel = makeKernel({ x: pointer(dtype), total: pointer(dtype), old: pointer(dtype) }, (b, p) => {
        const places = b.value("splat", [p.total], { shape: [8] });
        const own = b.value(
          "atomic_rmw",
          [b.value("add_pointer", [places, b.value("arange", [], { start: 0, end: 8 })]), loadTile(b, p.x, [8])],
          { kind },
        );
        storeTile(b, p.old, own, [8]);
        b.create("atomic_rmw", [p.total, b.constant(3, dtype)], { kind });
      });
      const { expected, actual } = runBoth(kernel, {
        arguments: {
          x: { data: randomData(dtype, 8, 5, true) },
          total: { data: randomData(dtype, 8, 6, true) },
          old: { data: randomData(dtype, 8, 0, true) },
        },
      });
      expect(actual).toEqual(expected);
    });

  it("exchanges and compares atomically", () => {
    const kernel = makeKernel({ total: pointer("i32"), old: pointer("i32") }, (b: Builder, p) => {
      const first = b.value("atomic_rmw", [p.total, i32(b, 5)], { kind: "exchange" });
      const second = b.value("atomic_cas", [p.total, i32(b, 5), i32(b, 9)]);
      const third = b.value("atomic_cas", [p.total, i32(b, 5), i32(b, 11)]);
      const list = b.value("join", [b.value("add", [first, b.value("mul", [third, i32(b, 100)])]), second]);
      storeTile(b, p.old, list, [2]);
    });
    const { actual } = runBoth(kernel, {
      arguments: { total: { data: Int32Array.of(2) }, old: { data: new Int32Array(2) } },
    });
    expect([...actual.total!, ...actual.old!]).toEqual([9, 2 + 900, 5]);
  });

  it("reads what other threads of the program have stored", () => {
    const kernel = makeKernel({ x: pointer("i32"), out: pointer("i32") }, (b, p) => {
      storeTile(b, p.x, b.value("arange", [], { start: 0, end: 256 }), [256]);
      const back = b.value("sub", [b.constant(255, "i32", [256]), b.value("arange", [], { start: 0, end: 256 })]);
      const reversed = b.value("load", [b.value("add_pointer", [b.value("splat", [p.x], { shape: [256] }), back])]);
      storeTile(b, p.out, reversed, [256]);
    });
    const { expected, actual } = runBoth(kernel, {
      arguments: { x: { data: new Int32Array(256) }, out: { data: new Int32Array(256) } },
    });
    expect(actual).toEqual(expected);
  });

  it("takes scalars of every dtype", () => {
    const values = { bool: true, i8: -5, i32: -70000, u32: 4e9, i64: -(2n ** 40n), f16: 1.5, bf16: -2, f32: 0.1 };
    const parameters = dtypes.flatMap((dtype) => [
      [`${dtype}_value`, scalar(dtype)],
      [`${dtype}_out`, pointer(dtype)],
    ]);
    const kernel = makeKernel(Object.fromEntries(parameters), (b, p: Record<string, Value>) => {
      for (const dtype of dtypes) {
        const value = p[`${dtype}_value`]!;
        storeTile(b, p[`${dtype}_out`]!, b.value("splat", [value], { shape: [4] }), [4]);
      }
    });
    const given = dtypes.flatMap((dtype) => [
      [`${dtype}_value`, values[dtype]],
      [`${dtype}_out`, { data: randomData(dtype, 4, 1, false) }],
    ]);
    const { expected, actual } = runBoth(kernel, { arguments: Object.fromEntries(given) });
    expect(actual).toEqual(expected);
  });

  it("makes views of pointers", () => {
    const kernel = makeKernel({ x: pointer("f16"), n: scalar("i32"), out: pointer("i64") }, (b, p) => {
      const view = b.value("make_view", [p.x, p.n, i32(b, 16), i32(b, 16), i32(b, 1)], { rank: 2 });
      const tile = b.value("view_load", [view, i32(b, 1), i32(b, 2)], { shape: [4, 16], inBounds: [false, false] });
      const wide = b.value("cast", [tile], { dtype: "i64" });
      const size = b.value("cast", [b.value("view_size", [view], { axis: 0 })], { dtype: "i64" });
      const both = b.value("add", [size, b.value("view_stride", [view], { axis: 0 })]);
      storeTile(b, p.out, b.value("add", [wide, b.value("splat", [both], { shape: [4, 16] })]), [4, 16]);
      storeTile(b, b.value("view_pointer", [view]), b.constant(2, "f16", [2]), [2]);
    });
    const { expected, actual } = runBoth(kernel, {
      arguments: {
        x: { data: randomData("f16", 64, 2, true) },
        n: 4,
        out: { data: new BigInt64Array(64) },
      },
    });
    expect(actual).toEqual(expected);
  });

  it("says what the kernel does to each parameter", () => {
    const { metadata } = compilePtx(copyKernel("f16", aligned, [true, true]), { target: "sm_80" });
    expect(metadata.params.map(({ name, access }) => `${name} ${access}`)).toContain("x read");
    expect(metadata.params.map(({ name, access }) => `${name} ${access}`)).toContain("out write");
    expect(metadata.arguments.map(({ name, rank }) => `${name} ${rank}`)).toEqual(["x 2", "out 2"]);
    expect(elementBytes.f16).toBe(2);
  });
});
