/**
 * @file Moves elements between a tensor's storage and a tile, given for each tile element its index in the storage: negative or NaN for
 * none. All memory operations end here.
 */
import type { DType } from "../ir/index.ts";
import { f16BitsToF32Bits, f32BitsToBf16Bits, f32BitsToF16Bits } from "../support/index.ts";
import { type StorageArray, type TileArray, wordsOf } from "./arrays.ts";

/** out[i] = data[elements[i]] where elements[i] >= 0; other elements of `out` stay. */
export type Gather = (data: StorageArray, elements: Float64Array) => void;
/** data[elements[i]] = tile[i] where elements[i] >= 0; the last of equal indices wins. */
export type Scatter = Gather;

function gatherFloats(out: Float32Array, data: Float32Array, elements: Float64Array): void {
  for (let i = 0; i < out.length; i++) {
    const element = elements[i]!;
    if (element >= 0) out[i] = data[element]!;
  }
}
/** For any dtype whose storage is its tile array; the type says Int32Array for the sake of the compiler. */
function gatherAny(out: Int32Array, data: Int32Array, elements: Float64Array): void {
  for (let i = 0; i < out.length; i++) {
    const element = elements[i]!;
    if (element >= 0) out[i] = data[element]!;
  }
}
function gatherBool(out: Uint8Array, data: Uint8Array, elements: Float64Array): void {
  for (let i = 0; i < out.length; i++) {
    const element = elements[i]!;
    if (element >= 0) out[i] = data[element] === 0 ? 0 : 1;
  }
}
function gatherF16(words: Uint32Array, data: Uint16Array, elements: Float64Array): void {
  for (let i = 0; i < words.length; i++) {
    const element = elements[i]!;
    if (element >= 0) words[i] = f16BitsToF32Bits(data[element]!);
  }
}
function gatherBf16(words: Uint32Array, data: Uint16Array, elements: Float64Array): void {
  for (let i = 0; i < words.length; i++) {
    const element = elements[i]!;
    if (element >= 0) words[i] = data[element]! << 16;
  }
}

export function gatherInto(dtype: DType, out: TileArray): Gather {
  if (dtype === "f16" || dtype === "bf16") {
    const words = wordsOf(out as Float32Array);
    const loop = dtype === "f16" ? gatherF16 : gatherBf16;
    return (data, elements) => loop(words, data as Uint16Array, elements);
  }
  switch (dtype) {
    case "f32":
      return (data, elements) => gatherFloats(out as Float32Array, data as Float32Array, elements);
    case "bool":
      return (data, elements) => gatherBool(out as Uint8Array, data as Uint8Array, elements);
    default:
      return (data, elements) => gatherAny(out as Int32Array, data as Int32Array, elements);
  }
}

function scatterFloats(data: Float32Array, tile: Float32Array, elements: Float64Array): void {
  for (let i = 0; i < tile.length; i++) {
    const element = elements[i]!;
    if (element >= 0) data[element] = tile[i]!;
  }
}
function scatterAny(data: Int32Array, tile: Int32Array, elements: Float64Array): void {
  for (let i = 0; i < tile.length; i++) {
    const element = elements[i]!;
    if (element >= 0) data[element] = tile[i]!;
  }
}
function scatterF16(data: Uint16Array, words: Uint32Array, elements: Float64Array): void {
  for (let i = 0; i < words.length; i++) {
    const element = elements[i]!;
    if (element >= 0) data[element] = f32BitsToF16Bits(words[i]!);
  }
}
function scatterBf16(data: Uint16Array, words: Uint32Array, elements: Float64Array): void {
  for (let i = 0; i < words.length; i++) {
    const element = elements[i]!;
    if (element >= 0) data[element] = f32BitsToBf16Bits(words[i]!);
  }
}

export function scatterFrom(dtype: DType, tile: TileArray): Scatter {
  if (dtype === "f16" || dtype === "bf16") {
    const words = wordsOf(tile as Float32Array);
    const loop = dtype === "f16" ? scatterF16 : scatterBf16;
    return (data, elements) => loop(data as Uint16Array, words, elements);
  }
  if (dtype === "f32") return (data, elements) => scatterFloats(data as Float32Array, tile as Float32Array, elements);
  return (data, elements) => scatterAny(data as Int32Array, tile as Int32Array, elements);
}
