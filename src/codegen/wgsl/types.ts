/**
 * @file How values of each dtype are held while a kernel computes: f16 and bf16 as an f32 that is exact in that dtype, i8 as a sign-extended
 * i32, i64 as its two words, an address as an element offset in its buffer.
 */
import type { DType, ValueType } from "../../ir/index.ts";

const heldTypes: Readonly<Record<DType, string>> = {
  bool: "bool",
  i8: "i32",
  i32: "i32",
  u32: "u32",
  i64: "vec2u",
  f16: "f32",
  bf16: "f32",
  f32: "f32",
};

const zeros: Readonly<Record<string, string>> = {
  bool: "false",
  i32: "0",
  u32: "0u",
  vec2u: "vec2u(0u, 0u)",
  f32: "0.0",
};

/** The WGSL type of one element of a tile or of a scalar. */
export const heldType = (type: ValueType): string => (type.kind === "tile" ? heldTypes[type.dtype] : "i32");

export const zeroOf = (wgslType: string): string => zeros[wgslType]!;

/** Words of 32 bits that one held element takes in workgroup memory. */
export const heldWords = (type: ValueType): number => (heldType(type) === "vec2u" ? 2 : 1);
