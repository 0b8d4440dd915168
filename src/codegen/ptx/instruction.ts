/**
 * @file The program that the code generator builds: PTX instructions as objects, in structured blocks. It becomes text only at the
 * very end (print.ts), so that passes over it (barriers.ts, later scheduling) need no parser.
 */
import type { Location } from "../../ir/index.ts";

export type RegisterClass = "pred" | "b16" | "b32" | "b64" | "f32" | "f64";

export interface Register {
  readonly kind: "register";
  readonly class: RegisterClass;
  /** Unique for each view of a register; two registers may share a name when one is the other after a loop. */
  readonly id: number;
  /** With the `%`. */
  readonly name: string;
  /** Nesting depth of the block that assigns it: what depends on it must not be placed further out. */
  readonly depth: number;
  /** A power of two that divides the value, for integers and addresses. */
  readonly divisor: number;
}

/** A float by its bits (`0f3F800000`), or a 16-bit pattern. Integers are plain numbers and bigints. */
export interface FloatImmediate {
  readonly kind: "float";
  readonly bits: number;
}

/** `[base + offset]`; `buffer`, once allocated, adds the place of a shared-memory buffer. */
export interface Address {
  readonly kind: "address";
  readonly base: Register | string;
  readonly offset: number;
  readonly buffer?: SharedBuffer;
}

export interface VectorOperand {
  readonly kind: "vector";
  readonly elements: readonly Operand[];
}

/** The name of a variable, function or label. */
export interface SymbolOperand {
  readonly kind: "symbol";
  readonly name: string;
}

/** The place of a shared-memory buffer, as a number that is known only after allocation. */
export interface BufferOffset {
  readonly kind: "buffer";
  readonly buffer: SharedBuffer;
}

export type Immediate = number | bigint | FloatImmediate;
export type Operand = Register | Immediate | Address | VectorOperand | SymbolOperand | BufferOffset;

/** A piece of shared memory. `offset` is set by the allocator. */
export interface SharedBuffer {
  readonly name: string;
  readonly bytes: number;
  offset: number;
}

/** What an instruction does to memory that other threads of the block see: for the placing of barriers. */
export interface MemoryAccess {
  readonly kind: "read" | "write";
  /** A shared-memory buffer; or the kernel parameter through which global memory is reached, "?" if unknown. */
  readonly place: SharedBuffer | string;
  /** The operation that makes the access: its own accesses do not wait for each other. */
  readonly group: number;
  /** What it does to memory, if it does not matter which of several such accesses comes first: an atomic sum, say. */
  readonly commutes?: string;
}

export interface Instruction {
  readonly kind: "instruction";
  readonly opcode: string;
  readonly operands: readonly Operand[];
  readonly guard?: Guard | undefined;
  readonly access?: MemoryAccess | undefined;
  /** Of a copy: the access to what it reads; `access` is that to what it writes. */
  readonly source?: MemoryAccess | undefined;
  /** Without effect but for its first operand, which nothing else assigns: may go when that is not read. */
  readonly removable?: true;
}

/** `@p` or `@!p`. */
export interface Guard {
  readonly predicate: Register;
  readonly negated?: boolean;
}

export interface Comment {
  readonly kind: "comment";
  readonly text: string;
}

/** `.loc` and a comment that names the author's line. */
export interface SourceLine {
  readonly kind: "line";
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A loop that tests at its end; skipped entirely unless `enter` (always entered without). */
export interface LoopNode {
  readonly kind: "loop";
  readonly label: string;
  readonly enter: Guard | undefined;
  readonly body: Node[];
  readonly repeat: Guard;
  /** Of the author's loop. */
  readonly location?: Location | undefined;
}

export interface IfNode {
  readonly kind: "if";
  readonly label: string;
  readonly condition: Guard;
  readonly whenTrue: Node[];
  readonly whenFalse: Node[];
  /** Threads of a block may disagree on the condition. */
  readonly divergent?: true;
}

export type Node = Instruction | Comment | SourceLine | LoopNode | IfNode;

export const isRegister = (operand: unknown): operand is Register =>
  typeof operand === "object" && operand !== null && (operand as Register).kind === "register";

export const vector = (elements: readonly Operand[]): VectorOperand => ({ kind: "vector", elements });
export const symbol = (name: string): SymbolOperand => ({ kind: "symbol", name });
export const address = (base: Register | string, offset = 0, buffer?: SharedBuffer): Address => ({
  kind: "address",
  base,
  offset,
  ...(buffer && { buffer }),
});

/** Adds the names of the registers in the operands from number `first` on. */
export function addRegisterNames(operands: readonly Operand[], names: Set<string>, first = 0): void {
  for (let i = first; i < operands.length; i++) {
    const operand = operands[i]!;
    if (typeof operand !== "object") continue;
    if (operand.kind === "register") names.add(operand.name);
    else if (operand.kind === "vector") addRegisterNames(operand.elements, names);
    else if (operand.kind === "address" && typeof operand.base === "object") names.add(operand.base.name);
  }
}

/** The names of all registers that the nodes read or write. */
export function registerNames(nodes: readonly Node[], names = new Set<string>()): Set<string> {
  for (const node of nodes)
    if (node.kind === "instruction") {
      addRegisterNames(node.operands, names);
      if (node.guard) names.add(node.guard.predicate.name);
    } else if (node.kind === "loop") {
      registerNames(node.body, names);
      names.add(node.repeat.predicate.name);
    } else if (node.kind === "if") {
      names.add(node.condition.predicate.name);
      for (const arm of [node.whenTrue, node.whenFalse]) registerNames(arm, names);
    }
  return names;
}
