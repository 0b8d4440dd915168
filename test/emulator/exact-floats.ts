/**
 * @file Floats as fractions of whole numbers, by IEEE 754: what instructions on floats must give. Shares nothing with the emulator.
 */
export interface Format {
  readonly bits: number;
  readonly fraction: number;
  readonly bias: number;
}

export const formats = {
  f16: { bits: 16, fraction: 10, bias: 15 },
  bf16: { bits: 16, fraction: 7, bias: 127 },
  f32: { bits: 32, fraction: 23, bias: 127 },
  f64: { bits: 64, fraction: 52, bias: 1023 },
  /** The upper 19 bits of a word. */
  tf32: { bits: 19, fraction: 10, bias: 127 },
} as const satisfies Record<string, Format>;

/** To nearest, ties to even; to zero; down; up; to nearest, ties away from zero. */
export type Mode = "rn" | "rz" | "rm" | "rp" | "rna";

/** A magnitude `top / bottom` with a sign, which zeros have too; an infinity has the bottom 0. */
export interface Real {
  readonly negative: boolean;
  readonly top: bigint;
  readonly bottom: bigint;
}

/** Undefined is not a number. */
export type Value = Real | undefined;

const infinity = (negative: boolean): Real => ({ negative, top: 1n, bottom: 0n });
const zero = (negative: boolean): Real => ({ negative, top: 0n, bottom: 1n });
export const isInfinite = ({ bottom }: Real): boolean => bottom === 0n;
export const isZero = ({ top }: Real): boolean => top === 0n;
const size = (a: bigint): bigint => (a < 0n ? -a : a);

/** A whole number. */
export const whole = (a: bigint): Real => ({ negative: a < 0n, top: size(a), bottom: 1n });

export function decode(bits: bigint, { bits: width, fraction, bias }: Format): Value {
  const negative = ((bits >> BigInt(width - 1)) & 1n) === 1n;
  const exponent = Number((bits >> BigInt(fraction)) & ((1n << BigInt(width - 1 - fraction)) - 1n));
  const rest = bits & ((1n << BigInt(fraction)) - 1n);
  if (exponent === 2 * bias + 1) return rest === 0n ? infinity(negative) : undefined;
  const digits = exponent === 0 ? rest : rest | (1n << BigInt(fraction));
  const power = Math.max(exponent, 1) - bias - fraction;
  return { negative, top: power > 0 ? digits << BigInt(power) : digits, bottom: power < 0 ? 1n << BigInt(-power) : 1n };
}

/** The floor of top / bottom and what is left: 0 nothing, 1 less than half, 2 half, 3 more. */
function divide(top: bigint, bottom: bigint): [quotient: bigint, rest: number] {
  const quotient = top / bottom;
  const rest = top - quotient * bottom;
  return [quotient, rest === 0n ? 0 : 2n * rest < bottom ? 1 : 2n * rest === bottom ? 2 : 3];
}

/** A floor and what is left, rounded. */
function round([quotient, rest]: [bigint, number], negative: boolean, mode: Mode): bigint {
  const away: Readonly<Record<Mode, boolean>> = {
    rn: rest === 3 || (rest === 2 && quotient % 2n === 1n),
    rna: rest >= 2,
    rz: false,
    rm: rest > 0 && negative,
    rp: rest > 0 && !negative,
  };
  return away[mode] ? quotient + 1n : quotient;
}

/** The bits of the neighbour that the mode chooses; undefined of what is not a number. */
export function encode(value: Value, { bits, fraction, bias }: Format, mode: Mode): bigint | undefined {
  if (value === undefined) return undefined;
  const { negative, top, bottom } = value;
  const sign = negative ? 1n << BigInt(bits - 1) : 0n;
  const infinite = BigInt(2 * bias + 1) << BigInt(fraction);
  if (bottom === 0n) return sign | infinite;
  if (top === 0n) return sign;
  // The exponent, perhaps one too great.
  let exponent = top.toString(2).length - bottom.toString(2).length;
  if (exponent >= 0 ? top < bottom << BigInt(exponent) : top << BigInt(-exponent) < bottom) exponent--;
  exponent = Math.max(exponent, 1 - bias);
  const unit = exponent - fraction;
  const digits = divide(unit < 0 ? top << BigInt(-unit) : top, unit > 0 ? bottom << BigInt(unit) : bottom);
  // A carry out of the fraction goes to the exponent.
  const rounded = (BigInt(exponent + bias - 1) << BigInt(fraction)) + round(digits, negative, mode);
  if (rounded < infinite) return sign | rounded;
  const stays = mode === "rz" || mode === (negative ? "rp" : "rm");
  return sign | (stays ? infinite - 1n : infinite);
}

/** Rounded to a whole number, without the sign of a zero. */
export const toWhole = ({ negative, top, bottom }: Real, mode: Mode): bigint => {
  const rounded = round(divide(top, bottom), negative, mode);
  return negative ? -rounded : rounded;
};

/** Rounded to a whole number. */
export const integral = (a: Real, mode: Mode): Real =>
  isInfinite(a) ? a : { negative: a.negative, top: size(toWhole(a, mode)), bottom: 1n };

export const negate = (a: Value): Value => a && { ...a, negative: !a.negative };

/** The mode says which zero a sum of opposites is. */
export function add(a: Value, b: Value, mode: Mode): Value {
  if (a === undefined || b === undefined) return undefined;
  if (isInfinite(a) || isInfinite(b)) {
    if (isInfinite(a) && isInfinite(b) && a.negative !== b.negative) return undefined;
    return isInfinite(a) ? a : b;
  }
  if (isZero(a) && isZero(b)) return a.negative === b.negative ? a : zero(mode === "rm");
  const [first, second] = [a, b].map(({ negative, top }) => (negative ? -top : top)) as [bigint, bigint];
  const top = first * b.bottom + second * a.bottom;
  return top === 0n ? zero(mode === "rm") : { negative: top < 0n, top: size(top), bottom: a.bottom * b.bottom };
}

export function multiply(a: Value, b: Value): Value {
  if (a === undefined || b === undefined) return undefined;
  const negative = a.negative !== b.negative;
  if (isInfinite(a) || isInfinite(b)) return isZero(a) || isZero(b) ? undefined : infinity(negative);
  return { negative, top: a.top * b.top, bottom: a.bottom * b.bottom };
}

export function quotient(a: Value, b: Value): Value {
  if (a === undefined || b === undefined) return undefined;
  const negative = a.negative !== b.negative;
  if (isInfinite(a)) return isInfinite(b) ? undefined : infinity(negative);
  if (isInfinite(b)) return zero(negative);
  if (isZero(b)) return isZero(a) ? undefined : infinity(negative);
  return { negative, top: a.top * b.bottom, bottom: a.bottom * b.top };
}

/** To 80 bits; where it is not exact, something between two of them. */
export function squareRoot(a: Value): Value {
  if (a === undefined || isZero(a)) return a;
  if (a.negative) return undefined;
  if (isInfinite(a)) return a;
  const product = a.top * a.bottom;
  const places = BigInt(Math.max(0, 80 - (product.toString(2).length >> 1)));
  const square = product << (2n * places);
  let root = 1n << BigInt((square.toString(2).length >> 1) + 1);
  for (let next = root; ; root = next) {
    next = (root + square / root) >> 1n;
    if (next >= root) break;
  }
  const inexact = root * root === square ? 0n : 1n;
  return { negative: false, top: 2n * root + inexact, bottom: (2n * a.bottom) << places };
}

/** -1, 0 or 1; zeros are equal. */
export function compare(a: Real, b: Real): number {
  const [first, second] = [a, b].map(({ negative, top }) => (negative ? -top : top)) as [bigint, bigint];
  if (isInfinite(a) || isInfinite(b)) {
    const rank = (r: Real): number => (isInfinite(r) ? (r.negative ? -1 : 1) : 0);
    return Math.sign(rank(a) - rank(b));
  }
  const difference = first * b.bottom - second * a.bottom;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** The lesser or greater, -0 below 0; of a number and what is none the number, unless `propagate`. */
export function extreme(of: "min" | "max", a: Value, b: Value, propagate: boolean): Value {
  if (a === undefined || b === undefined) return propagate ? undefined : (a ?? b);
  const order = compare(a, b) || Number(b.negative) - Number(a.negative);
  return (of === "min") === order < 0 ? a : b;
}

/** Subnormal numbers of the format count as zeros. */
export const flush = (a: Value, { bias }: Format): Value =>
  a && !isInfinite(a) && a.top << BigInt(bias - 1) < a.bottom ? { ...a, top: 0n, bottom: 1n } : a;

/** In [0, 1]; 0 of what is not a number. */
export function saturate(a: Value): Value {
  if (a === undefined || a.negative || isZero(a)) return zero(false);
  return compare(a, whole(1n)) > 0 ? whole(1n) : a;
}

/** 0 of what is below; what is not a number stays. */
export const positive = (a: Value): Value => (a?.negative ? zero(false) : a);
