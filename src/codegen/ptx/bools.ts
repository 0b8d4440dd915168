/**
 * @file Elements of dtype bool: predicates, with constants folded so that a mask that is always true costs nothing.
 */
import type { Element, Make } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import type { Register } from "./instruction.ts";

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

/** The operation or comparison of that name. */
export function boolOperation(opcode: string): Make {
  const operation = boolOperations[opcode];
  if (!operation) throw new Error(`no bool operation ${opcode}`);
  return (emitter, [a, b]) => operation(emitter, a!, b!);
}
