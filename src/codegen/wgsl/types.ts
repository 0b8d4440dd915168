/**
 * @file How values of each dtype are held while a kernel computes: f16 and bf16 as an f32 that is exact in that dtype, i8 as a sign-extended
 * i32, i64 as its two words, an address as an element offset in its buffer.
 */
import type { DType, ValueType } from "../../ir/index.ts";
import { atom, Expr, literal, precedence } from "./expression.ts";

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

/**
 * The constant `value`. WGSL refuses expressions of known value that are infinite or NaN, so those are made from bits that the
 * compiler cannot know: `opaqueZero()` names a u32 that is 0.
 */
export function constant(value: number | bigint | boolean, dtype: DType, opaqueZero: () => string): Expr {
  switch (dtype) {
    case "bool":
      return atom(String(value), 0);
    case "u32":
      return new Expr(`${value}u`, 0, precedence.atom);
    case "i64": {
      const words = BigInt.asUintN(64, BigInt(value as bigint));
      return atom(`vec2u(${words & 0xffffffffn}u, ${words >> 32n}u)`, 0);
    }
    case "i8":
    case "i32":
      return literal(Number(value));
    default: {
      const number = Math.fround(Number(value));
      if (Number.isNaN(number)) return atom(`bitcast<f32>(0x7fc00000u | ${opaqueZero()})`, 0);
      if (!Number.isFinite(number))
        return atom(`bitcast<f32>(0x${number > 0 ? "7" : "f"}f800000u | ${opaqueZero()})`, 0);
      return new Expr(
        floatLiteral(number),
        0,
        number < 0 || Object.is(number, -0) ? precedence.unary : precedence.atom,
      );
    }
  }
}

const largestFloat = 2 ** 128 - 2 ** 104;

/** The shortest decimal that reads back as the f32 `value`. WGSL refuses one that is beyond the largest f32, even where it would round to that. */
function floatLiteral(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  for (let digits = 1; digits <= 17; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) !== value || Math.abs(Number(text)) > largestFloat) continue;
    const short = String(Number(text));
    return /[.e]/.test(short) ? short : `${short}.0`;
  }
  throw new Error(`${value} has no f32 literal: a bug in Tilewright`);
}
