/**
 * @file IEEE binary16 (`f16`) and bfloat16 (`bf16`) as bit patterns, converted from and to f32, bit-exact: to 16 bits by
 * round-to-nearest-even with denormals and overflow to infinity; to f32 exactly. A NaN stays a NaN.
 */

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The f16 bits nearest to the f32 with these bits. */
export function f32BitsToF16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff); // NaN, made quiet
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // At least 65520, the middle between the largest f16 and 2^16.
  if (magnitude >= 0x38800000) {
    // Normal: rebias the exponent from 127 to 15 and round off 13 bits; a carry into the exponent is right.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // Less than 2^-25, half of the smallest denormal.
  const shift = 126 - (magnitude >>> 23); // Of the 24-bit significand to units of 2^-24: 14 to 24.
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const quotient = significand >>> shift;
  const remainder = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (quotient + (remainder > half || (remainder === half && (quotient & 1) === 1) ? 1 : 0));
}

/** The bits of the f32 equal to the f16 with these bits. */
export function f16BitsToF32Bits(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  const leading = 31 - Math.clz32(fraction); // The value is fraction * 2^-24.
  return (sign | ((leading + 103) << 23) | ((fraction << (23 - leading)) & 0x7fffff)) >>> 0;
}

/** The bf16 bits nearest to the f32 with these bits. */
export function f32BitsToBf16Bits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff; // NaN, made quiet
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The f16 bits nearest to `value`, rounded to f32 first as by `Math.fround`. */
export function f32ToF16Bits(value: number): number {
  float[0] = value;
  return f32BitsToF16Bits(word[0]!);
}

/** The bf16 bits nearest to `value`, rounded to f32 first as by `Math.fround`. */
export function f32ToBf16Bits(value: number): number {
  float[0] = value;
  return f32BitsToBf16Bits(word[0]!);
}

export function f16BitsToF32(bits: number): number {
  word[0] = f16BitsToF32Bits(bits);
  return float[0]!;
}

export function bf16BitsToF32(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

/** The f32 value that storing `value` as f16 leaves. */
export const roundToF16 = (value: number): number => f16BitsToF32(f32ToF16Bits(value));

/** The f32 value that storing `value` as bf16 leaves. */
export const roundToBf16 = (value: number): number => bf16BitsToF32(f32ToBf16Bits(value));

/** Maps the bit patterns of `from` into `to`; a plain loop, since tensors have millions of elements. */
function convert<T extends Uint16Array | Uint32Array>(
  from: Uint16Array | Uint32Array,
  to: T,
  each: (bits: number) => number,
): T {
  for (let index = 0; index < from.length; index++) to[index] = each(from[index]!);
  return to;
}

const wordsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Converts an array to f16 bits. */
export function float32ToF16(values: Float32Array): Uint16Array {
  return convert(wordsOf(values), new Uint16Array(values.length), f32BitsToF16Bits);
}

/** Converts an array to bf16 bits. */
export function float32ToBf16(values: Float32Array): Uint16Array {
  return convert(wordsOf(values), new Uint16Array(values.length), f32BitsToBf16Bits);
}

/** Converts an array of f16 bits. */
export function f16ToFloat32(bits: Uint16Array): Float32Array {
  return new Float32Array(convert(bits, new Uint32Array(bits.length), f16BitsToF32Bits).buffer);
}

/** Converts an array of bf16 bits. */
export function bf16ToFloat32(bits: Uint16Array): Float32Array {
  return new Float32Array(convert(bits, new Uint32Array(bits.length), (value) => value << 16).buffer);
}
