/**
 * @file Reads one instruction against what its translator expects: modifiers in the order of the grammar, operands of the right number,
 * kind and size. Anything else is an error that names the line.
 */
import { PtxError, type PtxErrorCode } from "../errors.ts";
import type { GlobalMemory } from "../global-memory.ts";
import type { Instruction, Operand, PtxType, RegisterName, Variable } from "../syntax/index.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Frame } from "./frame.ts";
import { staticSpecials } from "./specials.ts";

/** How registers of another size than the instruction's type are taken. */
export type SizeRule = "same" | "at-least";

export interface Place {
  readonly base: { readonly row: number; readonly bits: number } | undefined;
  readonly offset: number;
  /** The variable that the address is based on, if it is named. */
  readonly variable: Variable | undefined;
}

/** What surrounds an instruction. */
export interface Surroundings {
  readonly frame: Frame;
  readonly memory: GlobalMemory;
  /** Address of a variable, in its own space. */
  addressOf(variable: Variable): number;
  /** Told of each width in which shared memory may be accessed. */
  noteSharedWidth(bytes: number): void;
  /** The same of global memory. */
  noteGlobalWidth(bytes: number): void;
}

export class Decoder {
  readonly instruction: Instruction;
  readonly frame: Frame;
  readonly surroundings: Surroundings;
  #modifier = 0;

  constructor(instruction: Instruction, surroundings: Surroundings) {
    this.instruction = instruction;
    this.frame = surroundings.frame;
    this.surroundings = surroundings;
  }

  fail(message: string, code: PtxErrorCode = "PTX_OPERAND"): never {
    throw new PtxError(code, this.instruction.line, `${message}\n  ${this.instruction.text}`);
  }

  // Modifiers.

  /** The next modifier if it is one of these. */
  take<const T extends string>(...names: readonly T[]): T | undefined {
    const next = this.instruction.modifiers[this.#modifier];
    if (next === undefined || !names.includes(next as T)) return undefined;
    this.#modifier++;
    return next as T;
  }

  flag(name: string): boolean {
    return this.take(name) !== undefined;
  }

  require<const T extends string>(what: string, ...names: readonly T[]): T {
    return this.take(...names) ?? this.unknown(`${what} (${names.join(", ")})`);
  }

  /** The next modifier as a type, one of the given names if there are any. */
  type(...names: readonly string[]): PtxType {
    const found = ptxTypes.get(this.instruction.modifiers[this.#modifier] ?? "");
    if (!found || (names.length > 0 && !names.includes(found.name)))
      return this.unknown(`a type${names.length > 0 ? ` (${names.join(", ")})` : ""}`);
    this.#modifier++;
    return found;
  }

  /** Whether the next modifier is this type. */
  atType(name: string): boolean {
    return this.instruction.modifiers[this.#modifier] === name;
  }

  /** Cache hints, which change nothing here. */
  skipHints(): void {
    const { modifiers } = this.instruction;
    while (/^(L[12]::|level::)|^L2$/.test(modifiers[this.#modifier] ?? "")) this.#modifier++;
  }

  /** All modifiers must have been taken, and there must be so many operands. */
  done(...counts: readonly number[]): void {
    const { modifiers, operands } = this.instruction;
    if (this.#modifier < modifiers.length) this.unknown(undefined);
    if (!counts.includes(operands.length)) this.fail(`${operands.length} operands; ${counts.join(" or ")} expected`);
  }

  unknown(expected: string | undefined): never {
    const found = this.instruction.modifiers[this.#modifier];
    const what = found === undefined ? "the end of the instruction's name" : `.${found}`;
    const rest = expected === undefined ? "the emulator does not know it here" : `${expected} expected`;
    return this.fail(`unknown instruction: ${what}: ${rest}`, "PTX_UNKNOWN_INSTRUCTION");
  }

  // Operands.

  get operands(): readonly Operand[] {
    return this.instruction.operands;
  }

  operand(index: number): Operand {
    return this.instruction.operands[index] ?? this.fail(`operand ${index + 1} is missing`);
  }

  /** The row of a value that is read as `type`. */
  source(operand: Operand | number, type: PtxType, rule: SizeRule = "same"): number {
    const given = typeof operand === "number" ? this.operand(operand) : operand;
    const { bits } = type;
    switch (given.kind) {
      case "register":
        this.#checkSize(given, type, rule);
        return this.frame.row(given);
      case "integer":
        return this.frame.constant(
          type.name === "f32" || type.name === "f64" ? floatBits(Number(given.value), bits) : narrow(given.value, bits),
          bits,
        );
      case "float32":
        return this.frame.constant(bits === 64 ? floatBits(float32Of(given.bits), 64) : BigInt(given.bits), bits);
      case "float64":
        return this.frame.constant(floatBits(given.value, bits), bits);
      case "variable-address":
        return this.frame.constant(BigInt(this.surroundings.addressOf(given.variable) + given.addend), bits);
      case "special":
        if (!staticSpecials.has(given.name)) return this.fail(`unknown special register ${given.name}`);
        return this.frame.special(given.name);
      case "name":
        return this.fail(`${given.name} is not declared`, "PTX_UNKNOWN_SYMBOL");
      default:
        return this.fail("a register or a constant expected");
    }
  }

  /** The row of a value that is written as `type`. */
  target(operand: Operand | number, type: PtxType, rule: SizeRule = "same"): number {
    const given = typeof operand === "number" ? this.operand(operand) : operand;
    if (given.kind !== "register") return this.fail("a register expected for the result");
    this.#checkSize(given, type, rule);
    return this.frame.assign(given);
  }

  /** Bits of the register at `index`; of a constant, those of the type. */
  bitsOf(operand: Operand, type: PtxType): number {
    return operand.kind === "register" ? operand.type.bits : type.bits;
  }

  #checkSize({ name, type }: RegisterName, wanted: PtxType, rule: SizeRule): void {
    const fits = rule === "same" ? type.bits === wanted.bits : type.bits >= wanted.bits;
    const integers = (kind: string): boolean => kind === "signed" || kind === "unsigned";
    const agree =
      rule === "at-least" ||
      type.kind === "bits" ||
      wanted.kind === "bits" ||
      (integers(type.kind) && integers(wanted.kind)) ||
      type.name === wanted.name;
    if (!fits || !agree || (type.bits === 1) !== (wanted.bits === 1))
      this.fail(`register ${name} is declared .${type.name}, the instruction takes .${wanted.name}`);
  }

  /** A predicate that is read; as a function, since it may be negated or constant. */
  predicate(operand: Operand | number): (predicates: Int32Array) => number {
    const given = typeof operand === "number" ? this.operand(operand) : operand;
    if (given.kind === "not") {
      const inner = this.predicate(given.operand);
      return (predicates) => ~inner(predicates);
    }
    if (given.kind === "integer") return given.value === 0n ? () => 0 : () => -1;
    if (given.kind !== "register" || given.type.bits !== 1) return this.fail("a predicate expected");
    const index = this.frame.row(given);
    return (predicates) => predicates[index]!;
  }

  /** The index of a predicate that is written; -1 for `_`. */
  predicateTarget(operand: Operand | number): number {
    const given = typeof operand === "number" ? this.operand(operand) : operand;
    if (given.kind === "sink") return -1;
    if (given.kind !== "register" || given.type.bits !== 1) return this.fail("a predicate expected for the result");
    return this.frame.assign(given);
  }

  /** The elements of a vector operand, or the operand alone. */
  elements(index: number, count: number): readonly Operand[] {
    const given = this.operand(index);
    const elements = given.kind === "vector" ? given.elements : [given];
    if (elements.length !== count) this.fail(`operand ${index + 1} has ${elements.length} elements; ${count} expected`);
    return elements;
  }

  immediate(index: number): number {
    const given = this.operand(index);
    if (given.kind !== "integer") return this.fail(`operand ${index + 1} must be an integer constant`);
    return Number(given.value);
  }

  /** `[base + offset]`. */
  place(index: number): Place {
    const given = this.operand(index);
    if (given.kind !== "memory") return this.fail(`operand ${index + 1} must be an address in brackets`);
    const { base, offset } = given;
    if (base === undefined) return { base: undefined, offset, variable: undefined };
    if (base.kind === "variable")
      return { base: undefined, offset: this.surroundings.addressOf(base) + offset, variable: base };
    const { bits } = base.type;
    if (bits !== 32 && bits !== 64) return this.fail(`${base.name} cannot hold an address`);
    return { base: { row: this.frame.row(base), bits }, offset, variable: undefined };
  }
}

const bytes = new DataView(new ArrayBuffer(8));

function floatBits(value: number, bits: number): bigint {
  if (bits === 64) {
    bytes.setFloat64(0, value);
    return bytes.getBigUint64(0);
  }
  bytes.setFloat32(0, value);
  return BigInt(bytes.getUint32(0));
}

function float32Of(bits: number): number {
  bytes.setUint32(0, bits);
  return bytes.getFloat32(0);
}

/** 16-bit values are kept zero-extended. */
const narrow = (value: bigint, bits: number): bigint => (bits < 32 ? BigInt.asUintN(bits, value) : value);
