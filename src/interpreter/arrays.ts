/**
 * @file Which typed array holds what. A tile of f16 or bf16 is a Float32Array whose values are exact in that dtype, so that f32
 * loops serve all floats and one rounding pass follows. An address is one number (see `memory.ts`); a view is
 * [address, sizes..., strides...]. Hence every value, whatever its type, is one typed array, and values are copied alike.
 */
import { type DType, elementCount, type ValueType } from "../ir/index.ts";
import { f16BitsToF32Bits, f32BitsToBf16Bits, f32BitsToF16Bits } from "../support/index.ts";

/** Holds a tile, a tile of addresses or a view. */
export type TileArray = Float32Array | Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array | BigInt64Array;
/** Holds a tensor in its storage dtype: f16 and bf16 as bit patterns. */
export type StorageArray =
  | Float32Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Int8Array
  | Uint8Array
  | BigInt64Array;

const tileArrays = {
  bool: Uint8Array,
  i8: Int8Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  f16: Float32Array,
  bf16: Float32Array,
  f32: Float32Array,
} as const;

/** The typed array class of a tensor's data. */
export const storageArrays = { ...tileArrays, f16: Uint16Array, bf16: Uint16Array } as const;

export const makeTileArray = (dtype: DType, length: number): TileArray => new tileArrays[dtype](length);

/** A fresh array for a value of this type. */
export function arrayFor(type: ValueType): TileArray {
  if (type.kind === "view") return new Float64Array(1 + 2 * type.rank);
  const length = elementCount(type.shape);
  return type.kind === "pointer" ? new Float64Array(length) : makeTileArray(type.dtype, length);
}

/** Copies between arrays of one class: every value's assignment. */
export function copyArray(to: TileArray, from: TileArray): void {
  (to as Float64Array).set(from as Float64Array);
}

/** The bits of an f32 array. */
export const wordsOf = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

/** A pass that rounds an f32 array in place to f16 or bf16; undefined for other dtypes. */
export function roundingPass(dtype: DType, values: TileArray): (() => void) | undefined {
  if (dtype !== "f16" && dtype !== "bf16") return undefined;
  const words = wordsOf(values as Float32Array);
  if (dtype === "f16")
    return () => {
      for (let i = 0; i < words.length; i++) words[i] = f16BitsToF32Bits(f32BitsToF16Bits(words[i]!));
    };
  return () => {
    for (let i = 0; i < words.length; i++) words[i] = f32BitsToBf16Bits(words[i]!) << 16;
  };
}
