/**
 * @file Names, sizes and packing of a layout's dimensions. A list of dimensions is packed into one integer as a row-major
 * index: the last dimension has the lowest bits. So a packed tile coordinate is the element's row-major number, a reshape
 * changes no bit, and (warp, lane) packs into the thread index.
 */
import { CompileError } from "../support/errors.ts";
import { MAX_BITS } from "./gf2.ts";

/** A named dimension of 2^bits values. */
export interface LayoutDim {
  readonly name: string;
  readonly bits: number;
}

/** A value for each dimension, by name; an absent one counts as 0. */
export type Point = Readonly<Record<string, number>>;

/** The input dimensions of a tile held by a block of threads, slowest first. */
export const WARP = "warp";
export const LANE = "lane";
export const REGISTER = "register";
/** `warp` and `lane` in one, for targets that know no warps. */
export const THREAD = "thread";
/** The one dimension of memory, in elements. */
export const OFFSET = "offset";

/** The name of axis `axis` of a tile. */
export function axisName(axis: number): string {
  return `dim${axis}`;
}

/** Dimensions dim0, dim1, ... of a tile of `shape`; every extent must be a power of two. */
export function tileDims(shape: readonly number[]): LayoutDim[] {
  return shape.map((size, axis) => ({ name: axisName(axis), bits: log2Exact(size, `extent ${axis} of [${shape}]`) }));
}

/** log2 of a power of two; an error that names `what` for anything else. */
export function log2Exact(size: number, what: string): number {
  const bits = 31 - Math.clz32(size);
  if (!Number.isInteger(size) || size < 1 || size > 2 ** MAX_BITS || size !== 1 << bits)
    throw layoutError("LAYOUT_NOT_A_POWER_OF_TWO", `${what} is ${size}; a layout needs powers of two: pad the tile`);
  return bits;
}

export function totalBits(dims: readonly LayoutDim[]): number {
  let bits = 0;
  for (const dim of dims) bits += dim.bits;
  return bits;
}

/** The place of dimension `index` in the packed integer: its lowest bit. */
export function shiftOf(dims: readonly LayoutDim[], index: number): number {
  let shift = 0;
  for (let i = index + 1; i < dims.length; i++) shift += dims[i].bits;
  return shift;
}

/** Packs a point; a value outside its dimension is an error. */
export function packPoint(dims: readonly LayoutDim[], point: Point): number {
  let packed = 0;
  for (const { name, bits } of dims) {
    const value = point[name] ?? 0;
    if (value >>> bits !== 0)
      throw layoutError("LAYOUT_OUT_OF_RANGE", `${name} = ${value} is outside the layout's ${1 << bits} values`);
    packed = (packed << bits) | value;
  }
  return packed;
}

/** The inverse of `packPoint`, as a list in the order of `dims`. */
export function unpackCoordinates(dims: readonly LayoutDim[], packed: number): number[] {
  const coordinates = new Array<number>(dims.length);
  let rest = packed;
  for (let i = dims.length - 1; i >= 0; i--) {
    coordinates[i] = rest & ((1 << dims[i].bits) - 1);
    rest >>>= dims[i].bits;
  }
  return coordinates;
}

/**
 * The permutation that repacks a vector of `from` as a vector of `to`, as a list of columns. Both must hold the same
 * dimensions; only the order may differ.
 */
export function repackColumns(from: readonly LayoutDim[], to: readonly LayoutDim[]): number[] {
  const columns: number[] = [];
  for (let i = from.length - 1; i >= 0; i--) {
    const target = to.findIndex((dim) => dim.name === from[i].name);
    const shift = target < 0 ? 0 : shiftOf(to, target);
    if (target < 0 || to[target].bits !== from[i].bits)
      throw layoutError("LAYOUT_DIMS_DIFFER", `dimensions ${describeDims(from)} and ${describeDims(to)} do not match`);
    for (let bit = 0; bit < from[i].bits; bit++) columns.push(1 << (shift + bit));
  }
  return columns;
}

/** The place of a dimension in the list; an error for one that it does not hold. */
export function indexOfDim(dims: readonly LayoutDim[], name: string): number {
  const index = dims.findIndex((dim) => dim.name === name);
  if (index < 0) throw layoutError("LAYOUT_UNKNOWN_DIM", `no dimension ${name} in ${describeDims(dims)}`);
  return index;
}

/** The dimensions of a product: shared ones grow, those of `slower` alone go first. */
export function joinDims(faster: readonly LayoutDim[], slower: readonly LayoutDim[]): LayoutDim[] {
  const bitsIn = (dims: readonly LayoutDim[], name: string): number => dims.find((dim) => dim.name === name)?.bits ?? 0;
  const own = slower.filter(({ name }) => !faster.some((dim) => dim.name === name));
  return [...own, ...faster.map(({ name, bits }) => ({ name, bits: bits + bitsIn(slower, name) }))];
}

/** For each packed bit of `part` its place among the bits of `whole`, above the bits that `below` has of the same dimension. */
export function placements(
  part: readonly LayoutDim[],
  whole: readonly LayoutDim[],
  below: readonly LayoutDim[] = [],
): number[] {
  const places: number[] = [];
  for (let i = part.length - 1; i >= 0; i--) {
    const { name, bits } = part[i];
    const start = shiftOf(whole, indexOfDim(whole, name)) + (below.find((dim) => dim.name === name)?.bits ?? 0);
    for (let bit = 0; bit < bits; bit++) places.push(start + bit);
  }
  return places;
}

export function sameDims(left: readonly LayoutDim[], right: readonly LayoutDim[]): boolean {
  return (
    left.length === right.length && left.every((dim, i) => dim.name === right[i].name && dim.bits === right[i].bits)
  );
}

export function describeDims(dims: readonly LayoutDim[]): string {
  return `(${dims.map((dim) => `${dim.name}: ${1 << dim.bits}`).join(", ")})`;
}

/** An error of the layout folder; the codes start with LAYOUT_. */
export function layoutError(code: `LAYOUT_${string}`, message: string): CompileError {
  return new CompileError(code, message);
}
