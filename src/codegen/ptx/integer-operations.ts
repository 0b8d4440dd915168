/**
 * @file The elementwise operations on integers, element by element: sums and products keep their constants apart (integers.ts), divisions by powers
 * of two are shifts, and an element is compared by what decides of its whole vector. An i8 is computed as an i32 and wrapped.
 */
import type { ComparePredicate, DType } from "../../ir/index.ts";
import { wrapByte } from "./casts.ts";
import { divisorOf, type Element, isInteger, isSum, type Make, operandOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import type { Operand, Register } from "./instruction.ts";
import { addIntegers, type IntegerKind, multiplyIntegers, subtractIntegers } from "./integers.ts";

export function integerOperation(opcode: string, dtype: DType): Make {
  if (dtype !== "i8") return wideOperation(opcode, dtype as IntegerKind);
  const make = wideOperation(opcode, "i32");
  return (emitter, elements) => wrapByte(emitter, make(emitter, elements));
}

function wideOperation(opcode: string, kind: IntegerKind): Make {
  const wide = kind === "i64";
  const bits = wide ? "b64" : "b32";
  const type = wide ? "s64" : kind === "u32" ? "u32" : "s32";
  const instruction =
    { div: `div.${type}`, rem: `rem.${type}`, min: `min.${type}`, max: `max.${type}` }[opcode] ??
    { and: `and.${bits}`, or: `or.${bits}`, xor: `xor.${bits}`, not: `not.${bits}`, abs: `abs.${type}` }[opcode] ??
    { shl: `shl.${bits}`, shr: `shr.${type}`, umulhi: "mul.hi.u32" }[opcode];
  switch (opcode) {
    case "add":
      return (emitter, [a, b]) => addIntegers(emitter, a!, b!, kind);
    case "sub":
      return (emitter, [a, b]) => subtractIntegers(emitter, a!, b!, kind);
    case "mul":
      return (emitter, [a, b]) => multiplyIntegers(emitter, a!, b!, kind);
    case "neg":
      return (emitter, [a]) => subtractIntegers(emitter, 0, a!, kind);
    case "abs":
      if (kind === "u32") return (_, [a]) => a!;
      return (emitter, [a]) => {
        const source = registerOf(emitter, a!, kind);
        return emitter.pure(bits, instruction!, [source], source.divisor);
      };
    case "shl":
      return (emitter, [a, b]) => {
        if (isInteger(b!) && BigInt(b) >= 0n && BigInt(b) < (wide ? 64n : 32n))
          return multiplyIntegers(emitter, a!, 1n << BigInt(b), kind);
        return emitter.pure(bits, instruction!, [operandOf(emitter, a!, kind), shiftAmount(emitter, b!, kind)]);
      };
    case "shr":
      return (emitter, [a, b]) => {
        const source = registerOf(emitter, a!, kind);
        const divisor = isInteger(b!) && Number(b) < 31 ? Math.max(1, source.divisor >>> Number(b)) : 1;
        return emitter.pure(bits, instruction!, [source, shiftAmount(emitter, b!, kind)], divisor);
      };
    default:
      if (!instruction) throw new Error(`no ${kind} instruction for ${opcode}`);
      return (emitter, elements) => {
        const [a, b] = elements as [Element, Element];
        const shift = opcode === "div" || opcode === "rem" ? shiftOfDivisor(b) : undefined;
        if (shift !== undefined && !isInteger(a)) return divideByPower(emitter, opcode, a, shift, kind);
        const operands = elements.map((element, i) =>
          i === 0 ? registerOf(emitter, element, kind) : operandOf(emitter, element, kind),
        );
        return emitter.pure(bits, instruction, operands, divisorOfResult(opcode, elements));
      };
  }
}

/** k where the divisor is the constant 2^k. */
function shiftOfDivisor(divisor: Element): number | undefined {
  if (!isInteger(divisor) || divisor < 1 || divisor > 2 ** 30) return undefined;
  const value = Number(divisor);
  return (value & (value - 1)) === 0 ? Math.log2(value) : undefined;
}

/** Quotient or remainder of a division by 2^shift, towards zero. (ptxas divides by constants as by anything else: some twenty instructions.) */
function divideByPower(emitter: Emitter, opcode: string, a: Element, shift: number, kind: IntegerKind): Element {
  if (shift === 0) return opcode === "div" ? a : 0;
  const source = registerOf(emitter, a, kind);
  const [bits, width] = kind === "i64" ? (["b64", 64] as const) : (["b32", 32] as const);
  const divides = source.divisor >= 2 ** shift;
  if (opcode === "rem" && divides) return 0;
  const op = (name: string, operands: Operand[], divisor = 1): Register =>
    emitter.pure(bits, name, operands, Math.max(1, divisor));
  let rounded = source;
  if (kind !== "u32" && !divides) {
    // 2^shift - 1 more for a negative number: rounded down, that is towards zero.
    const sign = op(`shr.s${width}`, [source, width - 1]);
    rounded = op(`add.s${width}`, [source, op(`shr.u${width}`, [sign, width - shift])]);
  }
  if (opcode === "div")
    return op(`shr.${kind === "u32" ? "u" : "s"}${width}`, [rounded, shift], rounded.divisor >>> shift);
  const part = 2 ** shift - 1;
  if (kind === "u32") return op(`and.${bits}`, [source, part]);
  return op(`sub.s${width}`, [source, op(`and.${bits}`, [rounded, -1 - part])]);
}

/** Shift amounts are 32-bit registers. */
function shiftAmount(emitter: Emitter, b: Element, kind: IntegerKind): Operand {
  if (isInteger(b)) return Number(b);
  const register = registerOf(emitter, b, kind);
  return kind === "i64" ? emitter.pure("b32", "cvt.u32.u64", [register]) : register;
}

function divisorOfResult(opcode: string, elements: readonly Element[]): number {
  const divisors = elements.map(divisorOf);
  switch (opcode) {
    case "min":
    case "max":
    case "or":
    case "xor":
      return Math.min(...divisors);
    case "and":
      return Math.max(...divisors);
    case "rem":
      return Math.min(...divisors);
    case "div": {
      const by = elements[1]!;
      const power = isInteger(by) && by > 0 && (BigInt(by) & (BigInt(by) - 1n)) === 0n;
      return power ? Math.max(1, divisors[0]! / Number(by)) : 1;
    }
    default:
      return 1;
  }
}

export function integerCompare(predicate: ComparePredicate, dtype: DType): Make {
  const kind = dtype === "i8" ? "i32" : (dtype as IntegerKind);
  const type = kind === "i64" ? "s64" : kind === "u32" ? "u32" : "s32";
  return (emitter, [a, b]) => {
    // x < n is floor(x) < n where both are multiples of a power of two: elements of one vector then share one predicate.
    const left = predicate === "lt" || predicate === "ge" ? floorTo(a!, divisorOf(b!)) : a!;
    if (isInteger(left) && isInteger(b!)) return evaluateCompare(predicate, left, b);
    return emitter.pure("pred", `setp.${predicate}.${type}`, [
      registerOf(emitter, left, kind),
      operandOf(emitter, b!, kind),
    ]);
  };
}

/** Lowers the constant of a sum to a multiple of what divides both its base and `divisor`. */
function floorTo(element: Element, divisor: number): Element {
  if (!isSum(element)) return element;
  const unit = Math.min(element.base.divisor, divisor);
  if (unit === 1 || element.offset < 0) return element;
  const offset = element.offset - (element.offset % unit);
  return offset === 0 ? element.base : { ...element, offset };
}

function evaluateCompare(predicate: ComparePredicate, a: number | bigint, b: number | bigint): boolean {
  switch (predicate) {
    case "eq":
      return BigInt(a) === BigInt(b);
    case "ne":
      return BigInt(a) !== BigInt(b);
    case "lt":
      return a < b;
    case "le":
      return a <= b;
    case "gt":
      return a > b;
    case "ge":
      return a >= b;
  }
}
