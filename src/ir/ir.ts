/**
 * @file The Tile IR itself: values in SSA form, operations, blocks and kernels. Operations are immutable once built; a pass makes a
 * new kernel (see `rewrite.ts`). Control flow is structured: `loop` and `if` own blocks, each ended by `yield`.
 */
import type { Opcode } from "./ops/index.ts";
import type { DType, ValueType } from "./types.ts";

/** Where in the author's source an operation was written. `line` and `column` count from 1. */
export interface Location {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export const locationToString = (location: Location | undefined): string =>
  location ? `${location.file}:${location.line}:${location.column}` : "unknown location";

/** What an attribute may be. Numbers print so that they parse back exactly (`-inf`, `nan` included). */
export type Attribute = number | bigint | boolean | string | readonly number[] | readonly boolean[];
export type Attributes = Readonly<Record<string, Attribute>>;

/** One SSA value: the result of one operation, or a block parameter. Identity is the object's. */
export interface Value {
  readonly type: ValueType;
  /** The author's name where one is known (a parameter, a field of a loop's state); generated code keeps it. */
  readonly name: string | undefined;
  /** The operation that makes it, or undefined for a block parameter. */
  readonly definition: Operation | undefined;
}

export interface Operation {
  readonly opcode: Opcode;
  readonly operands: readonly Value[];
  readonly attributes: Attributes;
  readonly results: readonly Value[];
  readonly blocks: readonly Block[];
  readonly location: Location | undefined;
}

/** A straight line of operations. The block of a `loop` takes (induction variable, ...carried values); those of an `if` take none. */
export interface Block {
  readonly parameters: readonly Value[];
  readonly operations: readonly Operation[];
}

/**
 * What the compiler may assume of a parameter; the launch checks it. `alignment`: the base address, and for a view every stride
 * other than a unit one, are multiples of that many bytes. `unitStride`: the last stride is 1. `divisibleBy`: of a scalar.
 */
export interface ParameterFacts {
  readonly alignment?: number;
  readonly unitStride?: boolean;
  readonly divisibleBy?: number;
}

export interface KernelParameter {
  readonly name: string;
  readonly kind: "tensor" | "pointer" | "scalar";
  readonly dtype: DType;
  /** Of a tensor; 0 otherwise. */
  readonly rank: number;
  readonly facts: ParameterFacts;
}

/** One specialisation of a kernel: the unit that passes and code generators work on. */
export interface Kernel {
  readonly name: string;
  readonly parameters: readonly KernelParameter[];
  /** `body.parameters[i]` is the value of `parameters[i]`: a view, a pointer or a scalar. The body ends without a terminator. */
  readonly body: Block;
  /** The compile-time constants of this specialisation. */
  readonly constants: Readonly<Record<string, number | string | boolean>>;
  /** Number of programs along x, y, z as grid expressions over `q.shape.0`, scalars and integers; null when the launch gives it. */
  readonly grid: readonly [string, string, string] | null;
  /** The author's advice for a launch. A target may have its own opinion. */
  readonly hints: {
    /** Triton's num_warps and num_stages. */
    readonly numWarps?: number;
    readonly numStages?: number;
    /** 32-bit registers of a thread for operands of dots that a loop only reads; those beyond are read from shared memory in every turn. */
    readonly residentWords?: number;
  };
}

/** Calls `visit` for every operation in program order, an operation before those of its blocks. */
export function walk(block: Block, visit: (operation: Operation, parent: Block) => void): void {
  for (const operation of block.operations) {
    visit(operation, block);
    for (const inner of operation.blocks) walk(inner, visit);
  }
}
