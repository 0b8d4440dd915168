/**
 * @file A *variant* is what one kind of attention adds to the shared kernels (forward, both backward kernels, column sums): which operands
 * are multiplied, which keys a query sees, and what becomes of a logit. Its hooks are plain functions that are traced into each kernel, so
 * what a variant lacks costs nothing.
 *
 * Every kernel keeps a block of one axis of the score matrix [queries, keys] and walks the other, so a variant says nothing about loops: it
 * draws *edges* (edges.ts) in that matrix, from which segments.ts derives, for either axis, which tiles are never visited, which need a mask
 * and which pairs of operands each tile multiplies.
 */
import type {
  BodyConstants,
  BodyParameters,
  Constants,
  Dim,
  DTypeLike,
  Index,
  ParameterSpecs,
  Scalar,
  Shape,
  TensorView,
  Tile,
} from "../../dsl/index.ts";

/** A scalar that is known when the kernel runs. */
export type RuntimeIndex = Scalar<"i32">;
export type BlockM = Dim<"BLOCK_M">;
export type BlockN = Dim<"BLOCK_N">;

/** The constants that every attention kernel has. */
export const blockConstants = {
  /** Queries of a tile. */
  BLOCK_M: 64,
  /** Keys of a tile. */
  BLOCK_N: 64,
  /** The query-key dimension, rounded up to a power of two; PAD_HEAD says whether it was rounded. */
  HEAD_DIM: 64,
  PAD_HEAD: false,
  /** The same for the values. */
  VALUE_DIM: 64,
  PAD_VALUE: false,
  /** Warps of a program, where a target has warps. */
  NUM_WARPS: 4,
  /** Registers of a thread for operands of products that a loop only reads. */
  RESIDENT_WORDS: 96,
};

export type BlockConstants = BodyConstants<typeof blockConstants>;

/** An axis of the score matrix [queries, keys]. */
export type Side = "queries" | "keys";

/** The part of the problem that a program works on, and its lengths. */
export interface Place {
  readonly batch: RuntimeIndex;
  /** The sequence, for arguments with one entry each: the batch entry, or the document where sequences are packed in one. */
  readonly sequence: RuntimeIndex;
  /** The query head, and the number of them. */
  readonly head: RuntimeIndex;
  readonly heads: RuntimeIndex;
  /** The key and value head that `head` reads, head / group, and the number of query heads that read it, Hq / Hk. */
  readonly keyHead: RuntimeIndex;
  readonly group: RuntimeIndex;
  /** Number of queries M and of keys N of the sequence. */
  readonly queries: RuntimeIndex;
  readonly keys: RuntimeIndex;
  /** Where the sequence is not all of the tensors' third axis: its first row there. */
  readonly firstRow?: Partial<Readonly<Record<Side, Index>>>;
  /**
   * The keys that a program which keeps queries walks, where not all: [from, to), `from` a multiple of BLOCK_N and at most `to`. `first`: of
   * all programs of these queries this one has the first keys; missing where there is one.
   */
  readonly keyRange?: { readonly from: RuntimeIndex; readonly to: RuntimeIndex; readonly first?: Scalar<"bool"> };
  /** Rows are the queries of all heads of a group; `queries` and `firstRow` count them: row m · group + g is query m of head g (pack-heads.ts). */
  readonly packed?: boolean;
}

/** Names of two tensor parameters whose products are logits: q [B, Hq, M, D] and k [B, Hk, N, D]. */
export interface Term {
  readonly q: string;
  readonly k: string;
}

/**
 * A monotone curve through the score matrix that parts the keys *before* it from those on it or beyond. Both functions say the same,
 * must agree, and must not decrease: `key` is before the edge of `query` iff key < this.key(query), and iff query >= this.query(key).
 * They are given single indices and tiles of indices, always of queries and keys that exist; results need no clamping.
 */
export interface Edge {
  /** The first key that is not before the edge of this query. */
  key<S extends Shape>(query: Tile<"i32", S>): Tile<"i32", S>;
  /** The first query before whose edge this key is. */
  query<S extends Shape>(key: Tile<"i32", S>): Tile<"i32", S>;
}

/** A run of keys, for each query, whose logits come from one term. What no span covers is hidden. */
export interface Span {
  /** The first key. Where it is missing, the span begins where the one before it ends, and the first one at the first key. */
  readonly from?: Edge;
  /** Keys before it belong to the span. Where it is missing, all keys do; then it is the last span. */
  readonly to?: Edge;
  /** Index in the variant's `terms`. Default 0. */
  readonly term?: number;
}

/** Logits of one tile. */
export type LogitTile = Tile<"f32", readonly [BlockM, BlockN]>;

/**
 * Where a tile lies, for hooks that depend on it. The shapes are those of a kernel that keeps queries; one that keeps keys has all axes
 * swapped. A hook that combines what is here by broadcasting serves both.
 */
export interface TilePosition {
  /** Indices of the tile's queries and keys; beyond the last ones at the rim. */
  readonly query: Tile<"i32", readonly [BlockM, 1]>;
  readonly key: Tile<"i32", readonly [1, BlockN]>;
  /** The tile of a matrix [M, N] of the same place. */
  load<T extends DTypeLike>(matrix: TensorView<T, 2>): Tile<T, readonly [BlockM, BlockN]>;
}

/** Of a vector [Hq] what belongs to the query head of each row. In the shape that broadcasts with the tiles of a program, whichever side it keeps. */
export type OfHead = <T extends DTypeLike>(vector: TensorView<T, 1>) => Tile<T, readonly [BlockM, 1]>;

/** The kept queries, for hooks that depend on them. */
export interface QueryRows {
  readonly query: Tile<"i32", readonly [BlockM]>;
  /** Of a vector [Hq] what belongs to the query head. */
  ofHead<T extends DTypeLike>(vector: TensorView<T, 1>): Tile<T, readonly [BlockM]>;
}

export interface UnscaledLogits {
  readonly products: LogitTile;
  readonly scale: Scalar<"f32">;
}

/** A function of each logit, such as a cap or a bias. */
export interface LogitTransform {
  /**
   * The logit, from q·k · scale. May be -Infinity. `unscaled`, where no other function comes before: q·k and the positive scale apart, for a function that
   * multiplies by another number first.
   */
  apply(scaled: LogitTile, at: TilePosition, unscaled?: UnscaledLogits): LogitTile;
  /** d apply / d scaled, from what `apply` was given and gave. Missing: 1. */
  slope?(scaled: LogitTile, logits: LogitTile, at: TilePosition, unscaled?: UnscaledLogits): LogitTile;
  /**
   * Whether a query's largest logit stays about as close to 0 as q·k · scale is, so that weights may be made as of q·k alone (FUSED_SHIFT, forward.ts).
   * Default false: any finite logit is right.
   */
  readonly moderate?: boolean;
}

/** Which weights reach the values; the others count in the sum of weights only. */
export interface Dropout {
  keep(at: TilePosition): Tile<"bool", readonly [BlockM, BlockN]>;
  /** What makes up for the dropped ones: 1 / (1 - probability). */
  readonly scale: Scalar<"f32">;
}

/** Some channels of each row: `count` of them, `step` apart. */
export interface Channels {
  readonly from: RuntimeIndex;
  readonly step: number;
  readonly count: RuntimeIndex;
}

/** An attention sink. The backward kernels know of it by `lse`, so only the forward kernels take its parameters. */
export interface Sink {
  readonly parameters: ParameterSpecs;
  /** A logit of each query that joins its sum of weights and has no value. */
  logit(p: any, rows: QueryRows, c: any): Tile<"f32", readonly [BlockM]>;
}

/** A request for rows [first, first + shape[0]) of an operand at a place. */
export interface OperandTile<R extends number, D extends number> {
  /** The parameter's name: of a term, "v" or "dout". */
  readonly name: string;
  readonly side: Side;
  readonly first: RuntimeIndex;
  readonly shape: readonly [R, D];
  readonly inBounds: readonly [boolean, boolean];
  /** Default: all. */
  readonly channels?: Channels;
}

/** Gradients of the operands of one side, for the rows from `first` on: by operand, of each of its parts. */
export interface OperandGradients<R extends number> {
  readonly side: Side;
  readonly first: RuntimeIndex;
  readonly parts: (operand: string) => readonly Tile<"f32", readonly [R, number]>[];
}

/** One kind of attention. Hooks run once a program (for kernels that walk queries: once a query head), before the walk. */
export interface Variant<P extends ParameterSpecs = any, C extends Constants = any> {
  /** Part of the kernels' names. */
  readonly name: string;
  /** Default: one, of "q" and "k". */
  readonly terms?: readonly Term[];
  /** Names of the tensor parameters [B, H, T, D] besides "v" that `load` makes the terms' operands of. Default: the operands are tensors. */
  readonly tensors?: Readonly<Record<Side, readonly string[]>>;
  /** Kernel parameters besides the operands, the results and `scale`. */
  readonly parameters?: P;
  /** Compile-time switches with their defaults. */
  readonly constants?: C;
  /**
   * What a query sees: spans in ascending order of keys. Where spans touch, nothing beyond the last one's edge is seen, even if an edge
   * between them lies there. Spans that do not touch must not overlap for any query. Default: every key.
   */
  spans?(p: BodyParameters<P>, at: Place, c: BodyConstants<C>): readonly Span[];
  logits?(p: BodyParameters<P>, at: Place, c: BodyConstants<C>, ofHead: OfHead): LogitTransform;
  /**
   * Whether `logits` may be asked about tiles whose rows are queries of several heads, as with few queries they are: it learns of the head from
   * `ofHead` alone, and loads no matrix. Default: if there is no `logits`.
   */
  readonly packs?: boolean;
  readonly sink?: Sink;
  dropout?(p: BodyParameters<P>, at: Place, c: BodyConstants<C>): Dropout;
  /**
   * How an operand is read, where it is not a tensor [B, H, T, D]: paged, or rotated on the way. Of a term, it may come in parts, each with some of
   * the channels: products are summed over them. Default: `loadOperand`.
   */
  load?<R extends number, D extends number>(
    p: any,
    at: Place,
    tile: OperandTile<R, D>,
    c: BodyConstants<C>,
  ): Tile<"T", readonly [R, D]> | readonly Tile<"T", readonly [R, number]>[];
  /** Stores the gradients of one side's tensors, `into` i that of number i, where they are not those of the operands. */
  storeGradients?<R extends number>(
    p: any,
    at: Place,
    gradients: OperandGradients<R>,
    into: (tensor: number) => TensorView<"T", 2>,
    c: BodyConstants<C>,
  ): void;
  /**
   * Names of the i32 parameters [documents + 1] with cumulative lengths, where sequences are packed one after the other in a single batch entry.
   * Without one for the keys, only queries are packed, and `keyCount` and `load` find each sequence's keys.
   */
  readonly documents?: { readonly queries: string; readonly keys?: string };
  /** The number of keys of a sequence, where it is not the size of "v" along its third axis. */
  keyCount?(p: any, sequence: RuntimeIndex, c: BodyConstants<C>): RuntimeIndex;
}

/** A variant whose hooks see the types of its own parameters and constants. */
export const defineVariant = <
  P extends ParameterSpecs = Record<never, never>,
  C extends Constants = Record<never, never>,
>(
  variant: Variant<P, C>,
): Variant<P, C> => variant;

const defaultTerms: readonly Term[] = [{ q: "q", k: "k" }];

export const termsOf = ({ terms = defaultTerms }: Variant): readonly Term[] => terms;

/** The names of the operands of one side, each once. */
export const operandNames = (variant: Variant, side: Side): readonly string[] => [
  ...new Set(termsOf(variant).map((term) => (side === "queries" ? term.q : term.k))),
];

/** The names of the tensors that a side's operands are made of. */
export const tensorNames = (variant: Variant, side: Side): readonly string[] =>
  variant.tensors?.[side] ?? operandNames(variant, side);
