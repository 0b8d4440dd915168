/**
 * @file The tiles of the score matrix, as every attention kernel sees them: rows are what the program keeps, columns what it walks. From
 * a variant come the logits of a tile and, for the backward kernels, the way of their gradient into the kept operands.
 */
import { type Dim, type DTypeLike, type Scalar, type Shape, type TensorView, type Tile, tl } from "../../dsl/index.ts";
import { loadOperand, packedHeads } from "./operands.ts";
import { resultsOf, zeroBeyond } from "./places.ts";
import { type KeptBlock, type Segment, segmentsOf } from "./segments.ts";
import {
  type BlockConstants,
  type BlockM,
  type BlockN,
  operandNames,
  type Place,
  type QueryRows,
  type RuntimeIndex,
  type Side,
  type TilePosition,
  termsOf,
  type Variant,
} from "./variant.ts";

/** Exponentials are taken to base 2: e^x = 2^(x · log2(e)). */
export const log2e = Math.log2(Math.E);

/**
 * What makes weights of logits, 2^(logit · factor - shift): lse · log2(e). The f32 lse of a row whose logits are about x makes its weights wrong by a share of
 * 2^-24 · x, which no backward pass from lse avoids. Where that is no share any more, and where a query sees no key (lse -inf), the shift makes all weights 0.
 */
export const shiftOfLse = <M extends number>(lse: Tile<"f32", readonly [M]>): Tile<"f32", readonly [M]> => {
  const shift = lse.mul(log2e);
  return tl.where(shift.abs().ge(2 ** 24), Number.POSITIVE_INFINITY, shift);
};

/** A kernel's variant, parameters and constants. */
export interface Context {
  readonly variant: Variant;
  readonly p: any;
  readonly c: BlockConstants;
}

/** An operand, in one part or several, each with some of the channels. */
type Parts<R extends number> = readonly Tile<"T", readonly [R, number]>[];
type OperandTiles<R extends number> = Readonly<Record<string, Parts<R>>>;
/** Gradients by `partName`, still to be multiplied by the scale. */
export type Gradients<R extends number> = Readonly<Record<string, Tile<"f32", readonly [R, number]>>>;

const partName = (operand: string, part: number): string => (part === 0 ? operand : `${operand}_part${part}`);

/** Rows and columns of a tile, by the side that a program keeps. */
interface Extents {
  queries: readonly [rows: BlockM, columns: BlockN];
  keys: readonly [rows: BlockN, columns: BlockM];
}

/** What a program keeps while it walks: a block of one side, with the tiles of its operands. */
export interface Kept<S extends Side> {
  readonly block: KeptBlock<Extents[S][0]>;
  readonly operands: OperandTiles<Extents[S][0]>;
}

/** One tile: R rows, kept, and W columns, walked. */
export interface ScoreTile<R extends number, W extends number> {
  /** Index of the first column. `full`: all columns exist. */
  readonly first: RuntimeIndex;
  readonly full: boolean;
  /** -Infinity where a query does not see a key. */
  readonly logits: Tile<"f32", readonly [R, W]>;
  /** `values` where dropout keeps the weight, else 0. */
  drop(values: Tile<"f32", readonly [R, W]>): Tile<"f32", readonly [R, W]>;
  /** The rows of "v" or "dout" that belong to the columns. */
  load(name: "v" | "dout"): Tile<"T", readonly [W, Dim<"VALUE_DIM">]>;
  /** Adds to the gradient of each kept operand: the gradient of the logits times the operand's partner. */
  accumulate(gradient: Tile<"f32", readonly [R, W]>, sums: Gradients<R>): Gradients<R>;
}

/** The tiles of one program. */
export interface Scores<R extends number, W extends number> {
  /** logit · factor is the exponent to base 2 in the softmax. Positive. */
  readonly factor: Scalar<"f32">;
  /** logit · unit is the logit of the softmax: products are not scaled where no function of the logits asks for them. */
  readonly unit: Scalar<"f32"> | 1;
  /** As of `LogitTransform`. */
  readonly moderate: boolean;
  /** Runs `body` over the tiles in which a query sees a key, always in the same order. */
  walk<S extends tl.State>(state: S, body: (tile: ScoreTile<R, W>, state: S) => S): S;
}

const extentOf = (side: Side, { BLOCK_M, BLOCK_N }: BlockConstants): number => (side === "queries" ? BLOCK_M : BLOCK_N);
const otherSide = (side: Side): Side => (side === "queries" ? "keys" : "queries");

/** What makes up for dropped weights; 1 without dropout. */
export const dropoutScale = ({ variant, p, c }: Context, at: Place): Scalar<"f32"> | 1 =>
  variant.dropout?.(p, at, c as never).scale ?? 1;

/** The share of weights that are not dropped, from what makes up for the others. */
export const keptShare = (scale: Scalar<"f32"> | 1): Scalar<"f32"> | 1 => (scale === 1 ? 1 : tl.div(1, scale));

/** Rows of an operand from `first` on, in parts. `rowsExist`: no row lies outside. */
function loadParts(
  { variant, p, c }: Context,
  at: Place,
  name: string,
  side: Side,
  first: RuntimeIndex,
  rowsExist: boolean,
): Parts<any> {
  const isValue = name === "v" || name === "dout";
  const [dim, padded] = isValue ? [c.VALUE_DIM, c.PAD_VALUE] : [c.HEAD_DIM, c.PAD_HEAD];
  const tile = { name, side, first, shape: [extentOf(side, c), dim], inBounds: [rowsExist, !padded] } as const;
  const loaded = variant.load?.(p, at, tile, c as never) ?? loadOperand(p, at, tile);
  return Array.isArray(loaded) ? (loaded as Parts<any>) : [loaded as Parts<any>[0]];
}

/** Rows of "v" or "dout". */
const loadValues = (...request: Parameters<typeof loadParts>): Tile<"T", any> => loadParts(...request)[0]!;

/** Loads what a program keeps, from row `first` on. */
export function keep<S extends Side>(context: Context, side: S, first: RuntimeIndex, at: Place): Kept<S> {
  const operands = operandNames(context.variant, side).map((name) => [
    name,
    loadParts(context, at, name, side, first, false),
  ]);
  return {
    block: { side, first, extent: extentOf(side, context.c) as Extents[S][0] },
    operands: Object.fromEntries(operands),
  };
}

/** The kept rows of "v" or "dout". */
export const keepValues = <S extends Side>(
  context: Context,
  name: "v" | "dout",
  { block: { side, first } }: Kept<S>,
  at: Place,
): Tile<"T", readonly [Extents[S][0], Dim<"VALUE_DIM">]> => loadValues(context, at, name, side, first, false);

/** Gradients of 0 for every kept operand. */
export const noGradients = <S extends Side>({ operands }: Kept<S>): Gradients<Extents[S][0]> =>
  Object.fromEntries(
    Object.entries(operands).flatMap(([name, parts]) =>
      parts.map(({ shape }, i) => [partName(name, i), tl.zeros(shape, "f32")]),
    ),
  );

/** Stores the gradients of the kept operands, `into` i that of tensor number i of the side. */
export function storeGradients<S extends Side>(
  { variant, p, c }: Context,
  { block: { side, first }, operands }: Kept<S>,
  at: Place,
  sums: Gradients<Extents[S][0]>,
  factor: Scalar<"f32">,
  into: (tensor: number) => TensorView<"T", 2>,
): void {
  const parts = (name: string) =>
    operands[name]!.map((_, i) => zeroBeyond(sums[partName(name, i)]!.mul(factor), at, side, first));
  const rowsOf = (tensor: number) => resultsOf(into(tensor), at, side);
  if (variant.storeGradients) variant.storeGradients(p, at, { side, first, parts }, rowsOf, c as never);
  else
    for (const [i, name] of operandNames(variant, side).entries()) {
      const view = rowsOf(i);
      view.store([first, 0], parts(name)[0]!.to(view.dtype) as never, { inBounds: [false, !c.PAD_HEAD] });
    }
}

/** The tiles of the kept block at a place. Runs the variant's hooks. `apart` as in `segmentsOf`. */
export const scoresOf = <S extends Side>(
  context: Context,
  kept: Kept<S>,
  at: Place,
  apart = true,
): Scores<Extents[S][0], Extents[S][1]> => makeScores<any, any>(context, kept as Kept<any>, at, apart) as never;

function makeScores<R extends number, W extends number>(
  context: Context,
  { block, operands }: { block: KeptBlock<R>; operands: OperandTiles<R> },
  at: Place,
  apart: boolean,
): Scores<R, W> {
  const { variant, p, c } = context;
  const { side } = block;
  const [walked, columns] = [otherSide(side), extentOf(otherSide(side), c) as W];
  /** By term: the names of the kept operand and of its partner. */
  const pairs = termsOf(variant).map(({ q, k }) => (side === "queries" ? ([q, k] as const) : ([k, q] as const)));
  const segments = segmentsOf(variant, block, columns, p, at, c, apart);
  const row = tl.arange(0, block.extent).add(block.first).perRow();
  const transform = variant.logits?.(p, at, c as never, (vector) => ofHead(at, row as never, vector) as never);
  const dropout = variant.dropout?.(p, at, c as never);
  const scale: Scalar<"f32"> = p.scale;

  const tileAt = (segment: Segment<R>, first: RuntimeIndex): ScoreTile<R, W> => {
    const column = tl.arange(0, columns).add(first).perColumn() as Columns<W>;
    const position = positionOf(at, side, row, column, { rows: block.first, columns: first, full: segment.full });
    const terms = [...new Set(segment.parts.map(({ term }) => term))];
    const partners = new Map<string, Parts<W>>();
    for (const name of new Set(terms.map((term) => pairs[term]![1])))
      partners.set(name, loadParts(context, at, name, walked, first, segment.full));
    const products = new Map(
      terms.map((term) => {
        const [own, partner] = pairs[term]!;
        return [term, productOf(operands[own]!, partners.get(partner)!)];
      }),
    );

    const product = selectProduct(segment, column, products);
    const scaled = transform ? product.mul(scale) : product;
    const unscaled = { products: spoken<any, any>(product), scale };
    const transformed = transform ? spoken<R, W>(transform.apply(spoken(scaled), position, unscaled)) : product;
    const logits = segment.full ? transformed : hide(segment, column, transformed);
    const keep = dropout && once(() => spoken<R, W, "bool">(dropout.keep(position)));

    return {
      first,
      full: segment.full,
      logits,
      drop: (values) => (keep ? tl.where(keep(), values, 0) : values),
      load: (name) => loadValues(context, at, name, walked, first, segment.full),
      accumulate(gradient, sums) {
        const slope = transform?.slope?.(spoken(scaled), spoken(transformed), position, unscaled);
        const ofProduct = slope ? gradient.mul(spoken<R, W>(slope)) : gradient;
        const next = { ...sums };
        for (const term of terms) {
          const [own, name] = pairs[term]!;
          const share = terms.length === 1 ? ofProduct : shareOf(segment, column, term, ofProduct);
          for (const [i, partner] of partners.get(name)!.entries()) {
            const part = partName(own, i);
            next[part] = tl.dot(share.to(partner.dtype), partner, next[part]);
          }
        }
        return next;
      },
    };
  };

  return {
    factor: transform ? tl.full([], log2e, "f32") : scale.mul(log2e),
    unit: transform ? 1 : scale,
    moderate: transform ? transform.moderate === true : true,
    walk: (state, body) =>
      segments.reduce((s, segment) => segment.loop(s, (first, inner) => body(tileAt(segment, first), inner)), state),
  };
}

type Columns<W extends number> = Tile<"i32", readonly [1, W]>;
type Matrix<R extends number, W extends number, T extends "f32" | "bool" = "f32"> = Tile<T, readonly [R, W]>;

/** Hooks speak of [queries, keys] whatever a program keeps (see `TilePosition`): this passes a tile between the two ways of naming axes. */
const spoken = <R extends number, W extends number, T extends "f32" | "bool" = "f32">(tile: Matrix<any, any, T>) =>
  tile as Matrix<R, W, T>;

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** The products of rows and columns, summed over the parts of the channels. */
const productOf = <R extends number, W extends number>(rows: Parts<R>, columns: Parts<W>): Matrix<R, W> =>
  rows.reduce<Matrix<R, W> | undefined>(
    (sum, part, i) => tl.dot(part, columns[i]!.trans() as never, sum),
    undefined,
  ) as Matrix<R, W>;

/** Of each part of a segment the products of its own term. */
function selectProduct<R extends number, W extends number>(
  { parts }: Segment<R>,
  column: Columns<W>,
  products: ReadonlyMap<number, Matrix<R, W>>,
): Matrix<R, W> {
  const last = products.get(parts.at(-1)!.term)!;
  if (products.size === 1) return last;
  return parts
    .slice(0, -1)
    .reduceRight((rest, { term, to }) => tl.where(column.lt(to!.perRow()), products.get(term)!, rest), last);
}

/** Logits with -Infinity where the segment's outer edges hide a key from a query. */
const hide = <R extends number, W extends number>(
  { from, to }: Segment<R>,
  column: Columns<W>,
  logits: Matrix<R, W>,
): Matrix<R, W> => tl.where(between(column, from, to)!, logits, Number.NEGATIVE_INFINITY);

/** The values where a segment's logits come from `term`, else 0. */
function shareOf<R extends number, W extends number>(
  { parts }: Segment<R>,
  column: Columns<W>,
  term: number,
  values: Matrix<R, W>,
): Matrix<R, W> {
  const inside = parts.filter((part) => part.term === term).map(({ from, to }) => between(column, from, to)!);
  return tl.where(
    inside.reduce((a, b) => a.or(b)),
    values,
    0,
  );
}

/** from <= column < to in each row; undefined without a bound. */
function between<R extends number, W extends number>(
  column: Columns<W>,
  from: Tile<"i32", readonly [R]> | undefined,
  to: Tile<"i32", readonly [R]> | undefined,
): Matrix<R, W, "bool"> | undefined {
  const above = from && column.ge(from.perRow());
  const below = to && column.lt(to.perRow());
  return above && below ? above.and(below) : (above ?? below);
}

function positionOf<R extends number, W extends number>(
  at: Place,
  side: Side,
  row: Tile<"i32", readonly [R, 1]>,
  column: Columns<W>,
  { rows: firstRow, columns: firstColumn, full }: Record<"rows" | "columns", RuntimeIndex> & { readonly full: boolean },
): TilePosition {
  const [rows, columns] = [row.shape[0], column.shape[1]];
  return side === "queries"
    ? {
        query: (at.packed ? row.div(at.group) : row) as never,
        key: column as never,
        load: (matrix) => matrix.load([firstRow, firstColumn], [rows, columns], { inBounds: [false, full] }) as never,
      }
    : {
        query: column as never,
        key: row as never,
        load: (matrix) =>
          matrix.load([firstColumn, firstRow], [columns, rows], { inBounds: [full, false] }).trans() as never,
      };
}

/** What the hooks of a program that keeps queries may ask about its rows. */
export const queryRows = (at: Place, { block: { first, extent } }: Kept<"queries">): QueryRows => {
  const row = tl.arange(0, extent).add(first);
  return {
    query: (at.packed ? row.div(at.group) : row) as never,
    ofHead: (vector) => ofHead(at, row as never, vector) as never,
  };
};

/** The entry of a vector [Hq] that belongs to the head of each row, in the shape of `row`. */
function ofHead<T extends DTypeLike, S extends Shape>(
  at: Place,
  row: Tile<"i32", S>,
  vector: TensorView<T, 1>,
): Tile<T, S> {
  if (!at.packed) return tl.broadcastTo(vector.load([at.head], []), row.shape) as never;
  const head = packedHeads(at, row);
  return tl.load(vector.pointer.add(head.to("i64").mul(vector.stride(0)) as never) as never) as never;
}
