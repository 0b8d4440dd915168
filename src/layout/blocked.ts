/**
 * @file Blocked layouts: each thread owns a small box of the tile, the lanes of a warp stand side by side, then the warps, and
 * what the tile has beyond that is repeated in more registers. A tile that is smaller than the block is held several times:
 * the surplus bits of lane and warp have basis 0. The layouts of global loads and stores, and of anything elementwise.
 */
import { axisName, LANE, layoutError, log2Exact, REGISTER, THREAD, tileDims, WARP } from "./dims.ts";
import { LinearLayout } from "./linear-layout.ts";

export interface BlockedOptions {
  /** The tile's shape. */
  shape: readonly number[];
  /** The box of a thread, by axis. */
  sizePerThread: readonly number[];
  /** How many lanes stand along each axis. */
  threadsPerWarp: readonly number[];
  /** How many warps stand along each axis. */
  warpsPerCta: readonly number[];
  /** The axes, fastest first: `[1, 0]` is row-major. The default is row-major. */
  order?: readonly number[];
}

/** The blocked layout (warp, lane, register) → tile. All sizes are powers of two. */
export function blocked(options: BlockedOptions): LinearLayout {
  const { shape, sizePerThread, threadsPerWarp, warpsPerCta } = options;
  const order = options.order ?? rowMajorOrder(shape.length);
  for (const [name, list] of Object.entries({ sizePerThread, threadsPerWarp, warpsPerCta, order }))
    if (list.length !== shape.length)
      throw layoutError("LAYOUT_RANK", `blocked layout of [${shape}]: ${name} is [${list}], of another rank`);
  if (new Set(order).size !== order.length || order.some((axis) => !(axis in shape)))
    throw layoutError("LAYOUT_ORDER", `blocked layout: [${order}] is no order of ${shape.length} axes`);

  const outs = tileDims(shape);
  /** The extent that the bits placed so far cover along each axis, wrapped around or not. */
  const covered = shape.map(() => 1);
  const bases: Record<string, number[]> = { [WARP]: [], [LANE]: [], [REGISTER]: [] };
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, extent) => product * extent, 1));
  const place = (input: string, sizes: readonly number[], what: string): void => {
    for (const axis of order)
      for (let bit = 0; bit < log2Exact(sizes[axis], `${what}[${axis}]`); bit++) {
        const inside = covered[axis] < shape[axis];
        if (inside) bases[input].push(covered[axis] * strides[axis]);
        // A register that would repeat the tile is left out; a lane or warp that does so is there and holds a copy.
        else if (input !== REGISTER) bases[input].push(0);
        if (inside) covered[axis] *= 2;
      }
  };
  place(REGISTER, sizePerThread, "sizePerThread");
  place(LANE, threadsPerWarp, "threadsPerWarp");
  place(WARP, warpsPerCta, "warpsPerCta");
  place(
    REGISTER,
    shape.map((extent, axis) => extent / covered[axis]),
    "shape",
  );

  const ins = [WARP, LANE, REGISTER].map((name) => ({ name, bits: bases[name].length }));
  return new LinearLayout(ins, outs, [...bases[REGISTER], ...bases[LANE], ...bases[WARP]]);
}

export interface DefaultBlockedOptions {
  shape: readonly number[];
  /** Warps in the block; 4 by default. */
  warps?: number;
  /** Lanes of a warp; 32 by default. A target without warps gives all its threads here and one warp. */
  lanes?: number;
  /** Consecutive elements that a thread should hold along the fastest axis: what one vector access moves. */
  contiguous?: number;
  /** Elements along the fastest axis beyond which threads stand along the other axes, as far as those have room; all by default. */
  run?: number;
  /** The axes, fastest first; row-major by default. */
  order?: readonly number[];
}

/**
 * A blocked layout for coalesced access: neighbouring lanes hold neighbouring vectors of `contiguous` elements along the fastest
 * axis. Fewer elements a thread where the tile would otherwise leave threads idle.
 */
export function defaultBlocked(options: DefaultBlockedOptions): LinearLayout {
  const { shape, warps = 4, lanes = 32, contiguous = 1, run = Number.POSITIVE_INFINITY } = options;
  const order = options.order ?? rowMajorOrder(shape.length);
  const elements = shape.reduce((product, extent) => product * extent, 1);
  const ones = shape.map(() => 1);
  const sizePerThread = [...ones];
  const threadsPerWarp = [...ones];
  const warpsPerCta = [...ones];
  if (order.length > 0) {
    const fastest = order[0];
    sizePerThread[fastest] = Math.min(contiguous, shape[fastest], Math.max(1, elements / (warps * lanes)));
    const short = shape.map((extent, axis) => (axis === fastest ? Math.min(extent, run) : extent));
    const beyond = spread(lanes, short, sizePerThread, threadsPerWarp, order);
    threadsPerWarp[fastest] *= Math.min(beyond, shape[fastest] / short[fastest]);
    const placed = threadsPerWarp.reduce((product, count) => product * count, 1);
    const rest = lanes / placed;
    const perWarp = shape.map((_, axis) => sizePerThread[axis] * threadsPerWarp[axis]);
    const warpOrder = short[fastest] < shape[fastest] ? [...order.slice(1), fastest] : order;
    const restWarps = spread(warps, shape, perWarp, warpsPerCta, warpOrder);
    // What the tile cannot use wraps around, along the slowest axis.
    threadsPerWarp[order[order.length - 1]] *= rest;
    warpsPerCta[order[order.length - 1]] *= restWarps;
    return blocked({ shape, sizePerThread, threadsPerWarp, warpsPerCta, order });
  }
  const copies = (name: string, size: number): LinearLayout => LinearLayout.zeros1D(size, name, axisName(0));
  const scalar = copies(REGISTER, 1).product(copies(LANE, lanes)).product(copies(WARP, warps));
  return scalar.reshapeOuts([]);
}

/** `lane` and `warp` as one dimension `thread` = warp · lanes + lane, for targets that know no warps. */
export function flattenThreads(layout: LinearLayout): LinearLayout {
  const ordered = layout.transposeIns([WARP, LANE, REGISTER]);
  return ordered.reshapeIns([
    { name: THREAD, bits: ordered.bitsOf(WARP) + ordered.bitsOf(LANE) },
    { name: REGISTER, bits: ordered.bitsOf(REGISTER) },
  ]);
}

/** The axes with the last one fastest. */
export function rowMajorOrder(rank: number): number[] {
  return Array.from({ length: rank }, (_, i) => rank - 1 - i);
}

/** Distributes `count` over the axes as far as `shape` has room above `taken`; returns the factor that found no room. */
function spread(
  count: number,
  shape: readonly number[],
  taken: readonly number[],
  result: number[],
  order: readonly number[],
): number {
  let rest = count;
  for (const axis of order) {
    result[axis] = Math.min(rest, shape[axis] / taken[axis]);
    rest /= result[axis];
  }
  return rest;
}
