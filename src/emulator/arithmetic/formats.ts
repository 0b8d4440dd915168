/**
 * @file The short float formats as bit patterns: f16 and bf16 decoded by table, encoded from doubles with one rounding; tf32.
 */
import { bf16BitsToF32, f16BitsToF32 } from "../../support/index.ts";
import type { RoundingMode } from "./rounding.ts";

const table = (decode: (bits: number) => number): Float32Array =>
  Float32Array.from({ length: 65536 }, (_, bits) => decode(bits));

let halves: Float32Array | undefined;
let bfloats: Float32Array | undefined;

export interface ShortFormat {
  readonly name: "f16" | "bf16";
  /** Values by bit pattern. */
  readonly values: Float32Array;
  /** The bits nearest to `value`, or next to it in a direction. */
  encode(value: number, mode?: RoundingMode): number;
  readonly canonicalNan: number;
}

const float64 = new Float64Array(1);
const words64 = new Int32Array(float64.buffer);

/** 2^e at e + 1074. */
const powersOfTwo = Float64Array.from({ length: 2098 }, (_, at) => 2 ** (at - 1074));

/** `value` in multiples of the last place of a format with `bits` significant bits and the least exponent `least`, rounded. */
function quantize(value: number, bits: number, least: number, mode: RoundingMode): number {
  float64[0] = value;
  const exponent = ((words64[1]! >>> 20) & 0x7ff) - 1023;
  const unit = powersOfTwo[Math.max(exponent, least) - bits + 1 + 1074]!;
  const scaled = value / unit;
  switch (mode) {
    case "rn":
      // Adding and subtracting 1.5 · 2^52 rounds to an integer, halves to even.
      return (scaled + 6755399441055744 - 6755399441055744) * unit;
    case "rz":
      return Math.trunc(scaled) * unit;
    case "rm":
      return Math.floor(scaled) * unit;
    case "rp":
      return Math.ceil(scaled) * unit;
  }
}

function encodeF16(value: number, mode: RoundingMode = "rn"): number {
  if (Number.isNaN(value)) return 0x7fff;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const rounded = Math.abs(quantize(value, 11, -14, mode));
  if (rounded > 65504) {
    const toInfinity = !Number.isFinite(value) || mode === "rn" || mode === (sign ? "rm" : "rp");
    return sign | (toInfinity ? 0x7c00 : 0x7bff);
  }
  if (rounded < 2 ** -14) return sign | (rounded * 2 ** 24);
  float64[0] = rounded;
  const high = words64[1]!;
  return sign | ((((high >>> 20) & 0x7ff) - 1008) << 10) | ((high >>> 10) & 0x3ff);
}

function encodeBf16(value: number, mode: RoundingMode = "rn"): number {
  if (Number.isNaN(value)) return 0x7fff;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (!Number.isFinite(value)) return sign | 0x7f80;
  const rounded = Math.abs(quantize(value, 8, -126, mode));
  if (rounded >= 2 ** 128) return sign | (mode === "rn" || mode === (sign ? "rm" : "rp") ? 0x7f80 : 0x7f7f);
  if (rounded < 2 ** -126) return sign | (rounded * 2 ** 133);
  float64[0] = rounded;
  const high = words64[1]!;
  return sign | ((((high >>> 20) & 0x7ff) - 896) << 7) | ((high >>> 13) & 0x7f);
}

export const shortFormats: Readonly<Record<"f16" | "bf16", ShortFormat>> = {
  f16: {
    name: "f16",
    get values() {
      halves ??= table(f16BitsToF32);
      return halves;
    },
    encode: encodeF16,
    canonicalNan: 0x7fff,
  },
  bf16: {
    name: "bf16",
    get values() {
      bfloats ??= table(bf16BitsToF32);
      return bfloats;
    },
    encode: encodeBf16,
    canonicalNan: 0x7fff,
  },
};

/** f32 bits rounded to tf32 (10 bits of fraction), halves away from zero, as `cvt.rna.tf32.f32`. */
export function roundToTf32(bits: number): number {
  if ((bits & 0x7f800000) === 0x7f800000) return (bits & 0x7fffff) === 0 ? bits : 0x7fffffff;
  return (bits + 0x1000) & 0xffffe000;
}
