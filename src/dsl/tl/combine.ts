/**
 * @file `tl`: reductions and scans with a function of the author's, and sorting. They are made of the language's other operations: halves of
 * an axis are split off, combined as whole tiles and joined again, log2(N) times, so every target has them and the function may be
 * any code that works element by element.
 */
import { checkAxis } from "../operands.ts";
import { type Reduced, reverseOf, type Scalar, type ScanOptions, Tile, tileValue } from "../tile.ts";
import { checkOptions, fail } from "../trace-context.ts";
import type { DTypeLike, Shape, WideDType } from "../types.ts";
import { join } from "./across.ts";
import { arange } from "./creation.ts";
import { where } from "./math.ts";

/** One element of several tiles: named, and of one shape. */
type Tiles<S extends Shape> = Readonly<Record<string, Tile<DTypeLike, S>>>;

/** What `combine` gets and gives: an element of each tile. */
export type Elements<R> = { readonly [K in keyof R]: R[K] extends Tile<infer T, Shape> ? Scalar<T> : never };

/**
 * Two elements (of each tile) to one; associative, not necessarily commutative. It is traced a few times, for many elements at once, so it may use
 * elementwise operations, constants and scalars, but no other tile.
 */
export type Combine<R> = (left: Elements<R>, right: Elements<R>) => Elements<R>;

/** Any tile: what happens here to shapes is not for the editor. */
type AnyTile = Tile<any, any>;
type AnyTiles = Readonly<Record<string, AnyTile>>;

const mapTiles = (tiles: AnyTiles, change: (tile: AnyTile, name: string) => AnyTile): AnyTiles =>
  Object.fromEntries(Object.entries(tiles).map(([name, tile]) => [name, change(tile, name)]));

/** The tiles, the shape that they share, and the axis as [before, along, after]. */
function checkTiles(given: unknown, axis: number, what: string): { tiles: AnyTiles; shape: Shape; around: Shape } {
  const entries = given === null || typeof given !== "object" || given instanceof Tile ? [] : Object.entries(given);
  if (entries.length === 0) fail("STATE", `${what} takes a record of tiles, such as { decay, value }`);
  for (const [name, tile] of entries) tileValue(tile, `"${name}" of ${what}`);
  const tiles = Object.fromEntries(entries) as AnyTiles;
  const shape = entries[0]![1].shape as Shape;
  for (const [name, tile] of Object.entries(tiles))
    if (String(tile.shape) !== String(shape))
      fail(
        "SHAPE_MISMATCH",
        `${what}: "${name}" has shape [${tile.shape.join(", ")}], "${entries[0]![0]}" [${shape.join(", ")}]: they must be alike`,
      );
  checkAxis(axis, shape, what);
  const size = (extents: Shape): number => extents.reduce((product, extent) => product * extent, 1);
  return { tiles, shape, around: [size(shape.slice(0, axis)), shape[axis]!, size(shape.slice(axis + 1))] };
}

/** Combines tiles, and checks what the author's function made of them. */
function combined(combine: Combine<any>, left: AnyTiles, right: AnyTiles, what: string): AnyTiles {
  const result: Readonly<Record<string, unknown>> = combine(left, right) ?? {};
  for (const name of Object.keys(result))
    if (!(name in left))
      fail("STATE_FIELD", `what the function of ${what} returns has "${name}", which the tiles lack`);
  return mapTiles(left, (before, name) => {
    const after = result[name];
    if (!(after instanceof Tile))
      return fail("STATE_FIELD", `what the function of ${what} returns lacks "${name}", or it is no tile`);
    if (after.dtype !== before.dtype || String(after.shape) !== String(before.shape))
      fail(
        "STATE_TYPE",
        `what the function of ${what} returns: "${name}" is ${after.dtype} of shape [${after.shape.join(", ")}], but must be ${before.dtype} of shape [${before.shape.join(", ")}]`,
      );
    return after;
  });
}

/** [A, 2n, ...rest] as two tiles [A, n, ...rest]: of each neighbouring pair the first, and the second. */
function pairs(tiles: AnyTiles): [AnyTiles, AnyTiles] {
  const parts = mapTiles(tiles, (tile) => {
    const [before, count, ...rest] = tile.shape as [number, number, ...number[]];
    const split = tile.reshape([before, count / 2, 2, ...rest]);
    return split.permute([0, 1, ...rest.map((_, i) => i + 3), 2]);
  });
  const firsts: Record<string, AnyTile> = {};
  const seconds: Record<string, AnyTile> = {};
  for (const [name, tile] of Object.entries(parts)) [firsts[name], seconds[name]] = tile.split() as [AnyTile, AnyTile];
  return [firsts, seconds];
}

/**
 * Combines all elements along `axis`, which disappears, by a function of the author's (Triton's `tl.reduce`). For sums, products, extremes and their
 * indices there are cheaper operations.
 *
 * ```ts
 * const { mean, squares, count } = tl.reduce({ mean, squares, count }, 1, welford);
 * ```
 *
 * @param tiles A record of tiles of one shape.
 * @throws TraceError `AXIS`, `SHAPE_MISMATCH`, `STATE`, `STATE_FIELD`, `STATE_TYPE` (what `combine` returns does not fit).
 */
export function reduce<S extends Shape, R extends Tiles<S>, const A extends number>(
  tiles: R,
  axis: A,
  combine: Combine<R>,
): { readonly [K in keyof R]: R[K] extends Tile<infer T, infer Own> ? Tile<T, Reduced<Own, A>> : never } {
  const checked = checkTiles(tiles, axis, "reduce");
  let rest = mapTiles(checked.tiles, (tile) => tile.reshape(checked.around));
  for (let count = checked.around[1]!; count > 1; count /= 2) rest = combined(combine, ...pairs(rest), "reduce");
  return mapTiles(rest, (tile) => tile.reshape(checked.shape.filter((_, i) => i !== axis))) as any;
}

/**
 * Running combinations along `axis`, each element included, by a function of the author's (Triton's `tl.associative_scan`): linear
 * recurrences, segmented sums. With `reverse` from the last element to the first; `left` is always what comes earlier in the scan.
 *
 * ```ts
 * // h[t] = decay[t] · h[t - 1] + value[t]
 * const { value: h } = tl.associativeScan({ decay, value }, 0, (left, right) => ({
 *   decay: left.decay.mul(right.decay),
 *   value: right.decay.mul(left.value).add(right.value),
 * }));
 * ```
 *
 * @param tiles A record of tiles of one shape.
 * @throws TraceError as `reduce`.
 */
export function associativeScan<S extends Shape, R extends Tiles<S>>(
  tiles: R,
  axis: number,
  combine: Combine<R>,
  options: ScanOptions = {},
): R {
  const what = "associativeScan";
  const reverse = reverseOf(options, what);
  const checked = checkTiles(tiles, axis, what);
  const [before, length, after] = checked.around as [number, number, number];
  // Blocks [before, blocks, in the block, after] that are scanned already, and the total of each.
  let scanned = mapTiles(checked.tiles, (tile) => tile.reshape([before, length, 1, after]));
  let totals = mapTiles(checked.tiles, (tile) => tile.reshape(checked.around));
  for (let width = 1; width < length; width *= 2) {
    const [left, right] = pairs(scanned);
    const [leftTotal, rightTotal] = pairs(totals);
    const [earlier, later] = reverse ? [rightTotal, left] : [leftTotal, right];
    const spread = mapTiles(earlier, (tile) =>
      tile.expandDims(2).broadcastTo([before, length / (2 * width), width, after]),
    );
    const moved = combined(combine, spread, later, what);
    scanned = mapTiles(moved, (tile, name) => {
      const joined = reverse ? join(tile, right[name]!) : join(left[name]!, tile);
      return joined.permute([0, 1, 4, 2, 3]).reshape([before, length / (2 * width), 2 * width, after]);
    });
    if (2 * width < length)
      totals = reverse
        ? combined(combine, rightTotal, leftTotal, what)
        : combined(combine, leftTotal, rightTotal, what);
  }
  return mapTiles(scanned, (tile) => tile.reshape(checked.shape)) as R;
}

/** Options of `sort`. */
export interface SortOptions {
  /** From the largest to the smallest. Default false. */
  readonly descending?: boolean;
}

/**
 * The elements in order along `axis` (the last by default), by a bitonic network: log2(N)² / 2 steps. f32 without NaN, i32, u32, i64.
 *
 * @throws TraceError `AXIS`.
 */
export function sort<T extends WideDType, S extends Shape>(
  x: Tile<T, S>,
  axis: number = x.shape.length - 1,
  options: SortOptions = {},
): Tile<T, S> {
  checkOptions(options, { descending: true }, "sort");
  const { descending = false } = options;
  const { shape, around } = checkTiles({ x }, axis, "sort");
  const [before, length, after] = around as [number, number, number];
  let sorted: AnyTile = (x as AnyTile).reshape(around);
  for (let run = 2; run <= length; run *= 2)
    for (let apart = run / 2; apart >= 1; apart /= 2) {
      const [{ x: left }, { x: right }] = pairs({ x: sorted.reshape([before, length / apart, apart, after]) }) as [
        { readonly x: AnyTile },
        { readonly x: AnyTile },
      ];
      const [low, high] = [left.minimum(right), left.maximum(right)];
      // Runs alternate in direction, but for the last, which is the whole.
      const rising = arange(0, length / (2 * apart))
        .and(run / (2 * apart))
        .eq(0)
        .reshape([1, length / (2 * apart), 1, 1]);
      const chosen = (even: AnyTile, odd: AnyTile): AnyTile => (run === length ? even : where(rising, even, odd));
      const joined = descending
        ? join(chosen(high, low), chosen(low, high))
        : join(chosen(low, high), chosen(high, low));
      sorted = joined.permute([0, 1, 4, 2, 3]).reshape(around);
    }
  return sorted.reshape(shape) as Tile<T, S>;
}
