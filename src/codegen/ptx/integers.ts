/**
 * @file Integer arithmetic on elements: constants fold, sums keep their constant apart, equal results are shared, everything lands in
 * the outermost block that it can (Emitter.pure). For i32 and u32 arithmetic is modulo 2^32, so that a constant may be moved out of
 * any sum or product.
 */

import { divisorOf, type Element, isInteger, lowBit, operandOf, type Sum } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import type { Register } from "./instruction.ts";

/** The kinds of integers that are computed with here; addresses are `pointer`. */
export type IntegerKind = "i32" | "u32" | "i64" | "pointer";

const isWide = (kind: IntegerKind): boolean => kind === "i64" || kind === "pointer";
const wrap = (value: number | bigint, kind: IntegerKind): number | bigint => {
  if (typeof value === "number") {
    if (kind === "u32") return value >>> 0 === value ? value : Number(BigInt.asUintN(32, BigInt(value)));
    if (kind === "i32") return (value | 0) === value ? value : Number(BigInt.asIntN(32, BigInt(value)));
    return value;
  }
  if (kind === "u32") return Number(BigInt.asUintN(32, value));
  if (kind === "i32") return Number(BigInt.asIntN(32, value));
  const wide = BigInt.asIntN(64, value);
  return wide >= -(2n ** 53n) && wide <= 2n ** 53n ? Number(wide) : wide;
};
const suffix = (kind: IntegerKind): string => (isWide(kind) ? "s64" : "s32");
const classOf = (kind: IntegerKind) => (isWide(kind) ? "b64" : "b32");

/** The part of an integer that is in a register, and its constant part. */
const baseOf = (element: Element): Register | undefined =>
  typeof element !== "object" ? undefined : element.kind === "sum" ? element.base : (element as Register);
const offsetOf = (element: Element): number | bigint =>
  typeof element !== "object" ? (element as number | bigint) : element.kind === "sum" ? element.offset : 0;

/** `base + offset` in the simplest form. A constant too large for a safe integer is added at once. */
function sum(emitter: Emitter, base: Register | undefined, offset: number | bigint, kind: IntegerKind): Element {
  if (!base) return wrap(offset, kind);
  const constant = wrap(offset, kind === "u32" ? "i32" : kind);
  if (constant === 0) return base;
  if (typeof constant === "bigint") return emitter.pure(classOf(kind), `add.${suffix(kind)}`, [base, constant]);
  return { kind: "sum", base, offset: constant } satisfies Sum;
}

/** In plain numbers as long as they are exact: this is where most of a kernel's address arithmetic passes. */
const addExactly = (a: number | bigint, b: number | bigint): number | bigint => {
  if (typeof a === "number" && typeof b === "number" && Number.isSafeInteger(a + b)) return a + b;
  return BigInt(a) + BigInt(b);
};
const multiplyExactly = (a: number | bigint, b: number | bigint): number | bigint => {
  if (typeof a === "number" && typeof b === "number" && Number.isSafeInteger(a * b)) return a * b;
  return BigInt(a) * BigInt(b);
};
const negate = (a: number | bigint): number | bigint => -a;

export function addIntegers(emitter: Emitter, a: Element, b: Element, kind: IntegerKind): Element {
  const left = baseOf(a);
  const right = baseOf(b);
  let base = left ?? right;
  if (left && right) {
    // Sorted, so that a + b and b + a are one.
    const sources = left.id <= right.id ? [left, right] : [right, left];
    base = emitter.pure(classOf(kind), `add.${suffix(kind)}`, sources, Math.min(left.divisor, right.divisor));
  }
  return sum(emitter, base, addExactly(offsetOf(a), offsetOf(b)), kind);
}

export function subtractIntegers(emitter: Emitter, a: Element, b: Element, kind: IntegerKind): Element {
  const left = baseOf(a);
  const right = baseOf(b);
  const offset = addExactly(offsetOf(a), negate(offsetOf(b)));
  if (!right) return sum(emitter, left, offset, kind);
  const divisor = Math.min(left?.divisor ?? lowBit(offset), right.divisor);
  if (!left) return emitter.pure(classOf(kind), `sub.${suffix(kind)}`, [wrap(offset, kind), right], divisor);
  const difference = emitter.pure(classOf(kind), `sub.${suffix(kind)}`, [left, right], divisor);
  return sum(emitter, difference, offset, kind);
}

export function multiplyIntegers(emitter: Emitter, a: Element, b: Element, kind: IntegerKind): Element {
  if (isInteger(a) && isInteger(b)) return wrap(multiplyExactly(a, b), kind);
  if (isInteger(a)) return multiplyIntegers(emitter, b, a, kind);
  if (isInteger(b)) {
    return sum(emitter, scale(emitter, baseOf(a)!, b, kind), multiplyExactly(offsetOf(a), b), kind);
  }
  const left = operandOf(emitter, a, kind) as Register;
  const right = operandOf(emitter, b, kind) as Register;
  const [first, second] = left.id <= right.id ? [left, right] : [right, left];
  const divisor = Math.min(2 ** 30, first.divisor * second.divisor);
  return emitter.pure(classOf(kind), `mul.lo.${suffix(kind)}`, [first, second], divisor);
}

function scale(emitter: Emitter, base: Register, factor: number | bigint, kind: IntegerKind): Register | undefined {
  const wrapped = wrap(factor, kind);
  if (wrapped === 0) return undefined;
  if (wrapped === 1) return base;
  const divisor = Math.min(2 ** 30, base.divisor * lowBit(factor));
  const shift = exponentOf(wrapped);
  if (shift !== undefined)
    return emitter.pure(classOf(kind), isWide(kind) ? "shl.b64" : "shl.b32", [base, shift], divisor);
  return emitter.pure(classOf(kind), `mul.lo.${suffix(kind)}`, [base, wrapped], divisor);
}

/** The n of 2^n; undefined for another number, and beyond what plain numbers hold. */
function exponentOf(value: number | bigint): number | undefined {
  if (typeof value !== "number" || value <= 0) return undefined;
  const exponent = Math.round(Math.log2(value));
  return 2 ** exponent === value ? exponent : undefined;
}

/** The 64-bit value of an i32 (sign-extended) or u32 (zero-extended) register. */
export function widen(emitter: Emitter, element: Element, kind: "i32" | "u32" | "i64"): Element {
  if (kind === "i64" || isInteger(element)) return element;
  const register = operandOf(emitter, element, kind) as Register;
  return emitter.pure("b64", kind === "i32" ? "cvt.s64.s32" : "cvt.u64.u32", [register], register.divisor);
}

/** `a * b` in 64 bits, for an i32 `a` and a constant or 64-bit `b`. Saying "u32" of an `a` that is never negative makes it cheaper. */
export function multiplyWide(emitter: Emitter, a: Element, b: Element, kind: "i32" | "u32" = "i32"): Element {
  if (isInteger(a)) return multiplyIntegers(emitter, b, a, "i64");
  const register = operandOf(emitter, a, "i32") as Register;
  if (isInteger(b) && BigInt(b) >= -(2n ** 31n) && BigInt(b) < 2n ** 31n) {
    const divisor = Math.min(2 ** 30, register.divisor * lowBit(b));
    return b === 0 ? 0 : emitter.pure("b64", "mul.wide.s32", [register, b], divisor);
  }
  return multiplyIntegers(emitter, widen(emitter, register, kind), b, "i64");
}

/** The largest power of two up to 2^30 that divides every one of the elements. */
export const commonDivisor = (elements: readonly Element[]): number =>
  elements.reduce((divisor: number, element) => Math.min(divisor, divisorOf(element)), 2 ** 30);
