/**
 * @file The values that a random kernel has so far, and how it comes by one of a wanted type. In exact mode every float is an integer
 * whose magnitude is bounded such that f32 (f16, bf16) holds it exactly: then sums, products and dots have one result in whatever
 * order a target computes them.
 */
import {
  type Builder,
  type DType,
  dtypes,
  elementCount,
  isFloat,
  sameShape,
  type TileType,
  type Value,
} from "../../src/ir/index.ts";
import type { Tape } from "./tape.ts";

export interface RandomValuesOptions {
  /** Element types to use; i32, f32 and bool always are. */
  readonly dtypes?: readonly DType[];
  /** Only what all targets must compute to the same bits. */
  readonly exact?: boolean;
  /** Extents M, N, K of dots. */
  readonly dotExtents?: readonly number[];
}

export interface Item {
  readonly value: Value;
  /** No element has a larger magnitude; infinity when nothing is known. */
  readonly bound: number;
}

export const shapeOfItem = ({ value }: Item): readonly number[] => (value.type as TileType).shape;
const largestTile = 256;
/** What loops carry is kept this small in exact mode. */
const carriedLimit = 8;

export class RandomValues {
  readonly builder: Builder;
  readonly tape: Tape;
  readonly exact: boolean;
  readonly dotExtents: readonly number[];
  readonly #dtypes: readonly DType[];
  readonly #items: Item[] = [];

  constructor(builder: Builder, tape: Tape, options: RandomValuesOptions) {
    this.builder = builder;
    this.tape = tape;
    this.exact = options.exact ?? false;
    this.dotExtents = options.dotExtents ?? [1, 2, 4, 8, 16];
    const allowed = new Set<DType>([...(options.dtypes ?? dtypes), "i32", "f32", "bool"]);
    this.#dtypes = (["i32", "f32", "f16", "bf16", "u32", "i8", "bool", "i64"] as const).filter((d) => allowed.has(d));
  }

  allows(dtype: DType): boolean {
    return this.#dtypes.includes(dtype);
  }

  dtype(): DType {
    return this.tape.pick(this.#dtypes);
  }

  /** A random shape that keeps tiles small. */
  shape(rank: number): number[] {
    const extents = rank > 2 ? [1, 2, 4] : [1, 2, 4, 8, 16];
    return Array.from({ length: rank }, () => this.tape.pick(extents));
  }

  fits(shape: readonly number[]): boolean {
    return elementCount(shape) <= largestTile;
  }

  /** The largest integer that a float dtype surely holds, with all smaller ones. */
  limit(dtype: DType): number {
    return dtype === "f16" ? 2 ** 11 : dtype === "bf16" ? 2 ** 8 : 2 ** 24;
  }

  push(value: Value, bound = Infinity): Item {
    const item = { value, bound };
    this.#items.push(item);
    return item;
  }

  recent(age: number): Item {
    return this.#items.at(-1 - (age % this.#items.length))!;
  }

  find(value: Value): Item | undefined {
    return this.#items.find((item) => item.value === value);
  }

  /** Any value, more likely a recent one. */
  any(): Item {
    const { length } = this.#items;
    return this.recent(Math.min(this.tape.next(length), this.tape.next(length), this.tape.next(length)));
  }

  /** Any value of a dtype, whatever its shape. */
  anyOf(dtype: DType): Item {
    const some = this.#items.filter(({ value }) => value.type.dtype === dtype);
    return some.length > 0
      ? some.at(-1 - this.tape.next(some.length))!
      : this.constant(dtype, this.shape(this.tape.next(3)));
  }

  /** Any value that has axes. */
  anyTile(): Item {
    const some = this.#items.filter((item) => shapeOfItem(item).length > 0);
    return some.at(-1 - this.tape.next(some.length))!;
  }

  /** A value of this dtype and shape: one that is there, a converted one, a repeated scalar, or a constant. */
  get(dtype: DType, shape: readonly number[]): Item {
    const there = this.#items.filter(
      ({ value }) => value.type.dtype === dtype && sameShape(shapeOfItem({ value, bound: 0 }), shape),
    );
    const way = this.tape.next(8);
    if (way < 5 && there.length > 0) return there.at(-1 - this.tape.next(there.length))!;
    if (way < 6) {
      const others = this.#items.filter((item) => sameShape(shapeOfItem(item), shape));
      if (others.length > 0) return this.cast(others.at(-1 - this.tape.next(others.length))!, dtype);
    }
    if (way < 7 && shape.length > 0) {
      const scalar = this.get(dtype, []);
      return this.push(this.splat(scalar.value, shape), scalar.bound);
    }
    return this.constant(dtype, shape);
  }

  constant(dtype: DType, shape: readonly number[]): Item {
    const n = this.tape.next(16);
    if (dtype === "bool") return this.push(this.builder.constant(n % 2 === 1, dtype, shape));
    const floats = this.exact
      ? [0, 1, 2, 3, 4, -1, -2, -3, -4]
      : [0, 1, -0, 2, 0.5, -1, -3, Infinity, -Infinity, Number.NaN, 0.25, -4];
    const integers = [0, 1, 2, 4, 8, 16, 3, 7, 100, 127];
    const value = isFloat(dtype) ? floats[n % floats.length]! : integers[n % integers.length]!;
    return this.push(this.builder.constant(value, dtype, shape), Math.abs(value));
  }

  splat(value: Value, shape: readonly number[]): Value {
    return shape.length === 0 ? value : this.builder.value("splat", [value], { shape });
  }

  /** 0, 1, 2, ... in row-major order. */
  iota(shape: readonly number[]): Value {
    const flat = this.builder.value("arange", [], { start: 0, end: elementCount(shape) });
    return shape.length === 1 ? flat : this.builder.value("reshape", [flat], { shape });
  }

  /** A scalar index moved into [0, size). */
  clampIndex(index: Value, size: number): Value {
    const b = this.builder;
    if (size === 1) return b.constant(0, "i32");
    return b.value("min", [b.value("max", [index, b.constant(0, "i32")]), b.constant(size - 1, "i32")]);
  }

  cast(item: Item, dtype: DType): Item {
    const from = item.value.type.dtype;
    if (from === dtype) return item;
    let source = item;
    if (this.exact && isFloat(dtype))
      source = from === "bool" ? { ...item, bound: 1 } : this.limited(item, this.limit(dtype));
    const bound = dtype === "bool" ? 1 : source.bound;
    return this.push(this.builder.value("cast", [source.value], { dtype }), isFloat(dtype) ? bound : Infinity);
  }

  /** A value of magnitude at most `limit`, at least 8: the item itself where it is known to be small. */
  limited(item: Item, limit: number): Item {
    if (item.bound <= limit) return item;
    const { dtype, shape } = item.value.type as TileType;
    const b = this.builder;
    if (!isFloat(dtype)) return { value: b.value("and", [item.value, b.constant(7, dtype, shape)]), bound: 7 };
    const low = b.value("max", [item.value, b.constant(-limit, dtype, shape)]);
    return { value: b.value("min", [low, b.constant(limit, dtype, shape)]), bound: limit };
  }

  carriedBound(dtype: DType): number {
    return this.exact && isFloat(dtype) ? carriedLimit : Infinity;
  }

  /** What a loop may carry: in exact mode, small floats. */
  carryable(item: Item): Item {
    const bound = this.carriedBound(item.value.type.dtype);
    return { value: bound < Infinity ? this.limited(item, bound).value : item.value, bound };
  }

  /** What is pushed while `fill` runs is forgotten after it. */
  scope(fill: () => void): void {
    const { length } = this.#items;
    fill();
    this.#items.length = length;
  }
}
