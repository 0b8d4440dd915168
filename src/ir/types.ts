/**
 * @file The types of Tile IR values. A tile is an immutable array of a static shape (every extent a power of two); a scalar is a
 * tile of rank 0. Pointers form tiles too. A view is a tensor in memory with a runtime shape and runtime strides.
 */

/** Element types. `bool` is one byte in memory, `i64` is exact, `f16` and `bf16` round to nearest even when stored to. */
export type DType = "bool" | "i8" | "i32" | "u32" | "i64" | "f16" | "bf16" | "f32";

export const dtypes: readonly DType[] = ["bool", "i8", "i32", "u32", "i64", "f16", "bf16", "f32"];

/** A tile of values. Rank 0 is a scalar. */
export interface TileType {
  readonly kind: "tile";
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A tile of addresses of elements of type `dtype`. Rank 0 is one pointer. */
export interface PointerType {
  readonly kind: "pointer";
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A tensor in memory: base address, `rank` sizes and `rank` strides (in elements), all known at run time only. */
export interface ViewType {
  readonly kind: "view";
  readonly dtype: DType;
  readonly rank: number;
}

export type ValueType = TileType | PointerType | ViewType;

export const tileType = (dtype: DType, shape: readonly number[] = []): TileType => ({ kind: "tile", dtype, shape });
export const pointerType = (dtype: DType, shape: readonly number[] = []): PointerType => ({
  kind: "pointer",
  dtype,
  shape,
});
export const viewType = (dtype: DType, rank: number): ViewType => ({ kind: "view", dtype, rank });

export const isFloat = (dtype: DType): boolean => dtype === "f16" || dtype === "bf16" || dtype === "f32";
export const isInteger = (dtype: DType): boolean =>
  dtype === "i8" || dtype === "i32" || dtype === "u32" || dtype === "i64";

/** Bytes of one element in memory. */
export const elementBytes: Readonly<Record<DType, number>> = {
  bool: 1,
  i8: 1,
  i32: 4,
  u32: 4,
  i64: 8,
  f16: 2,
  bf16: 2,
  f32: 4,
};

export const elementCount = (shape: readonly number[]): number =>
  shape.reduce((product, extent) => product * extent, 1);

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((extent, axis) => extent === b[axis]);

/** The shape of a tile or pointer tile; a view has none of its own. */
export const shapeOf = (type: ValueType): readonly number[] => (type.kind === "view" ? [] : type.shape);

export function sameType(a: ValueType, b: ValueType): boolean {
  if (a.kind !== b.kind || a.dtype !== b.dtype) return false;
  return a.kind === "view" ? a.rank === (b as ViewType).rank : sameShape(a.shape, (b as TileType).shape);
}

/** The text form: `f32`, `tile<64x32xf16>`, `ptr<f16>`, `tile<64xptr<f16>>`, `view<f16, 4>`. */
export function typeToString(type: ValueType): string {
  if (type.kind === "view") return `view<${type.dtype}, ${type.rank}>`;
  const element = type.kind === "pointer" ? `ptr<${type.dtype}>` : type.dtype;
  return type.shape.length === 0 ? element : `tile<${[...type.shape, element].join("x")}>`;
}
