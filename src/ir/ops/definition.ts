/**
 * @file What the table says of an operation, and the words that its attributes may be.
 */
import type { Attributes, Block } from "../ir.ts";
import type { DType, ValueType } from "../types.ts";

/** How an attribute is checked and printed: a kind, or the list of the words it may be. */
export type AttributeKind = "int" | "ints" | "bools" | "bool" | "number" | "string" | "dtype" | readonly string[];

/**
 * `none`: pure, may be duplicated, moved and dropped. `read`: pure but for memory. `write`: changes memory. `debug`: print and assert.
 * `control`: owns blocks; its effect is theirs. `terminator`: ends a block.
 */
export type Effect = "none" | "read" | "write" | "debug" | "control" | "terminator";

export interface OpDefinition {
  readonly summary: string;
  readonly operands: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeKind>>;
  readonly effect: Effect;
  /** Element i of the result depends only on elements i of the operands, all of one shape. */
  readonly elementwise?: true;
  /** Each element of a result is an element of an operand: it computes nothing. */
  readonly rearranges?: true;
  readonly commutative?: true;
  /** Number of blocks owned. */
  readonly blocks?: number;
  /** The result types; throws `IrError` when operands or attributes break a rule. */
  infer(operands: readonly ValueType[], attributes: Attributes, blocks: readonly Block[]): readonly ValueType[];
}

export const reduceKinds = ["sum", "product", "max", "min", "and", "or", "xor", "argmax", "argmin"] as const;
export type ReduceKind = (typeof reduceKinds)[number];
export const scanKinds = ["sum", "product", "max", "min"] as const;
export type ScanKind = (typeof scanKinds)[number];
export const comparePredicates = ["eq", "ne", "lt", "le", "gt", "ge"] as const;
export type ComparePredicate = (typeof comparePredicates)[number];
export const atomicKinds = ["add", "max", "min", "and", "or", "xor", "exchange"] as const;
export type AtomicKind = (typeof atomicKinds)[number];
/** The dtype in which a dot of operands of `dtype` adds up. */
export const dotResult = (dtype: DType): "i32" | "f32" => (dtype === "i8" ? "i32" : "f32");
/** `ieee`: f32 products of f32 operands; `tf32`: operands rounded to tf32 where the target has such an instruction. */
export const dotPrecisions = ["ieee", "tf32"] as const;
