/**
 * @file What the parser makes of PTX text: a module of variables and entries, an entry of instructions whose names are resolved.
 */
import type { PtxType } from "./types.ts";

export type Space = "global" | "const" | "shared" | "local" | "param";

export interface RegisterName {
  readonly kind: "register";
  /** With the `%`, as in the text; two scopes may use the same name. */
  readonly name: string;
  readonly type: PtxType;
}

export interface Variable {
  readonly kind: "variable";
  readonly name: string;
  readonly space: Space;
  readonly alignment: number;
  /** Undefined for `.extern .shared name[]`, whose size the launch gives. */
  readonly bytes: number | undefined;
  /** The first bytes, if it is initialised. */
  readonly initial?: Uint8Array;
  /** Bytes at which the address of another variable stands. */
  readonly pointers?: readonly { readonly at: number; readonly name: string; readonly addend: number }[];
}

export type Operand =
  | RegisterName
  | { readonly kind: "special"; readonly name: string }
  | { readonly kind: "integer"; readonly value: bigint }
  | { readonly kind: "float32"; readonly bits: number }
  | { readonly kind: "float64"; readonly value: number }
  | { readonly kind: "variable-address"; readonly variable: Variable; readonly addend: number }
  | { readonly kind: "memory"; readonly base: RegisterName | Variable | undefined; readonly offset: number }
  | { readonly kind: "vector"; readonly elements: readonly Operand[] }
  /** `value|predicate`. */
  | { readonly kind: "pair"; readonly first: Operand; readonly second: Operand }
  /** `!predicate`. */
  | { readonly kind: "not"; readonly operand: Operand }
  /** `(a, b)` of a call. */
  | { readonly kind: "list"; readonly elements: readonly Operand[] }
  /** A label, a function, a list of branch targets. */
  | { readonly kind: "name"; readonly name: string }
  /** `_`: the result is not kept. */
  | { readonly kind: "sink" };

export interface Guard {
  readonly predicate: RegisterName;
  readonly negated: boolean;
}

export interface Instruction {
  /** Up to the first dot. */
  readonly opcode: string;
  readonly modifiers: readonly string[];
  readonly operands: readonly Operand[];
  readonly guard?: Guard;
  readonly line: number;
  readonly text: string;
  /** The place in the author's source that the last `.loc` named. */
  readonly source?: string;
  /** Of branches: indices of the instructions that they may go to, in the order of a branch table. */
  readonly targets?: readonly number[];
}

export interface Parameter {
  readonly variable: Variable;
  readonly type: PtxType;
}

export interface Entry {
  readonly name: string;
  readonly line: number;
  readonly parameters: readonly Parameter[];
  readonly instructions: readonly Instruction[];
  /** `.shared` and `.local` variables of the entry, and `.param` variables of its calls, which are local memory. */
  readonly variables: readonly Variable[];
  readonly maxThreads?: readonly [number, number, number];
  readonly requiredThreads?: readonly [number, number, number];
}

export interface ModuleTree {
  readonly version: string;
  readonly target: string;
  readonly variables: readonly Variable[];
  readonly entries: readonly Entry[];
}
