/**
 * @file A *variant* is what one kind of attention adds to the shared kernels: which operands are read, how the key axis splits into
 * segments for a block of queries, and the logits of a tile in each segment. Its hooks are plain functions that are traced into the kernel,
 * so a segment without a mask holds no mask code.
 */
import type { Dim, Index, ParameterSpecs, Scalar, Tile } from "../../dsl/index.ts";

/** A scalar that is known when the kernel runs. */
export type RuntimeIndex = Scalar<"i32">;
export type BlockM = Dim<"BLOCK_M">;
export type BlockN = Dim<"BLOCK_N">;
export type HeadDim = Dim<"HEAD_DIM">;

/** The constants that every attention kernel has. */
export interface AttentionConstants {
  readonly BLOCK_M: BlockM;
  readonly BLOCK_N: BlockN;
  /** The query-key dimension, rounded up to a power of two; PAD_HEAD says whether it was rounded. */
  readonly HEAD_DIM: HeadDim;
  readonly PAD_HEAD: boolean;
}

/** Where a program stands: BLOCK_M consecutive queries of one head. */
export interface QueryBlock {
  readonly batch: RuntimeIndex;
  readonly head: RuntimeIndex;
  /** The key/value head that `head` reads: head / (Hq / Hk). */
  readonly keyHead: RuntimeIndex;
  /** The first query of the block. */
  readonly row: RuntimeIndex;
  /** Number of queries M and of keys N. */
  readonly queries: RuntimeIndex;
  readonly keys: RuntimeIndex;
}

/** A run of key blocks that need the same work: keys [from, to) in steps of BLOCK_N. */
export interface Segment {
  readonly from: Index;
  readonly to: Index;
  /** Every key of every block exists, so that loads along the key axis need no check. */
  readonly inBounds: boolean;
  /** The logits of BLOCK_N keys from `firstKey` on; -inf where a query does not see a key. */
  logits(firstKey: RuntimeIndex): Tile<"f32", readonly [BlockM, BlockN]>;
}

/** What a variant makes of one block of queries. */
export interface Scores {
  /** In the order in which they are walked; an empty segment costs nothing. */
  readonly segments: readonly Segment[];
  /** Positive. logits · factor is the exponent to base 2 in the softmax. */
  readonly factor: Scalar<"f32">;
}

/** One attention variant. */
export interface Variant {
  /** Part of the kernels' names. */
  readonly name: string;
  /** Kernel parameters besides `v`, `out`, `lse` and `scale`. */
  readonly parameters: ParameterSpecs;
  /** Compile-time switches with their defaults. */
  readonly constants: Readonly<Record<string, number | string | boolean>>;
  /** Called once a program, before the walk over keys: loads the query tiles. `p` and `constants` hold what the kernel declares, this variant's own among them. */
  scores(p: any, at: QueryBlock, constants: any): Scores;
}
