/** Evaluates a few operations on given tiles: makes the kernel around them, runs it, gives the results as plain numbers. */
import { type Checks, interpret, type StorageArray } from "../../src/interpreter/index.ts";
import type { Builder, DType, Value } from "../../src/ir/index.ts";
import { bf16BitsToF32, f16BitsToF32, f32ToBf16Bits, f32ToF16Bits } from "../../src/support/index.ts";
import { loadTile, makeKernel, pointer, storeTile } from "./kernels.ts";

export type Element = number | bigint | boolean;
export interface TileInput {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: readonly Element[];
}

/** A tile of rank 1, or of the given shape. */
export const tile = (
  dtype: DType,
  values: readonly Element[],
  shape: readonly number[] = [values.length],
): TileInput => ({
  dtype,
  shape,
  values,
});

/** An array of the storage dtype. */
export function encode(dtype: DType, values: readonly Element[]): StorageArray {
  const numbers = () => values.map(Number);
  switch (dtype) {
    case "f32":
      return Float32Array.from(numbers());
    case "f16":
      return Uint16Array.from(numbers().map(f32ToF16Bits));
    case "bf16":
      return Uint16Array.from(numbers().map(f32ToBf16Bits));
    case "i64":
      return BigInt64Array.from(values.map((value) => BigInt(value)));
    case "i32":
      return Int32Array.from(numbers());
    case "u32":
      return Uint32Array.from(numbers());
    case "i8":
      return Int8Array.from(numbers());
    case "bool":
      return Uint8Array.from(numbers());
  }
}

/** The elements of an array of the storage dtype; bool as booleans. */
export function decode(dtype: DType, data: StorageArray): Element[] {
  const elements = Array.from<number | bigint>(data as Float32Array);
  if (dtype === "f16") return elements.map((bits) => f16BitsToF32(Number(bits)));
  if (dtype === "bf16") return elements.map((bits) => bf16BitsToF32(Number(bits)));
  return dtype === "bool" ? elements.map((value) => value === 1) : elements;
}

/** The values of what `body` makes of the input tiles, in row-major order. */
export function evaluate(
  inputs: readonly TileInput[],
  body: (b: Builder, tiles: Value[]) => Value | Value[],
  checks: Partial<Checks> = {},
): Element[][] {
  let results: Value[] = [];
  const build = (outputs: readonly DType[]) =>
    makeKernel(
      Object.fromEntries([
        ...inputs.map(({ dtype }, i) => [`in${i}`, pointer(dtype)] as const),
        ...outputs.map((dtype, i) => [`out${i}`, pointer(dtype)] as const),
      ]),
      (b, p) => {
        const made = body(
          b,
          inputs.map(({ shape }, i) => loadTile(b, p[`in${i}`]!, shape)),
        );
        results = Array.isArray(made) ? made : [made];
        for (const i of outputs.keys()) storeTile(b, p[`out${i}`]!, results[i]!, shapeOfTile(results[i]!));
      },
    );
  build([]); // Once to learn the types of the results.
  const kernel = build(results.map(({ type }) => type.dtype));
  const outputs = results.map(({ type }, i) => {
    const length = shapeOfTile(results[i]!).reduce((product, extent) => product * extent, 1);
    return { dtype: type.dtype, data: encode(type.dtype, new Array<Element>(length).fill(0)) };
  });
  interpret(kernel, {
    arguments: Object.fromEntries([
      ...inputs.map(({ dtype, values }, i) => [`in${i}`, { data: encode(dtype, values) }] as const),
      ...outputs.map(({ data }, i) => [`out${i}`, { data }] as const),
    ]),
    checks,
  });
  return outputs.map(({ dtype, data }) => decode(dtype, data));
}

function shapeOfTile({ type }: Value): readonly number[] {
  if (type.kind !== "tile") throw new Error("not a tile");
  return type.shape;
}
