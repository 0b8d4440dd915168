/**
 * @file Elementwise operations: a function from the operands' elements to the result's, applied to each register of the tile, once for
 * equal operands (so a broadcast costs nothing). Sums and products of f16 and bf16 have instructions, for two elements at a time; all else is
 * computed in f32 and rounded after every operation.
 */
import type { ComparePredicate, DType, Operation } from "../../ir/index.ts";
import type { LinearLayout } from "../../layout/index.ts";
import { wrapByte } from "./casts.ts";
import {
  allDifferent,
  divisorOf,
  type Element,
  elementKey,
  isConstant,
  isFloatImmediate,
  isInteger,
  isSum,
  operandOf,
  registerOf,
} from "./element.ts";
import type { Emitter } from "./emitter.ts";
import type { Operand, Register } from "./instruction.ts";
import { addIntegers, type IntegerKind, multiplyIntegers, subtractIntegers } from "./integers.ts";
import {
  binaryLogarithm,
  cosine,
  exponential,
  floatRemainder,
  hyperbolicTangent,
  naturalLogarithm,
  sine,
} from "./math.ts";
import { isHalf, narrowToHalves, Tile, widenHalves } from "./tile.ts";

/** Makes one element of the result. */
type Make = (emitter: Emitter, operands: readonly Element[]) => Element;

export interface ElementwiseOptions {
  /** Whether ptxas may fuse a product and a sum of f32 (as nvcc does unless told otherwise): one rounding less, never more. */
  readonly contract: boolean;
}

/** Applies `make` to the elements of tiles in one layout. */
export function mapElements(emitter: Emitter, operands: readonly (readonly Element[])[], make: Make): Element[] {
  if (operands.some(allDifferent))
    return operands[0]!.map((_, i) => make(emitter, operands.length === 1 ? [operands[0]![i]!] : at(operands, i)));
  const made = new Map<string, Element>();
  return operands[0]!.map((_, i) => {
    const elements = at(operands, i);
    const key = elements.map(elementKey).join();
    let element = made.get(key);
    if (element === undefined) {
      element = make(emitter, elements);
      made.set(key, element);
    }
    return element;
  });
}

const at = (operands: readonly (readonly Element[])[], i: number): Element[] => operands.map((list) => list[i]!);

/** Any elementwise operation but cast, bitcast, multiple_of and add_pointer. */
export function lowerElementwise(
  emitter: Emitter,
  operation: Operation,
  operands: readonly Tile[],
  layout: LinearLayout | undefined,
  options: ElementwiseOptions,
): Tile {
  const { opcode, attributes } = operation;
  const kind = operands.at(-1)!.kind;
  const result = (elements: readonly Element[]): Tile =>
    Tile.ofElements(opcode === "compare" ? "bool" : kind, layout, elements);
  if (isHalf(kind)) {
    const instruction = halfInstruction(opcode, kind);
    if (instruction && operands.every((tile) => tile.packable)) {
      const words = operands.map((tile) => tile.words(emitter));
      return Tile.ofWords(kind, layout, mapElements(emitter, words, instruction("x2")));
    }
    if (instruction) {
      const elements = operands.map((tile) => tile.elements(emitter));
      return result(mapElements(emitter, elements, instruction("")));
    }
    if (opcode === "select" || opcode === "neg" || opcode === "abs") {
      const make = halfOperation(opcode, kind);
      return result(
        mapElements(
          emitter,
          operands.map((tile) => tile.elements(emitter)),
          make,
        ),
      );
    }
    const wide = operands.map((tile) => widenHalves(emitter, tile));
    if (opcode === "compare")
      return result(mapElements(emitter, wide, floatCompare(attributes.predicate as ComparePredicate)));
    return narrowToHalves(emitter, kind, layout, mapElements(emitter, wide, floatOperation(opcode, options)));
  }
  const make = operationOn(kind, operation, options);
  const [first] = operands as [Tile];
  if (opcode === "compare" && kind !== "f32" && kind !== "bool" && layout) {
    // There are few registers for predicates.
    const lists = operands.map((tile) => tile.elements(emitter));
    return Tile.deferred("bool", layout, (register) => make(emitter, at(lists, register)));
  }
  if (first.kind === "bool") {
    const elementsAt = (register: number) => operands.map((tile) => tile.element(emitter, register));
    return result(Array.from({ length: first.registers }, (_, register) => make(emitter, elementsAt(register))));
  }
  return result(
    mapElements(
      emitter,
      operands.map((tile) => tile.elements(emitter)),
      make,
    ),
  );
}

function operationOn(kind: Tile["kind"], { opcode, attributes }: Operation, options: ElementwiseOptions): Make {
  const predicate = attributes.predicate as ComparePredicate;
  if (opcode === "select") return selectElement(kind);
  if (kind === "f32") return opcode === "compare" ? floatCompare(predicate) : floatOperation(opcode, options);
  if (kind === "bool") return opcode === "compare" ? boolCompare(predicate) : boolOperation(opcode);
  if (kind === "pointer") throw new Error(`${opcode} is not defined for pointers`);
  return opcode === "compare" ? integerCompare(predicate, kind) : integerOperation(opcode, kind);
}

// Floats

const floatInstructions: Readonly<Record<string, string>> = {
  neg: "neg.f32",
  abs: "abs.f32",
  floor: "cvt.rmi.f32.f32",
  ceil: "cvt.rpi.f32.f32",
  sqrt: "sqrt.rn.f32",
  rsqrt: "rsqrt.approx.f32",
  exp2: "ex2.approx.ftz.f32",
  div: "div.rn.f32",
  min: "min.f32",
  max: "max.f32",
  fma: "fma.rn.f32",
};

const floatFunctions: Readonly<Record<string, (emitter: Emitter, ...operands: Operand[]) => Register>> = {
  exp: exponential,
  log: naturalLogarithm,
  log2: binaryLogarithm,
  sin: sine,
  cos: cosine,
  tanh: hyperbolicTangent,
  rem: floatRemainder as (emitter: Emitter, ...operands: Operand[]) => Register,
};

/** The bits of 1. */
const FLOAT_ONE = 0x3f800000;

/** The operands of an f32 instruction: constants as immediates, but never all of them and never for a unary instruction. */
function floatOperands(emitter: Emitter, elements: readonly Element[]): Operand[] {
  return elements.map((element, i) =>
    i === 0 && isConstant(elements.at(-1)!) ? registerOf(emitter, element, "f32") : operandOf(emitter, element, "f32"),
  );
}

function floatOperation(opcode: string, { contract }: ElementwiseOptions): Make {
  const special = floatFunctions[opcode];
  if (special)
    return (emitter, elements) => special(emitter, ...elements.map((element) => registerOf(emitter, element, "f32")));
  // An explicit .rn forbids fusing a product into a sum.
  const rounded = opcode === "add" || opcode === "sub" || opcode === "mul";
  const instruction = rounded ? `${opcode}${contract ? "" : ".rn"}.f32` : floatInstructions[opcode];
  if (!instruction) throw new Error(`no f32 instruction for ${opcode}`);
  return (emitter, elements) => {
    // Rounded to nearest too, in half the instructions.
    if (opcode === "div" && isFloatImmediate(elements[0]!) && elements[0].bits === FLOAT_ONE)
      return emitter.op("f32", "rcp.rn.f32", registerOf(emitter, elements[1]!, "f32"));
    return emitter.op("f32", instruction, ...floatOperands(emitter, elements));
  };
}

function floatCompare(predicate: ComparePredicate): Make {
  // "Not equal" is true for NaN, all others are false.
  const name = predicate === "ne" ? "neu" : predicate;
  return (emitter, elements) => emitter.op("pred", `setp.${name}.f32`, ...floatOperands(emitter, elements));
}

/** Bits of two bf16 1, -1 and -0. */
const PAIR = { one: 0x3f803f80, minusOne: 0xbf80bf80, minusZero: 0x80008000 } as const;

/**
 * Sums and products of halves, one by one or (`x2`) in words, rounded once: as in f32, whose fraction is more than twice as long, and then
 * rounded. sm_80 has only fma for bf16; adding -0 changes nothing.
 */
function halfInstruction(opcode: string, kind: "f16" | "bf16"): ((width: "" | "x2") => Make) | undefined {
  if (opcode !== "add" && opcode !== "sub" && opcode !== "mul" && opcode !== "fma") return undefined;
  return (width) => (emitter, elements) => {
    const registerClass = width === "" ? "b16" : "b32";
    const pattern = (bits: number): Register =>
      emitter.pure(registerClass, `mov.${registerClass}`, [width === "" ? bits & 0xffff : bits]);
    const [a, b, c] = elements.map((element) =>
      width === "" ? registerOf(emitter, element, kind) : typeof element === "number" ? pattern(element) : element,
    ) as Register[];
    const operation = (name: string, ...operands: Register[]): Register =>
      emitter.op(registerClass, `${name}.rn.${kind}${width}`, ...operands);
    if (opcode === "fma") return operation("fma", a!, b!, c!);
    if (kind === "f16") return operation(opcode, a!, b!);
    if (opcode === "mul") return operation("fma", a!, b!, pattern(PAIR.minusZero));
    return operation("fma", b!, pattern(opcode === "add" ? PAIR.one : PAIR.minusOne), a!);
  };
}

function halfOperation(opcode: string, kind: "f16" | "bf16"): Make {
  if (opcode === "select") return selectElement(kind);
  return (emitter, [element]) => {
    const x = registerOf(emitter, element!, kind);
    return opcode === "neg" ? emitter.op("b16", "xor.b16", x, 0x8000) : emitter.op("b16", "and.b16", x, 0x7fff);
  };
}

// Select

const selectType: Readonly<Record<string, string>> = {
  f32: "f32",
  f16: "b16",
  bf16: "b16",
  i64: "b64",
  pointer: "b64",
};

function selectElement(kind: Tile["kind"]): Make {
  return (emitter, [condition, a, b]) => {
    if (typeof condition === "boolean") return condition ? a! : b!;
    if (elementKey(a!) === elementKey(b!)) return a!;
    const chosen = registerOf(emitter, condition!, "bool");
    if (kind === "bool") {
      const yes = boolAnd(emitter, chosen, a!);
      return boolOr(emitter, yes, boolAnd(emitter, boolNot(emitter, chosen), b!));
    }
    const type = selectType[kind] ?? "b32";
    const registerClass = registerClassOfType[type]!;
    const operands = [operandOf(emitter, a!, kind), operandOf(emitter, b!, kind), chosen] as const;
    if (kind !== "f32" && !isHalf(kind))
      return emitter.pure(registerClass, `selp.${type}`, operands, Math.min(divisorOf(a!), divisorOf(b!)));
    return emitter.op(registerClass, `selp.${type}`, ...operands);
  };
}
const registerClassOfType: Readonly<Record<string, "f32" | "b16" | "b32" | "b64">> = {
  f32: "f32",
  b16: "b16",
  b32: "b32",
  b64: "b64",
};

// Bool: predicates, with constants folded so that a mask that is always true costs nothing

export function boolAnd(emitter: Emitter, a: Element, b: Element): Element {
  if (typeof a === "boolean") return a ? b : false;
  if (typeof b === "boolean") return b ? a : false;
  return a === b ? a : emitter.pure("pred", "and.pred", sorted(a, b));
}
export function boolOr(emitter: Emitter, a: Element, b: Element): Element {
  if (typeof a === "boolean") return a ? true : b;
  if (typeof b === "boolean") return b ? true : a;
  return a === b ? a : emitter.pure("pred", "or.pred", sorted(a, b));
}
export function boolNot(emitter: Emitter, a: Element): Element {
  return typeof a === "boolean" ? !a : emitter.pure("pred", "not.pred", [a as Register]);
}
export function boolXor(emitter: Emitter, a: Element, b: Element): Element {
  if (typeof a === "boolean") return a ? boolNot(emitter, b) : b;
  if (typeof b === "boolean") return b ? boolNot(emitter, a) : a;
  return emitter.pure("pred", "xor.pred", sorted(a, b));
}
function sorted(a: Element, b: Element): [Register, Register] {
  const [x, y] = [a as Register, b as Register];
  return x.id <= y.id ? [x, y] : [y, x];
}

const boolOperations: Readonly<Record<string, (emitter: Emitter, a: Element, b: Element) => Element>> = {
  and: boolAnd,
  or: boolOr,
  xor: boolXor,
  not: boolNot,
  eq: (emitter, a, b) => boolNot(emitter, boolXor(emitter, a, b)),
  ne: boolXor,
  lt: (emitter, a, b) => boolAnd(emitter, boolNot(emitter, a), b),
  le: (emitter, a, b) => boolOr(emitter, boolNot(emitter, a), b),
  gt: (emitter, a, b) => boolAnd(emitter, a, boolNot(emitter, b)),
  ge: (emitter, a, b) => boolOr(emitter, a, boolNot(emitter, b)),
};

function boolOperation(opcode: string): Make {
  const operation = boolOperations[opcode];
  if (!operation) throw new Error(`no bool operation ${opcode}`);
  return (emitter, [a, b]) => operation(emitter, a!, b!);
}
const boolCompare = (predicate: ComparePredicate): Make => boolOperation(predicate);

// Integers; an i8 is computed as an i32 and wrapped

function integerOperation(opcode: string, dtype: DType): Make {
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

function integerCompare(predicate: ComparePredicate, dtype: DType): Make {
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
