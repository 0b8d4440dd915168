/**
 * @file The loops of f32 arithmetic. A store into a Float32Array rounds as IEEE asks; transcendental functions are those of
 * JavaScript, in f64, rounded once. One loop an operation, spelled out, so that each is compiled for Float32Array alone.
 *
 * f16 and bf16 use the same loops and a rounding pass: of +, -, *, / and remainder on 16-bit operands, rounding to f32 (24 bits) first
 * never changes the final result, since 24 >= 2 * 11 + 2. `fma` does need care: see `fused`.
 */
import type { DType } from "../ir/index.ts";
import { f32BitsToBf16Bits, f32BitsToF16Bits } from "../support/index.ts";

type Floats = Float32Array;

export const floatUnary: Readonly<Record<string, (out: Floats, x: Floats) => void>> = {
  neg(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = -x[i]!;
  },
  abs(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.abs(x[i]!);
  },
  floor(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.floor(x[i]!);
  },
  ceil(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.ceil(x[i]!);
  },
  sqrt(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.sqrt(x[i]!);
  },
  rsqrt(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = 1 / Math.sqrt(x[i]!);
  },
  reciprocal(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = 1 / x[i]!;
  },
  exp(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.exp(x[i]!);
  },
  exp2(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = 2 ** x[i]!;
  },
  log(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.log(x[i]!);
  },
  log2(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.log2(x[i]!);
  },
  sin(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.sin(x[i]!);
  },
  cos(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.cos(x[i]!);
  },
  tanh(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.tanh(x[i]!);
  },
};

/** The smaller; of a NaN and a number the number; -0 is smaller than +0. */
export const minimum = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.min(a, b));
/** The larger; of a NaN and a number the number; +0 is larger than -0. */
export const maximum = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b));

export const floatBinary: Readonly<Record<string, (out: Floats, a: Floats, b: Floats) => void>> = {
  add(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! + b[i]!;
  },
  sub(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! - b[i]!;
  },
  mul(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! * b[i]!;
  },
  div(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! / b[i]!;
  },
  rem(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! % b[i]!;
  },
  min(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = minimum(a[i]!, b[i]!);
  },
  max(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = maximum(a[i]!, b[i]!);
  },
};

const double = new Float64Array(1);
const halves = new Uint32Array(double.buffer);
const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/**
 * a * b + c in f64, rounded to odd: inexact results end in a 1 bit. Rounding that once more, to any format of at most 51 bits, gives
 * the correctly rounded result (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", 2008). The product of two f32 is
 * exact in f64; the error of the sum is computed exactly by Knuth's two-sum.
 */
function fusedToOdd(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const part = sum - product;
  const error = product - (sum - part) + (c - part);
  if (error === 0 || !Number.isFinite(error)) return sum; // Exact, or an infinity or NaN.
  double[0] = sum;
  if ((halves[0]! & 1) === 1) return sum;
  if (error > 0 === sum > 0) halves[0]! |= 1;
  else {
    // One step towards zero: borrow from the high word if the low one is 0.
    if (halves[0] === 0) halves[1]!--;
    halves[0]!--;
  }
  return double[0];
}

/** `x` rounded to f32 to odd, so that rounding to f16 or bf16 next is as good as rounding `x` at once. */
export function toOddSingle(x: number): number {
  single[0] = x;
  const rounded = single[0];
  if (rounded === x || !Number.isFinite(rounded) || (singleBits[0]! & 1) === 1) return rounded;
  singleBits[0]! += Math.abs(x) > Math.abs(rounded) ? 1 : -1;
  return single[0];
}

/** The loop of `fma` for a float dtype; it leaves results that are already rounded to the dtype, or to odd for the rounding pass. */
export function floatFma(dtype: DType): (out: Floats, a: Floats, b: Floats, c: Floats) => void {
  if (dtype === "f32")
    return (out, a, b, c) => {
      for (let i = 0; i < out.length; i++) out[i] = fusedToOdd(a[i]!, b[i]!, c[i]!);
    };
  return (out, a, b, c) => {
    for (let i = 0; i < out.length; i++) out[i] = toOddSingle(fusedToOdd(a[i]!, b[i]!, c[i]!));
  };
}

/** The bits of a number rounded once to a 16-bit float. */
export function roundOnce(dtype: "f16" | "bf16", x: number): number {
  single[0] = toOddSingle(x);
  return dtype === "f16" ? f32BitsToF16Bits(singleBits[0]!) : f32BitsToBf16Bits(singleBits[0]!);
}
