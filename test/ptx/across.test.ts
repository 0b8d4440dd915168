/**
 * Reductions, scans and changes of shape on all dtypes, several shapes and numbers of warps: PTX in the emulator against the
 * interpreter. Float data are small integers, so that every order of summation gives the same bits.
 */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { kernel, type Tile, tl } from "../../src/dsl/index.ts";
import {
  type Builder,
  type DType,
  elementCount,
  isInteger,
  type ReduceKind,
  reduceKinds,
  scanKinds,
  shapeOf,
  type Value,
} from "../../src/ir/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { loadTile, makeKernel, pointer, storeTile } from "../interpreter/kernels.ts";
import { randomData } from "../support/random-data.ts";
import { sameData } from "../support/random-kernel.ts";
import { runBoth } from "./emulator.ts";

interface Made {
  readonly name: string;
  readonly value: Value;
}

/** Applies `make` to a loaded tile and compares all that it gives. */
function check(
  dtype: DType,
  shape: readonly number[],
  numWarps: number,
  make: (b: Builder, x: Value) => Made[],
): string[] {
  let made: Made[] = [];
  const build = (outputs: readonly DType[]) =>
    makeKernel(
      Object.fromEntries([["x", pointer(dtype)], ...outputs.map((to, i) => [`out${i}`, pointer(to)] as const)]),
      (b, p: Record<string, Value>) => {
        made = make(b, loadTile(b, p.x!, shape));
        for (const i of outputs.keys()) storeTile(b, p[`out${i}`]!, made[i]!.value, shapeOf(made[i]!.value.type));
      },
    );
  build([]); // Once to learn the types of the results.
  const kernel = build(made.map(({ value }) => value.type.dtype));
  const outputs = made.map(({ value: { type } }, i) => [
    `out${i}`,
    { data: randomData(type.dtype, elementCount(shapeOf(type)), 0, true) },
  ]);
  const given = { x: { data: randomData(dtype, elementCount(shape), 7, true) }, ...Object.fromEntries(outputs) };
  const { expected, actual } = runBoth(kernel, { arguments: given }, { numWarps });
  return made
    .filter(({ value }, i) => !sameData(value.type.dtype, expected[`out${i}`]!, actual[`out${i}`]!))
    .map(({ name }) => name);
}

const wide: readonly DType[] = ["f32", "i32", "u32", "i64"];
const every: readonly DType[] = [...wide, "bool", "i8", "f16", "bf16"];
const bitKinds: readonly ReduceKind[] = ["and", "or", "xor"];

const reductionsOf = (dtype: DType): readonly ReduceKind[] =>
  reduceKinds.filter((kind) =>
    // A product of many small floats leaves the exact range.
    bitKinds.includes(kind)
      ? isInteger(dtype) || dtype === "bool"
      : wide.includes(dtype) && !(kind === "product" && dtype === "f32"),
  );

describe("across elements, in the emulator", () => {
  for (const [shape, numWarps] of [
    [[64], 4],
    [[512], 4],
    [[1], 2],
    [[16, 32], 4],
    [[64, 2], 1],
    [[2, 128], 8],
    [[4, 8, 8], 4],
  ] as const)
    for (const dtype of ["f32", "i32", "u32", "i64", "bool", "i8"] as const)
      it(`reduces ${dtype} [${shape}] with ${numWarps} warps`, () => {
        const wrong = check(dtype, shape, numWarps, (b, x) =>
          reductionsOf(dtype).flatMap((kind) =>
            shape.map((_, axis) => ({ name: `${kind} ${axis}`, value: b.value("reduce", [x], { axis, kind }) })),
          ),
        );
        expect(wrong).toEqual([]);
      });

  for (const [shape, numWarps] of [
    [[32], 1],
    [[256], 4],
    [[8, 64], 4],
    [[64, 4], 2],
    [[2, 4, 16], 4],
  ] as const)
    for (const dtype of wide)
      it(`scans ${dtype} [${shape}] with ${numWarps} warps`, () => {
        const wrong = check(dtype, shape, numWarps, (b, x) =>
          scanKinds
            .filter((kind) => kind !== "product" || dtype !== "f32")
            .flatMap((kind) =>
              shape.flatMap((_, axis) =>
                [false, true].map((reverse) => ({
                  name: `${kind} ${axis} ${reverse ? "from the end" : ""}`,
                  value: b.value("scan", [x], { axis, kind, reverse }),
                })),
              ),
            ),
        );
        expect(wrong).toEqual([]);
      });

  for (const dtype of every)
    for (const numWarps of [1, 4])
      it(`changes the shape of ${dtype} with ${numWarps} warps`, () => {
        const wrong = check(dtype, [8, 32], numWarps, (b, x) => {
          const named = (name: string, value: Value): Made => ({ name, value });
          const trans = b.value("trans", [x], { permutation: [1, 0] });
          const halves = b.create("split", [b.value("reshape", [x], { shape: [128, 2] })]).results;
          const row = b.value("reshape", [halves[0]!], { shape: [1, 128] });
          return [
            named("trans", trans),
            named("reshape", b.value("reshape", [trans], { shape: [4, 64] })),
            named(
              "trans of rank 3",
              b.value("trans", [b.value("reshape", [x], { shape: [4, 8, 8] })], { permutation: [2, 0, 1] }),
            ),
            named("split", halves[0]!),
            named("split, second", halves[1]!),
            named("join", b.value("join", [x, b.value("reshape", [trans], { shape: [8, 32] })])),
            named("broadcast", b.value("broadcast", [row], { shape: [4, 128] })),
            named(
              "expand_dims",
              b.value("broadcast", [b.value("expand_dims", [halves[1]!], { axis: 1 })], { shape: [128, 2] }),
            ),
          ];
        });
        expect(wrong).toEqual([]);
      });

  it("splits into scalars and joins them", () => {
    const wrong = check("i32", [2], 2, (b, x) => {
      const [first, second] = b.create("split", [x]).results;
      return [
        { name: "first", value: first! },
        { name: "second", value: second! },
        { name: "join", value: b.value("join", [second!, first!]) },
      ];
    });
    expect(wrong).toEqual([]);
  });

  it("gives the first index of the extreme, past NaN", () => {
    const kernel = makeKernel({ x: pointer("f32"), max: pointer("i32"), min: pointer("i32") }, (b, p) => {
      const x = loadTile(b, p.x, [4, 64]);
      storeTile(b, p.max, b.value("reduce", [x], { axis: 1, kind: "argmax" }), [4]);
      storeTile(b, p.min, b.value("reduce", [x], { axis: 1, kind: "argmin" }), [4]);
    });
    const x = new Float32Array(256);
    x.fill(Number.NaN, 0, 64); // All NaN: 0.
    x.set([Number.NaN, Number.NEGATIVE_INFINITY, 3, 3, -0, 0], 64);
    x.fill(-2, 128, 192); // All equal: 0.
    x.set([1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], 192);
    const { actual } = runBoth(kernel, {
      arguments: { x: { data: x }, max: { data: new Int32Array(4) }, min: { data: new Int32Array(4) } },
    });
    expect([...actual.max!]).toEqual([0, 2, 0, 2]);
    expect([...actual.min!]).toEqual([0, 1, 0, 3]);
  });
});

describe("what passes between lanes", () => {
  const exchanges = (reduce: () => Tile<DType, readonly number[]>): string[] => {
    const definition = kernel({
      name: "all",
      params: { out: tl.pointer("T") },
      body: (p) => tl.store(p.out, reduce() as never),
    });
    const { source } = compilePtx(optimize(definition.trace({ dtypes: { T: "i32" } })), {
      target: "sm_80",
      numWarps: 1,
    });
    return [...source.matchAll(/(?:shfl|redux)\.sync\.\w+/g)].map(([opcode]) => opcode);
  };
  const numbers = () => tl.arange(0, 1024).reshape([32, 32]).mul(tl.programId(0));

  it("is one instruction for an integer of a whole warp, after each lane has combined its own", () => {
    expect(exchanges(() => tl.sum(numbers()))).toEqual(["redux.sync.add"]);
    expect(exchanges(() => tl.min(numbers()))).toEqual(["redux.sync.min"]);
    expect(exchanges(() => tl.any(numbers().gt(5)).to("i32"))).toEqual(["redux.sync.or"]);
  });
  it("is two for the place of an extreme", () => {
    expect(exchanges(() => tl.argmax(numbers()))).toEqual(["redux.sync.max", "redux.sync.max"]);
  });
  it("is five shuffles for an f32", () => {
    expect(exchanges(() => tl.sum(numbers().to("f32")).to("i32"))).toEqual(new Array(5).fill("shfl.sync.bfly"));
  });
});
