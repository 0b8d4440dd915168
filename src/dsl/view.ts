/**
 * @file `TensorView`: a tensor in memory as the kernel sees it: base address, sizes and strides, known at run time. Loads past an edge
 * read 0 and stores there write nothing, so a dense kernel needs no masks.
 */
import type { Value, ViewType } from "../ir/index.ts";
import { Handle } from "./handle.ts";
import { checkAxis, checkExtents, indexValue, shapeText } from "./operands.ts";
import { type Pointer, pointerOf } from "./pointer.ts";
import { operandOf, type Scalar, type Tile, tileOf, tileValue } from "./tile.ts";
import { asOneCall, checkOptions, describeValue, emit, emitOperation, fail } from "./trace-context.ts";
import type { DTypeLike, Shape } from "./types.ts";

/** An index into a tensor: a number, or an i32 scalar such as `tl.programId(0)`. */
export type Index = number | Scalar<"i32">;

/** The indices that a tensor of each rank takes. */
interface IndexLists {
  0: readonly [];
  1: readonly [Index];
  2: readonly [Index, Index];
  3: readonly [Index, Index, Index];
  4: readonly [Index, Index, Index, Index];
  5: readonly [Index, Index, Index, Index, Index];
  6: readonly [Index, Index, Index, Index, Index, Index];
}

/** One index for each axis. */
export type Indices<R extends number> = R extends keyof IndexLists ? IndexLists[R] : readonly Index[];

/** Row R, column n: R - n. */
type Differences = [[0], [1, 0], [2, 1, 0], [3, 2, 1, 0], [4, 3, 2, 1, 0], [5, 4, 3, 2, 1, 0], [6, 5, 4, 3, 2, 1, 0]];

/** The rank that is left after fixing as many axes as I has indices. */
export type RemainingRank<R extends number, I extends readonly unknown[]> = R extends keyof Differences
  ? I["length"] extends keyof Differences[R]
    ? Differences[R][I["length"]] & number
    : number
  : number;

/** Options of `TensorView.load` and `TensorView.store`. */
export interface WindowOptions {
  /**
   * A promise that along these axes of the tile nothing lies outside the tensor, which saves the check: a flag for each axis
   * (`[true, false]`), or the axes (`[0]`). The interpreter checks it. Default: none.
   */
  readonly inBounds?: readonly boolean[] | readonly number[];
}

/**
 * A tensor of rank R in memory. `p.q` of a parameter `q: tl.tensor("f16", 4)` is a `TensorView<"f16", 4>`. Strides are in elements.
 * Throws `VIEW_RANK` for a wrong number of indices, `DTYPE` for a tile of another dtype, and what `Tile` lists.
 */
export class TensorView<out T extends DTypeLike, out R extends number> extends Handle {
  readonly #fixed: readonly Value[];

  constructor(value: Value, fixed: readonly Value[] = []) {
    super(value);
    this.#fixed = fixed;
  }

  /** The dtype of the elements, to convert to: `tile.to(p.out.dtype)`. While tracing, the real one. */
  get dtype(): T {
    return this.value.type.dtype as T;
  }

  /** The number of axes. */
  get rank(): R {
    return ((this.value.type as ViewType).rank - this.#fixed.length) as R;
  }

  /** Fixes leading indices: `p.q.at(batch, head)` of a rank-4 tensor is a matrix. They must lie inside the tensor. */
  at<T extends DTypeLike, R extends number, const I extends readonly Index[]>(
    this: TensorView<T, R>,
    ...indices: I
  ): TensorView<T, RemainingRank<R, I>> {
    if (indices.length > this.rank)
      fail(
        "VIEW_RANK",
        `at: ${indices.length} indices are too many for ${this.#describe()}, which has rank ${this.rank}`,
      );
    return asOneCall(this.at, () => viewOf(this.value, [...this.#fixed, ...this.#indexValues(indices, "at")]));
  }

  /** The size along `axis`, as an i32 scalar. */
  shape(axis: number): Scalar<"i32"> {
    return tileOf(emit("view_size", [this.value], { axis: this.#axis(axis, "shape") }));
  }

  /** The stride along `axis` in elements, as an i64 scalar. */
  stride(axis: number): Scalar<"i64"> {
    return tileOf(emit("view_stride", [this.value], { axis: this.#axis(axis, "stride") }));
  }

  /** The address of the first element. */
  get pointer(): Pointer<T, readonly []> {
    let address = emit("view_pointer", [this.value]);
    for (const [axis, index] of this.#fixed.entries()) {
      const wide = emit("cast", [index], { dtype: "i64" });
      const offset = emit("mul", [wide, emit("view_stride", [this.value], { axis })]);
      address = emit("add_pointer", [address, offset]);
    }
    return pointerOf(address);
  }

  /**
   * Loads a tile that spans the last axes of the tensor, from `indices` (one an axis) on: `view.load([row, 0], [BLOCK_M, HEAD_DIM])`. Elements
   * outside the tensor are 0. Axes before the tile's are fixed by their index, which must lie inside. `[]` loads a scalar.
   */
  load<T extends DTypeLike, R extends number, const S extends Shape>(
    this: TensorView<T, R>,
    indices: Indices<R>,
    shape: S,
    options: WindowOptions = {},
  ): Tile<T, S> {
    checkExtents(shape, "load");
    return asOneCall(this.load, () => {
      const operands = [this.value, ...this.#window(indices, shape, "load")];
      return tileOf(emit("view_load", operands, { shape, inBounds: inBoundsFlags(options, shape, "load") }));
    });
  }

  /**
   * Stores a tile over the last axes of the tensor, from `indices` (one an axis) on. Elements outside the tensor are dropped. The tile must
   * have the tensor's dtype: `tile.to(p.out.dtype)`.
   */
  store<T extends DTypeLike, R extends number>(
    this: TensorView<T, R>,
    indices: Indices<R>,
    tile: Tile<NoInfer<T>, Shape>,
    options: WindowOptions = {},
  ): void {
    const value = tileValue(tile, "the stored value");
    if (tile.dtype !== this.dtype)
      fail(
        "DTYPE_MISMATCH",
        `store: a tile of ${tile.dtype} does not go into ${this.#describe()}: convert it, .to("${this.dtype}")`,
      );
    asOneCall(this.store, () => {
      const window = this.#window(indices, tile.shape, "store");
      emitOperation("view_store", [this.value, value, ...window], {
        inBounds: inBoundsFlags(options, tile.shape, "store"),
      });
    });
  }

  #describe(): string {
    return this.#fixed.length === 0
      ? describeValue(this.value)
      : `${describeValue(this.value)} with ${this.#fixed.length} axes fixed`;
  }

  #axis(axis: number, what: string): number {
    if (!Number.isInteger(axis) || axis < 0 || axis >= this.rank)
      fail(
        "AXIS",
        `${what}: axis ${axis} does not exist in ${this.#describe()} of rank ${this.rank} (axes count from 0)`,
      );
    return axis + this.#fixed.length;
  }

  #indexValues(indices: readonly Index[], what: string): Value[] {
    return indices.map((index, i) => indexValue(operandOf(index, `index ${i} of ${what}`), `index ${i} of ${what}`));
  }

  #window(indices: readonly Index[], shape: Shape, what: string): Value[] {
    if (indices.length !== this.rank)
      fail(
        "VIEW_RANK",
        `${what}: ${this.#describe()} has rank ${this.rank} and needs as many indices, got ${indices.length}`,
      );
    if (shape.length > this.rank)
      fail(
        "VIEW_RANK",
        `${what}: a tile of shape ${shapeText(shape)} has more axes than ${this.#describe()} of rank ${this.rank}`,
      );
    return [...this.#fixed, ...this.#indexValues(indices, what)];
  }
}

/** `inBounds` as one flag for each axis of the tile. */
function inBoundsFlags(options: WindowOptions, shape: Shape, what: string): boolean[] {
  checkOptions(options, { inBounds: true }, what);
  const { inBounds = [] } = options;
  const flags = inBounds as readonly (boolean | number)[];
  if (flags.length > 0 && flags.every((flag) => typeof flag === "boolean")) {
    if (flags.length !== shape.length)
      fail(
        "VIEW_RANK",
        `${what}: inBounds needs one flag for each of the ${shape.length} axes of the tile, got ${flags.length}`,
      );
    return [...(flags as readonly boolean[])];
  }
  for (const axis of flags) checkAxis(axis as number, shape, `${what}: inBounds`);
  return shape.map((_, axis) => flags.includes(axis));
}

/** A view handle whose type the caller states. */
export const viewOf = (value: Value, fixed: readonly Value[] = []): any => new TensorView(value, fixed);
