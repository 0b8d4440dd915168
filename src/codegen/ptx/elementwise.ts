/**
 * @file Elementwise operations: a function from the operands' elements to the result's, applied to each register of the tile, once for
 * equal operands (so a broadcast costs nothing). Sums and products of f16 and bf16 have instructions, for two elements at a time; all else is
 * computed in f32 and rounded after every operation.
 */
import type { ComparePredicate, Operation } from "../../ir/index.ts";
import type { LinearLayout } from "../../layout/index.ts";
import { boolAnd, boolNot, boolOperation, boolOr } from "./bools.ts";
import {
  allDifferent,
  divisorOf,
  type Element,
  elementKey,
  isConstant,
  isFloatImmediate,
  type Make,
  operandOf,
  registerOf,
} from "./element.ts";
import type { Emitter } from "./emitter.ts";
import type { Operand, Register } from "./instruction.ts";
import { integerCompare, integerOperation } from "./integer-operations.ts";
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
  if (kind === "bool") return boolOperation(opcode === "compare" ? predicate : opcode);
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
  reciprocal: "rcp.approx.ftz.f32",
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
