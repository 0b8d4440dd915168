/**
 * @file `tl`: tiles put together, turned round, and multiplied one by one. Made of the language's other operations, so every target has them.
 */
import { dotResult } from "../../ir/index.ts";
import { checkAxis, shapeText } from "../operands.ts";
import { type DotOptions, type Tile, tileValue } from "../tile.ts";
import { fail } from "../trace-context.ts";
import type { DotResult, DTypeLike, Shape } from "../types.ts";
import { gather, join } from "./across.ts";
import { arange, zeros } from "./creation.ts";

/** Any tile: what happens here to shapes is not for the editor. */
type AnyTile = Tile<any, any>;

/** S with an axis of another extent. */
type Longer<S extends Shape, A extends number> = { readonly [I in keyof S]: I extends `${A}` ? number : S[I] };

/** S with a last axis of another extent. */
type LongerLast<S extends Shape> = S extends readonly [...infer Head extends Shape, number]
  ? readonly [...Head, number]
  : Shape;

function checkAlike(a: AnyTile, b: AnyTile, what: string): void {
  tileValue(a, `the first operand of ${what}`);
  tileValue(b, `the second operand of ${what}`);
  if (String(a.shape) !== String(b.shape))
    fail("SHAPE_MISMATCH", `${what} takes tiles of one shape, got ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
}

/** Joins two tiles along a new axis of extent 2 before `axis`. */
const stack = (a: AnyTile, b: AnyTile, axis: number): AnyTile => {
  const joined: AnyTile = join(a, b);
  const order = joined.shape.map((_: number, i: number) => i).slice(0, -1);
  return joined.permute([...order.slice(0, axis), order.length, ...order.slice(axis)]);
};

/**
 * The elements of a, then those of b, along `axis`: [N] and [N] to [2N]. The tiles are of one shape, since extents are powers of two. The new extent has
 * no name: give it one, `tl.dim`, and `reshape` to it.
 *
 * @throws TraceError `AXIS`, `SHAPE_MISMATCH`, `TYPE_MISMATCH` (of two dtypes).
 */
export function cat<T extends DTypeLike, S extends Shape, const A extends number>(
  a: Tile<T, S>,
  b: Tile<NoInfer<T>, NoInfer<S>>,
  axis: A,
): Tile<T, Longer<S, A>> {
  checkAlike(a, b, "cat");
  checkAxis(axis, a.shape, "cat");
  return stack(a, b, axis).reshape(a.shape.with(axis, 2 * a.shape[axis]!)) as Tile<T, any>;
}

/**
 * The elements of a and b by turns along the last axis: [M, N] and [M, N] to [M, 2N]. The inverse is `x.reshape([M, N, 2]).split()`.
 *
 * @throws TraceError `AXIS` (of scalars), `SHAPE_MISMATCH`, `TYPE_MISMATCH` (of two dtypes).
 */
export function interleave<T extends DTypeLike, S extends Shape>(
  a: Tile<T, S>,
  b: Tile<NoInfer<T>, NoInfer<S>>,
): Tile<T, LongerLast<S>> {
  checkAlike(a, b, "interleave");
  const shape: Shape = a.shape;
  const last = checkAxis(shape.length - 1, shape, "interleave");
  return join(a as AnyTile, b as AnyTile).reshape(shape.with(last, 2 * shape[last]!)) as Tile<T, any>;
}

/** The elements in the opposite order along `axis` (the last by default). */
export function flip<T extends DTypeLike, S extends Shape>(
  x: Tile<T, S>,
  axis: number = x.shape.length - 1,
): Tile<T, S> {
  tileValue(x, "the operand of flip");
  const extent = x.shape[checkAxis(axis, x.shape, "flip")]!;
  const backwards = arange(0, extent)
    .mul(-1)
    .add(extent - 1);
  const along = x.shape.map((_, i) => (i === axis ? extent : 1));
  return gather(x, backwards.reshape(along).broadcastTo(x.shape), axis);
}

/** [B, R, C] as B tiles [R, C]. */
function matricesOf(x: AnyTile): AnyTile[] {
  const [count, rows, columns] = x.shape as [number, number, number];
  if (count === 1) return [x.reshape([rows, columns])];
  const halves = x
    .reshape([2, count / 2, rows, columns])
    .permute([1, 2, 3, 0])
    .split() as [AnyTile, AnyTile];
  return halves.flatMap(matricesOf);
}

/** The inverse of `matricesOf`. */
function stackOf(matrices: readonly AnyTile[]): AnyTile {
  const [first] = matrices;
  if (matrices.length === 1) return first!.expandDims(0);
  const half = matrices.length / 2;
  const [low, high] = [stackOf(matrices.slice(0, half)), stackOf(matrices.slice(half))];
  return stack(low, high, 0).reshape([matrices.length, ...first!.shape]);
}

/**
 * B matrix products: accumulator[i] + a[i]·b[i] with a [B, M, K] and b [B, K, N], as `dot`, one after the other. (Triton's `tl.dot` of three axes.) Where a
 * and b are loaded for it, loading matrices one by one in a plain `for` is faster: those are copied to where a dot reads them.
 *
 * @throws TraceError `DOT_SHAPE`, `DTYPE`.
 */
export function batchDot<T extends DTypeLike, B extends number, M extends number, K extends number, N extends number>(
  a: Tile<T, readonly [B, M, K]>,
  b: Tile<NoInfer<T>, readonly [NoInfer<B>, NoInfer<K>, N]>,
  accumulator?: Tile<DotResult<NoInfer<T>>, readonly [NoInfer<B>, NoInfer<M>, NoInfer<N>]>,
  options: DotOptions = {},
): Tile<DotResult<T>, readonly [B, M, N]> {
  tileValue(a, "the first operand of batchDot");
  tileValue(b, "the second operand of batchDot");
  const [left, right]: Shape[] = [a.shape, b.shape];
  if (left!.length !== 3 || right!.length !== 3 || left![0] !== right![0])
    fail("DOT_SHAPE", `batchDot multiplies [B, M, K] by [B, K, N], got ${shapeText(left!)} by ${shapeText(right!)}`);
  const sums = accumulator ?? zeros([left![0]!, left![1]!, right![2]!], dotResult(a.dtype as "f32"));
  tileValue(sums, "the accumulator of batchDot");
  const [lefts, rights, starts] = [a, b, sums].map((tile) => matricesOf(tile as AnyTile));
  if (starts!.length !== lefts!.length)
    fail("DOT_SHAPE", `the accumulator of batchDot must be [B, M, N], got ${shapeText(sums.shape)}`);
  return stackOf(lefts!.map((x, i) => x.dot(rights![i]!, starts![i], options))) as Tile<any, any>;
}
