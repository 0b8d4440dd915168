/**
 * @file The contract of layout assignment (assign.ts): what a target says, and what comes out.
 */
import { type Kernel, type Operation, type PointerType, shapeOf, type TileType, type Value } from "../ir/index.ts";
import type { LinearLayout } from "./linear-layout.ts";

/** The layouts that an operation insists on; missing entries are free to follow the rest. */
export interface Anchor {
  readonly operands?: readonly (LinearLayout | undefined)[];
  readonly results?: readonly (LinearLayout | undefined)[];
  /** Where two primary layouts meet, the heavier wins (default 1). Give dots more than loads. */
  readonly weight?: number;
}

/** A target's opinions on layouts. */
export interface LayoutPolicy {
  /**
   * Called for every operation with a ranked operand or result. `primaryOf` gives the primary layout of a value defined before, or
   * undefined for a free one: a store may look at it to write from where the values are.
   */
  anchor(operation: Operation, primaryOf: (value: Value) => LinearLayout | undefined): Anchor | undefined;
  /** Whether an operation whose operands are free (a load) is rather repeated in each layout asked for than converted. None if missing. */
  isRepeated?(operation: Operation): boolean;
  /** The layout of a tile that no anchor reaches. */
  default(type: TileType | PointerType): LinearLayout;
}

export interface LaidOutKernel {
  readonly kernel: Kernel;
  /** A layout for every value of rank 1 and more. Scalars are held alike by all threads. */
  readonly layouts: ReadonlyMap<Value, LinearLayout>;
}

/** Whether threads share the value out among them: a tile of rank 1 or more. */
export const ranked = (value: Value): boolean => shapeOf(value.type).length > 0;
/** The type of a ranked value. */
export const rankedType = (value: Value): TileType | PointerType => value.type as TileType | PointerType;

/** The layout that a value has where it is defined. */
export interface Primary {
  readonly layout: LinearLayout;
  readonly weight: number;
}
