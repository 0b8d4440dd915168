/**
 * @file A *variant* is what one kind of attention adds to the shared kernels: which operands are read, the logits of a tile, and how the
 * key axis splits into segments for a block of queries. Its hooks are plain functions that are traced into the kernel.
 */
import { type Dim, type ParameterSpecs, type Scalar, type Tile, tl } from "../../dsl/index.ts";

export type Index = Scalar<"i32">;
/** The extents that every attention kernel has as constants. */
export type BlockM = Dim<"BLOCK_M">;
export type BlockN = Dim<"BLOCK_N">;

/** Where a program stands: BLOCK_M consecutive queries of one head. */
export interface QueryBlock {
  readonly batch: Index;
  readonly head: Index;
  /** The key/value head that `head` reads: head / (Hq / Hk). */
  readonly keyHead: Index;
  /** The first query row, and all of them [BLOCK_M]. */
  readonly row: Index;
  readonly rows: Tile<"i32", readonly [BlockM]>;
  /** Number of queries M and of keys N. */
  readonly queries: Index;
  readonly keys: Index;
  readonly BLOCK_M: BlockM;
  readonly BLOCK_N: BlockN;
}

/** A run of key blocks [from, to) that need the same work: `from` is a multiple of BLOCK_N. */
export interface Segment {
  readonly from: Index;
  readonly to: Index;
  /** False: every key of every block exists and is seen by every query, and no mask code is traced. */
  readonly masked: boolean;
}

/** The logits of one key block for a query block. `logits · factor` is the exponent to base 2 of the softmax. */
export type Logits = (firstKey: Index, segment: Segment) => Tile<"f32", readonly [BlockM, BlockN]>;

/** One attention variant. `Parameters` are the kernel parameters that it reads besides `v`. */
export interface Variant<Parameters extends ParameterSpecs = ParameterSpecs> {
  readonly name: string;
  readonly parameters: Parameters;
}

/** The index of every key of a block that starts at `firstKey`: [BLOCK_N]. */
export const keyIndices = (at: QueryBlock, firstKey: Index): Tile<"i32", readonly [BlockN]> =>
  tl.arange(0, at.BLOCK_N).add(firstKey);
