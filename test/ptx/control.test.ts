/** Loops and branches: carried values of all kinds, in the emulator against the interpreter, and how the text reads. */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { blockParameter, dtypes, type Kernel, pointerType, tileType, viewType } from "../../src/ir/index.ts";
import { i32, loadTile, makeKernel, pointer, scalar, storeTile, tensor } from "../interpreter/kernels.ts";
import { randomData } from "../support/random-data.ts";
import { sameData } from "../support/random-kernel.ts";
import { runBoth } from "./emulator.ts";

/** sum += x[i], through pointers that move on: the way of a Triton kernel. */
const movingPointers = (): Kernel =>
  makeKernel({ x: pointer("f32"), out: pointer("f32"), n: scalar("i32") }, (b, p) => {
    const at = b.value("arange", [], { start: 0, end: 512 });
    const places = b.value("add_pointer", [b.value("splat", [p.x], { shape: [512] }), at]);
    const [i, where, sum] = [
      blockParameter(tileType("i32"), "i"),
      blockParameter(pointerType("f32", [512]), "where"),
      blockParameter(tileType("f32", [512]), "sum"),
    ];
    const body = b.block([i, where, sum], () => {
      const next = b.value("add_pointer", [where, b.constant(512, "i32", [512])]);
      b.create("yield", [next, b.value("add", [sum, b.value("load", [where])])]);
    });
    const zero = b.constant(0, "f32", [512]);
    const { results } = b.create("loop", [i32(b, 0), p.n, i32(b, 1), places, zero], {}, { blocks: [body] });
    storeTile(b, p.out, results[1]!, [512]);
  });

describe("the text of a loop", () => {
  const { source } = compilePtx(movingPointers(), { target: "sm_80" });
  const body = /\$loop_0:\n([\s\S]*?)@%p\d+ bra/.exec(source)![1]!;

  it("names the carried registers as the author does", () => {
    expect(source).toMatch(/\.reg \.b32 %sum_<4>;/);
    expect(source).toMatch(/\.reg \.b64 %where_<1>;/);
  });

  it("carries one pointer for the elements that move as one, and keeps their distances in the instructions", () => {
    expect(body.match(/\[%.*\]/g)).toEqual(["[%where_0]", "[%where_0+512]", "[%where_0+1024]", "[%where_0+1536]"]);
    expect(body.match(/add\.s64/g)).toHaveLength(1);
  });

  it("tests once before and once a turn", () => {
    expect(source.match(/setp\.lt\.s32/g)).toHaveLength(2);
  });
});

describe("control flow in the emulator", () => {
  it("moves pointers", () => {
    for (const n of [0, 1, 3]) {
      const { expected, actual } = runBoth(movingPointers(), {
        arguments: { x: { data: randomData("f32", 2048, 3, true) }, out: { data: new Float32Array(512) }, n },
      });
      expect(actual.out).toEqual(expected.out);
    }
  });

  for (const dtype of dtypes)
    it(`carries and exchanges tiles and scalars of ${dtype}`, () => {
      const kernel = makeKernel(
        { x: pointer(dtype), y: pointer(dtype), out: pointer(dtype), n: scalar("i32") },
        (b, p) => {
          const tiles = [loadTile(b, p.x, [4, 32]), loadTile(b, p.y, [4, 32])];
          const scalars = [b.value("load", [p.x]), b.value("load", [p.y])];
          const carried = [...tiles, ...scalars].map((value, i) => blockParameter(value.type, "abcd"[i]));
          const body = b.block([blockParameter(tileType("i32")), ...carried], () => {
            const [a, c, s, t] = carried;
            b.create("yield", [c!, a!, t!, s!]);
          });
          const bounds = [i32(b, 0), p.n, i32(b, 1)];
          const { results } = b.create("loop", [...bounds, ...tiles, ...scalars], {}, { blocks: [body] });
          storeTile(b, p.out, results[0]!, [4, 32]);
          b.create("store", [b.value("add_pointer", [p.out, i32(b, 128)]), results[2]!]);
        },
      );
      for (const n of [0, 1, 2]) {
        const { expected, actual } = runBoth(kernel, {
          arguments: {
            x: { data: randomData(dtype, 128, 3, true) },
            y: { data: randomData(dtype, 128, 4, true) },
            out: { data: randomData(dtype, 129, 0, true) },
            n,
          },
        });
        expect(sameData(dtype, expected.out!, actual.out!)).toBe(true);
      }
    });

  it("chooses between branches, views among what they give", () => {
    const kernel = makeKernel(
      { x: tensor("f32", 1), y: tensor("f32", 1), out: pointer("f32"), n: scalar("i32") },
      (b, p) => {
        const condition = b.value("compare", [p.n, i32(b, 2)], { predicate: "gt" });
        const arms = [p.x, p.y].map((view, i) =>
          b.block(
            [],
            () => void b.create("yield", [view, b.constant(i + 1, "f32", [64]), b.value("add", [p.n, i32(b, i)])]),
          ),
        );
        const { results } = b.create("if", [condition], {}, { blocks: arms });
        const loaded = b.value("view_load", [results[0]!, results[2]!], { shape: [64], inBounds: [false] });
        storeTile(b, p.out, b.value("add", [loaded, results[1]!]), [64]);
        expect(results[0]!.type).toEqual(viewType("f32", 1));
      },
    );
    for (const n of [1, 5]) {
      const { expected, actual } = runBoth(kernel, {
        arguments: {
          x: { data: randomData("f32", 60, 3, true), shape: [60] },
          y: { data: randomData("f32", 30, 4, true), shape: [30] },
          out: { data: new Float32Array(64) },
          n,
        },
      });
      expect(actual.out).toEqual(expected.out);
    }
  });

  it("runs nested loops whose bounds depend on each other", () => {
    const kernel = makeKernel({ out: pointer("i32"), n: scalar("i32") }, (b, p) => {
      const [i, sum] = [blockParameter(tileType("i32"), "i"), blockParameter(tileType("i32", [8]), "sum")];
      const [j, inner] = [blockParameter(tileType("i32"), "j"), blockParameter(tileType("i32", [8]), "inner")];
      const outer = b.block([i, sum], () => {
        const body = b.block([j, inner], () => {
          const product = b.value("splat", [b.value("mul", [i, j])], { shape: [8] });
          b.create("yield", [b.value("add", [inner, product])]);
        });
        const { results } = b.create("loop", [i32(b, 0), i, i32(b, 2), sum], {}, { blocks: [body] });
        b.create("yield", [b.value("add", [results[0]!, b.value("arange", [], { start: 0, end: 8 })])]);
      });
      const { results } = b.create(
        "loop",
        [i32(b, -3), p.n, i32(b, 2), b.constant(0, "i32", [8])],
        {},
        { blocks: [outer] },
      );
      storeTile(b, p.out, results[0]!, [8]);
    });
    const { expected, actual } = runBoth(kernel, { arguments: { out: { data: new Int32Array(8) }, n: 9 } });
    expect(actual.out).toEqual(expected.out);
  });
});
