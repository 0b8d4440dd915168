/**
 * @file One element of a tile as a thread sees it: a register, a constant, or a register plus a constant. The last form is what keeps
 * addresses cheap: the elements of a thread mostly differ by constants, which end in the immediate field of a load or store.
 */
import type { DType } from "../../ir/index.ts";
import { f32BitsToBf16Bits, f32BitsToF16Bits } from "../../support/index.ts";
import type { Emitter } from "./emitter.ts";
import { type FloatImmediate, isRegister, type Operand, type Register, type RegisterClass } from "./instruction.ts";

/** `base + offset`, never with offset 0. Of i32 and u32 modulo 2^32; of i64 and addresses the offset is a safe integer. */
export interface Sum {
  readonly kind: "sum";
  readonly base: Register;
  readonly offset: number;
}

/** Floats of every dtype are f32 bits; i64 constants are bigints or safe integers. */
export type Element = Register | Sum | number | bigint | boolean | FloatImmediate;

/** What an element is an element of. */
export type ElementKind = DType | "pointer";

/** An elementwise operation: makes one element of the result. */
export type Make = (emitter: Emitter, operands: readonly Element[]) => Element;

export const registerClassOf: Readonly<Record<ElementKind, RegisterClass>> = {
  bool: "pred",
  i8: "b32", // Sign-extended.
  i32: "b32",
  u32: "b32",
  i64: "b64",
  f16: "b16",
  bf16: "b16",
  f32: "f32",
  pointer: "b64",
};

/** The suffix of `mov` for each register class. */
export const moveType: Readonly<Record<RegisterClass, string>> = {
  pred: "pred",
  b16: "b16",
  b32: "b32",
  b64: "b64",
  f32: "f32",
  f64: "f64",
};

export const isSum = (element: Element): element is Sum =>
  typeof element === "object" && (element as Sum).kind === "sum";
export const isFloatImmediate = (element: unknown): element is FloatImmediate =>
  typeof element === "object" && element !== null && (element as FloatImmediate).kind === "float";
export const isConstant = (element: Element): boolean => !isRegister(element) && !isSum(element);
/** An integer constant. */
export const isInteger = (element: Element): element is number | bigint =>
  typeof element === "number" || typeof element === "bigint";

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);
export function floatImmediate(value: number): FloatImmediate {
  float[0] = value;
  return { kind: "float", bits: word[0]! };
}
export function floatValue({ bits }: FloatImmediate): number {
  word[0] = bits;
  return float[0]!;
}

/** The 16-bit pattern of a constant of f16 or bf16. */
export const halfBits = ({ bits }: FloatImmediate, dtype: DType): number =>
  dtype === "f16" ? f32BitsToF16Bits(bits) : f32BitsToBf16Bits(bits);

/** A text that two elements share exactly when they are the same. */
export function elementKey(element: Element): string | number {
  if (typeof element !== "object") return `#${element}`;
  if (element.kind === "register") return element.id;
  return element.kind === "sum" ? `${element.base.id}+${element.offset}` : `f${element.bits}`;
}

export const sameElement = (a: Element, b: Element): boolean => a === b || elementKey(a) === elementKey(b);

/** Whether the elements are seen at a glance to differ: registers in the order in which they were made, as most tiles have them. */
export function allDifferent(elements: readonly Element[]): boolean {
  let last = -1;
  for (const element of elements) {
    if (!isRegister(element) || element.id <= last) return false;
    last = element.id;
  }
  return true;
}

/** The element as an operand of an instruction; a predicate must be a register. */
export function operandOf(emitter: Emitter, element: Element, kind: ElementKind): Operand {
  if (isRegister(element)) return element;
  if (typeof element === "boolean") return registerOf(emitter, element, kind);
  if (isFloatImmediate(element)) return kind === "f32" ? element : halfBits(element, kind as DType);
  if (typeof element !== "object") return element;
  return registerOf(emitter, element, kind);
}

/** The element in a register. */
export function registerOf(emitter: Emitter, element: Element, kind: ElementKind): Register {
  if (isRegister(element)) return element;
  const registerClass = registerClassOf[kind];
  if (isSum(element)) {
    const type = registerClass === "b64" ? "s64" : "s32";
    return emitter.pure(registerClass, `add.${type}`, [element.base, element.offset], divisorOf(element));
  }
  if (typeof element === "boolean") return emitter.pure("pred", "setp.eq.s32", [0, element ? 0 : 1]);
  if (isFloatImmediate(element))
    return kind === "f32"
      ? emitter.pure("f32", "mov.f32", [element])
      : emitter.pure("b16", "mov.b16", [halfBits(element, kind as DType)]);
  return emitter.pure(registerClass, `mov.${moveType[registerClass]}`, [element], divisorOf(element));
}

/** A power of two that divides the integer or address; at most 2^30. */
export function divisorOf(element: Element): number {
  if (isRegister(element)) return element.divisor;
  if (isSum(element)) return Math.min(element.base.divisor, lowBit(element.offset));
  return isInteger(element) ? lowBit(element) : 1;
}

const most = 2 ** 30;
/** The largest power of two that divides `value`, at most 2^30. */
export function lowBit(value: number | bigint): number {
  const low = typeof value === "number" ? value | 0 : Number(BigInt.asIntN(32, value));
  // Bits above 2^32 are left out: what they would add is beyond the most that is claimed.
  if (low === 0) return most;
  return Math.min(most, (low & -low) >>> 0);
}
