/**
 * @file What the implementation of an operation is given, and what it gives back: `Plan`. It is called once for each operation of a
 * kernel and returns the step that runs for every program: a closure over the typed arrays of operands and results.
 */
import type { Operation } from "../ir/index.ts";
import type { TileArray } from "./arrays.ts";
import type { Machine } from "./machine.ts";

export type Step = () => void;

export interface OperationContext {
  readonly operation: Operation;
  readonly machine: Machine;
  readonly operands: readonly TileArray[];
  /** The array of result `index` (0 if missing), made when first asked for. */
  result(index?: number): TileArray;
  /** Lets result 0 share an operand's memory: values never change while they can be seen. */
  alias(array: TileArray): void;
}

/** Plans one operation; undefined where nothing is to do at run time. */
export type Plan = (context: OperationContext) => Step | undefined;
