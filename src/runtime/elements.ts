/**
 * @file Elements between the host and the device: what a user hands in and gets back for each dtype, and the bytes that are stored.
 * Memory is little-endian on every target: f16, bf16: 2 bytes, i8 and bool: 1 byte, i64: 8 bytes.
 */
import { storageArrays } from "../interpreter/arrays.ts";
import type { DType } from "../ir/index.ts";
import { elementBytes } from "../ir/index.ts";
import { ArgumentError } from "../support/errors.ts";
import { bf16ToFloat32, f16ToFloat32, float32ToBf16, float32ToF16 } from "../support/float16.ts";
import type { View } from "./strides.ts";
import { forEachElement, isRowMajor, sizeOf } from "./strides.ts";

/** What `read()` gives for each dtype: f16 and bf16 are converted, a bool is 0 or 1. */
export interface TensorValues {
  readonly bool: Uint8Array<ArrayBuffer>;
  readonly i8: Int8Array<ArrayBuffer>;
  readonly i32: Int32Array<ArrayBuffer>;
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly i64: BigInt64Array<ArrayBuffer>;
  readonly f16: Float32Array<ArrayBuffer>;
  readonly bf16: Float32Array<ArrayBuffer>;
  readonly f32: Float32Array<ArrayBuffer>;
}

/** What `readRaw()` gives: the stored bits, so f16 and bf16 as `Uint16Array`. */
export interface TensorBits extends Omit<TensorValues, "f16" | "bf16"> {
  readonly f16: Uint16Array<ArrayBuffer>;
  readonly bf16: Uint16Array<ArrayBuffer>;
}

/** What a tensor may be made from: see `storedBits` for which dtype takes which. */
export type HostData =
  | Float32Array
  | Float64Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | Int32Array
  | Uint32Array
  | BigInt64Array;

/** A typed array over `buffer` that shows the stored bits of `dtype`. */
export function bitsOver<D extends DType>(
  dtype: D,
  buffer: ArrayBuffer,
  byteOffset = 0,
  count?: number,
): TensorBits[D] {
  return new storageArrays[dtype](
    buffer,
    byteOffset,
    count ?? (buffer.byteLength - byteOffset) / elementBytes[dtype],
  ) as TensorBits[D];
}

/**
 * `data` as the bits that are stored. f16 and bf16 take floats, rounded to nearest even, or a `Uint16Array` of bits; f32 takes floats
 * (f64 is rounded); every other dtype takes exactly its own array (bool: a `Uint8Array` of 0 and 1).
 */
export function storedBits(dtype: DType, data: HostData): HostData {
  if (data instanceof Float64Array && (dtype === "f16" || dtype === "bf16" || dtype === "f32")) {
    if (dtype !== "f32")
      throw new ArgumentError("TENSOR_DATA", `${dtype} from f64 would round twice: hand over a Float32Array`);
    return Float32Array.from(data);
  }
  if (data instanceof Float32Array && dtype === "f16") return float32ToF16(data);
  if (data instanceof Float32Array && dtype === "bf16") return float32ToBf16(data);
  const wanted = storageArrays[dtype];
  if (!(data instanceof wanted)) {
    const also = dtype === "f16" || dtype === "bf16" ? " (bits) or a Float32Array" : "";
    throw new ArgumentError(
      "TENSOR_DATA",
      `a tensor of ${dtype} is made from a ${wanted.name}${also}, got a ${nameOf(data)}`,
    );
  }
  if (dtype === "bool" && (data as Uint8Array).some((value) => value > 1)) {
    throw new ArgumentError("TENSOR_DATA", "a tensor of bool holds 0 and 1 only");
  }
  return data;
}

const nameOf = (value: unknown): string => (value as object | null)?.constructor?.name ?? typeof value;

/** The stored bits as values: f16 and bf16 become f32. */
export function valuesOf<D extends DType>(dtype: D, bits: TensorBits[D]): TensorValues[D] {
  if (dtype === "f16") return f16ToFloat32(bits as Uint16Array) as TensorValues[D];
  if (dtype === "bf16") return bf16ToFloat32(bits as Uint16Array) as TensorValues[D];
  return bits as unknown as TensorValues[D];
}

/** The elements of `view` in row-major order, as a new array. `memory[0]` is the element at `view.offset`. */
export function gather<D extends DType>(dtype: D, memory: TensorBits[D], view: View): TensorBits[D] {
  const count = sizeOf(view.shape);
  if (isRowMajor(view)) return memory.slice(0, count) as TensorBits[D];
  const result = new storageArrays[dtype](count);
  let next = 0;
  forEachElement({ ...view, offset: 0 }, (position) => {
    result[next++] = memory[position]!;
  });
  return result as unknown as TensorBits[D];
}
