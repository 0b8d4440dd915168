/**
 * @file The operators of reductions and scans on two elements.
 */
import type { DType } from "../../ir/index.ts";
import { boolAnd, boolOr, boolXor } from "./bools.ts";
import { type Element, type ElementKind, isConstant, operandOf, registerClassOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";

export type CombineKind = "sum" | "product" | "max" | "min" | "and" | "or" | "xor";
export type Combine = (a: Element, b: Element) => Element;

export function combiner(emitter: Emitter, kind: CombineKind, dtype: DType): Combine {
  if (dtype === "bool") {
    const operation = { and: boolAnd, or: boolOr, xor: boolXor }[kind as "and"];
    return (a, b) => operation(emitter, a, b);
  }
  const opcode = opcodeOf(kind, dtype);
  const registerClass = registerClassOf[dtype as ElementKind];
  return (a, b) => {
    // The constant, if any, second; never two.
    const [first, second] = isConstant(a) ? [b, a] : [a, b];
    return emitter.op(registerClass, opcode, registerOf(emitter, first, dtype), operandOf(emitter, second, dtype));
  };
}

function opcodeOf(kind: CombineKind, dtype: DType): string {
  const type = dtype === "f32" ? "f32" : dtype === "i64" ? "s64" : dtype === "u32" ? "u32" : "s32";
  switch (kind) {
    case "sum":
      return dtype === "f32" ? "add.f32" : `add.${dtype === "i64" ? "s64" : "s32"}`;
    case "product":
      return dtype === "f32" ? "mul.f32" : `mul.lo.${dtype === "i64" ? "s64" : "s32"}`;
    case "max":
    case "min":
      return `${kind}.${type}`;
    default:
      return `${kind}.${dtype === "i64" ? "b64" : "b32"}`;
  }
}

/** So many instructions that do not wait for each other keep the arithmetic units of a scheduler busy (the latency of an addition). */
export const PARALLEL = 4;

/**
 * Combines a list: `chains` chains, which are then joined as a tree. A chain takes each element as soon as it is there, so that the elements
 * need not all be kept; several chains do not wait for each other.
 */
export function combineAll(elements: readonly Element[], combine: Combine, chains = PARALLEL): Element {
  let level: Element[] = [];
  elements.forEach((element, i) => {
    if (i < chains) level.push(element);
    else level[i % chains] = combine(level[i % chains]!, element);
  });
  while (level.length > 1) {
    const next: Element[] = [];
    for (let i = 0; i + 1 < level.length; i += 2) next.push(combine(level[i]!, level[i + 1]!));
    if (level.length % 2 === 1) next.push(level.at(-1)!);
    level = next;
  }
  return level[0]!;
}
