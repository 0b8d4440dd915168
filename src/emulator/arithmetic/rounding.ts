/**
 * @file Correct rounding with doubles. A sum or a product of two f32 is rounded once by `Math.fround` of the double result (53 bits are
 * more than twice 24 plus 2). A fused multiply-add is not: there the double is first rounded *to odd*, which keeps track of what was
 * lost, so that the second rounding is right. (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms
 * using rounding to odd", 2008.)
 */
const float64 = new Float64Array(1);
const words64 = new Int32Array(float64.buffer);
const float32 = new Float32Array(1);
const words32 = new Int32Array(float32.buffer);

export type RoundingMode = "rn" | "rz" | "rm" | "rp";

/** The error of `sum = a + b` in doubles, exactly (Knuth's TwoSum). */
export function sumError(a: number, b: number, sum: number): number {
  const bPart = sum - a;
  return a - (sum - bPart) + (b - bPart);
}

/** `sum + error`, where `error` is less than an ulp of `sum`, rounded to odd: an inexact result has its last bit set. */
export function roundToOdd(sum: number, error: number): number {
  if (error === 0 || !Number.isFinite(sum)) return sum;
  float64[0] = sum;
  // From an even to an odd last bit.
  return (words64[0]! & 1) === 1 ? sum : next64(sum, error > 0);
}

/** The double next to a `value` that is neither zero nor infinite, upwards or downwards. */
function next64(value: number, up: boolean): number {
  float64[0] = value;
  if (up === value > 0) {
    words64[0]!++;
    if (words64[0] === 0) words64[1]!++;
  } else {
    if (words64[0] === 0) words64[1]!--;
    words64[0]!--;
  }
  return float64[0]!;
}

/** `sum + error`, where `error` is at most half an ulp of `sum`, which is not infinite, rounded to a double in a direction. */
export function direct64(sum: number, error: number, mode: RoundingMode): number {
  if (mode === "rn" || error === 0) return sum;
  const up = mode === "rp" || (mode === "rz" && sum < 0);
  return up === error > 0 ? next64(sum, up) : sum;
}

/** a · b + c with one rounding, for a, b and c that are f32 (or shorter). Returned as the double that holds the f32. */
export function fma32(a: number, b: number, c: number): number {
  const product = a * b; // Exact: 48 bits.
  const sum = product + c;
  float64[0] = sum;
  // Only a double that is the middle of two f32 may be rounded wrongly; its last 28 bits are 0.
  if ((words64[0]! & 0xfffffff) !== 0) return Math.fround(sum);
  return Math.fround(roundToOdd(sum, sumError(product, c, sum)));
}

/** The f32 next to a finite `value`, upwards or downwards. */
function next32(value: number, up: boolean): number {
  if (value === 0) return up ? 2 ** -149 : -(2 ** -149);
  float32[0] = value;
  words32[0]! += up === value > 0 ? 1 : -1;
  return float32[0]!;
}

/**
 * A value rounded to f32 in a direction: `nearest` is the value rounded to nearest, `error` has the sign of the exact value minus
 * `nearest`.
 */
export function direct32(nearest: number, error: number, mode: RoundingMode): number {
  if (mode === "rn" || error === 0 || Number.isNaN(nearest) || Number.isNaN(error)) return nearest;
  const negative = nearest < 0 || (nearest === 0 && error < 0);
  const up = mode === "rp" || (mode === "rz" && negative);
  if (up !== error > 0) return nearest;
  const moved = next32(nearest, up);
  return moved === 0 && negative ? -0 : moved;
}

export const isSubnormal32 = (value: number): boolean => value !== 0 && Math.abs(value) < 2 ** -126;

/** Subnormal f32 become zeros of their sign. */
export const flush32 = (value: number): number => (isSubnormal32(value) ? (value < 0 ? -0 : 0) : value);

export const saturate = (value: number): number => (value > 0 ? Math.min(value, 1) : 0); // NaN becomes 0.

/** Rounds to the nearest integer, halves to even. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor === 0 && value < 0 ? -0 : floor;
  if (rest > 0.5 || floor % 2 !== 0) return floor === -1 ? -0 : floor + 1;
  return floor;
}
