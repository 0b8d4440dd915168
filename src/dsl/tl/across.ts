/**
 * @file `tl`: function forms of what works across elements: products, reductions, scans, shapes.
 */
import { broadcastShape, checkAxis, checkExtents, broadcastTo as repeatTo } from "../operands.ts";
import { type DotOptions, type Reduced, type ScanOptions, type Tile, tileOf, tileValue } from "../tile.ts";
import { emit } from "../trace-context.ts";
import type { BitsDType, DotResult, DTypeLike, Permuted, Shape, WideDType, WithAxis } from "../types.ts";

/**
 * Matrix product: accumulator + a·b with a [M, K] and b [K, N] of one float dtype, summed in f32, or of i8, summed in i32. Without an
 * accumulator, from 0. `DOT_SHAPE` when the inner dimensions differ.
 */
export const dot = <T extends DTypeLike, M extends number, K extends number, N extends number>(
  a: Tile<T, readonly [M, K]>,
  b: Tile<NoInfer<T>, readonly [NoInfer<K>, N]>,
  accumulator?: Tile<DotResult<NoInfer<T>>, readonly [NoInfer<M>, NoInfer<N>]>,
  options: DotOptions = {},
): Tile<DotResult<T>, readonly [M, N]> => a.dot(b, accumulator, options);

/** The sum along `axis`, which disappears; over all elements without one. f32, i32, u32, i64. */
export const sum = <T extends WideDType, S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<T, S>,
  axis?: A,
): Tile<T, Reduced<S, A>> => x.sum(axis);
/** The product along `axis`, or of all elements. f32, i32, u32, i64. */
export const prod = <T extends WideDType, S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<T, S>,
  axis?: A,
): Tile<T, Reduced<S, A>> => x.prod(axis);
/** The largest along `axis`, or of all elements; NaNs are passed over. f32, i32, u32, i64. (Of two tiles: `maximum`.) */
export const max = <T extends WideDType, S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<T, S>,
  axis?: A,
): Tile<T, Reduced<S, A>> => x.max(axis);
/** The smallest along `axis`, or of all elements; NaNs are passed over. f32, i32, u32, i64. (Of two tiles: `minimum`.) */
export const min = <T extends WideDType, S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<T, S>,
  axis?: A,
): Tile<T, Reduced<S, A>> => x.min(axis);
/** The i32 index along `axis` of the first largest element; without an axis, the index in row-major order. */
export const argmax = <S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<WideDType, S>,
  axis?: A,
): Tile<"i32", Reduced<S, A>> => x.argmax(axis);
/** The i32 index along `axis` of the first smallest element; without an axis, the index in row-major order. */
export const argmin = <S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<WideDType, S>,
  axis?: A,
): Tile<"i32", Reduced<S, A>> => x.argmin(axis);
/** Whether all are true (for integers: the bitwise and) along `axis`, or over all elements. */
export const all = <T extends BitsDType, S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<T, S>,
  axis?: A,
): Tile<T, Reduced<S, A>> => x.all(axis);
/** Whether any is true (for integers: the bitwise or) along `axis`, or over all elements. */
export const any = <T extends BitsDType, S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<T, S>,
  axis?: A,
): Tile<T, Reduced<S, A>> => x.any(axis);
/** The exclusive or along `axis`, or over all elements. Integers and bool. */
export const xorSum = <T extends BitsDType, S extends Shape, const A extends number | undefined = undefined>(
  x: Tile<T, S>,
  axis?: A,
): Tile<T, Reduced<S, A>> => x.xorSum(axis);

/** Running sum along `axis`, each element included. f32, i32, u32, i64. */
export const cumsum = <T extends WideDType, S extends Shape>(
  x: Tile<T, S>,
  axis: number,
  options: ScanOptions = {},
): Tile<T, S> => x.cumsum(axis, options);
/** Running product along `axis`, each element included. f32, i32, u32, i64. */
export const cumprod = <T extends WideDType, S extends Shape>(
  x: Tile<T, S>,
  axis: number,
  options: ScanOptions = {},
): Tile<T, S> => x.cumprod(axis, options);
/** Running maximum along `axis`, each element included. f32, i32, u32, i64. */
export const cummax = <T extends WideDType, S extends Shape>(
  x: Tile<T, S>,
  axis: number,
  options: ScanOptions = {},
): Tile<T, S> => x.cummax(axis, options);
/** Running minimum along `axis`, each element included. f32, i32, u32, i64. */
export const cummin = <T extends WideDType, S extends Shape>(
  x: Tile<T, S>,
  axis: number,
  options: ScanOptions = {},
): Tile<T, S> => x.cummin(axis, options);

/** The transpose of a matrix: [M, N] to [N, M]. */
export const trans = <T extends DTypeLike, M extends number, N extends number>(
  x: Tile<T, readonly [M, N]>,
): Tile<T, readonly [N, M]> => x.trans();
/** Reorders axes: axis i of the result is axis `order[i]` of x. */
export const permute = <T extends DTypeLike, S extends Shape, const Order extends readonly number[]>(
  x: Tile<T, S>,
  order: Order,
): Tile<T, Permuted<S, Order>> => x.permute(order);
/** The same elements in row-major order under another shape of as many elements. */
export const reshape = <T extends DTypeLike, const To extends Shape>(x: Tile<T, Shape>, shape: To): Tile<T, To> =>
  x.reshape(shape);
/** Repeats x to `shape`: missing leading axes and axes of extent 1. */
export const broadcastTo = <T extends DTypeLike, const To extends Shape>(x: Tile<T, Shape>, shape: To): Tile<T, To> =>
  x.broadcastTo(shape);
/** Inserts an axis of extent 1 before `axis`. */
export const expandDims = <T extends DTypeLike, S extends Shape, const A extends number>(
  x: Tile<T, S>,
  axis: A,
): Tile<T, WithAxis<S, A>> => x.expandDims(axis);

/**
 * Elements of x by indices along `axis`: `result[i, j] = x[indices[i, j], j]` for axis 0. Along the other axes x and the indices are alike. Every index
 * must be within the axis (the interpreter checks it): `clamp` what may not be. A tile of few rows that is only read this way is
 * better left in memory, and its elements loaded through pointers.
 *
 * @throws TraceError `AXIS`, `GATHER_SHAPE`, `DTYPE` (the indices are not i32).
 */
export const gather = <T extends DTypeLike, S extends Shape, I extends Shape>(
  x: Tile<T, S>,
  indices: Tile<"i32", I>,
  axis: number,
): Tile<T, I> => {
  const [from, at] = [tileValue(x, "the first operand of gather"), tileValue(indices, "the indices of gather")];
  return tileOf(emit("gather", [from, at], { axis: checkAxis(axis, x.shape, "gather") }));
};

/**
 * How many elements of x are 0, 1, ..., bins - 1; others are not counted, so `tl.where(mask, x, -1)` leaves elements out. For a histogram of a whole
 * tensor, add those of its tiles to memory with `atomicAdd`.
 *
 * @throws TraceError `DTYPE` (x is not i32), `TILE_EXTENT` (bins is no power of two).
 */
export function histogram<const N extends number>(x: Tile<"i32", Shape>, bins: N): Tile<"i32", readonly [N]> {
  const value = tileValue(x, "the operand of histogram");
  checkExtents([bins], "histogram");
  const count = x.shape.reduce((product, extent) => product * extent, 1);
  const row = x.shape.length === 1 ? value : emit("reshape", [value], { shape: [count] });
  return tileOf(emit("histogram", [row], { bins }));
}

/** Joins two tiles along a new last axis of extent 2: [M] and [M] to [M, 2]. */
export function join<T extends DTypeLike, S extends Shape>(
  a: Tile<T, S>,
  b: Tile<NoInfer<T>, NoInfer<S>>,
): Tile<T, readonly [...S, 2]> {
  const [left, right] = [tileValue(a, "the first operand of join"), tileValue(b, "the second operand of join")];
  const shape = broadcastShape(a.shape, b.shape, "join");
  return tileOf(emit("join", [repeatTo(left, shape, "join"), repeatTo(right, shape, "join")]));
}

/** Splits the last axis, which must have extent 2, into the tiles at index 0 and 1. */
export const split = <T extends DTypeLike, H extends Shape>(
  x: Tile<T, readonly [...H, 2]>,
): [Tile<T, Readonly<H>>, Tile<T, Readonly<H>>] => x.split();
