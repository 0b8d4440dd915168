/**
 * @file `tl`: making tiles from nothing, where the program stands in the grid, and promises about values.
 */
import type { Value } from "../../ir/index.ts";
import { type GridExpression, type GridOperand, gridCdiv } from "../grid.ts";
import { checkDType, checkExtents, constant, elementwise, isPlain } from "../operands.ts";
import { operandOf, type Scalar, Tile, tileOf, tileValue } from "../tile.ts";
import { emit, fail } from "../trace-context.ts";
import type { Dim, DTypeLike, Shape } from "../types.ts";
import type { Index } from "../view.ts";

/** A tile of zeros (false for bool): `tl.zeros([BLOCK_M, HEAD_DIM], "f32")`. */
export const zeros = <const S extends Shape, T extends DTypeLike>(shape: S, dtype: T): Tile<T, S> =>
  tileOf(constant(checkDType(dtype) === "bool" ? false : 0, checkDType(dtype), checkExtents(shape, "zeros")));

/** A tile filled with one number; `[]` makes a scalar. `CONSTANT` when the dtype cannot hold the number. */
export const full = <const S extends Shape, T extends DTypeLike>(
  shape: S,
  value: number | bigint | boolean,
  dtype: T,
): Tile<T, S> => tileOf(constant(value, checkDType(dtype), checkExtents(shape, "full")));

/** Zeros of the dtype and shape of another tile. */
export const zerosLike = <T extends DTypeLike, S extends Shape>(tile: Tile<T, S>): Tile<T, S> =>
  zeros(tile.shape, tile.dtype);

/** The i32 values start, start + 1, ..., end - 1, as many as a power of two: `tl.arange(0, BLOCK_M)`. */
export function arange<const Start extends number, const End extends number>(
  start: Start,
  end: End,
): Tile<"i32", readonly [Start extends 0 ? End : number]> {
  for (const bound of [start, end] as unknown[])
    if (typeof bound !== "number")
      fail(
        "ARANGE",
        "arange needs numbers known while tracing: add a scalar to the result instead, tl.arange(0, N).add(x)",
      );
  checkExtents([end - start], "arange");
  return tileOf(emit("arange", [], { start, end }));
}

/** The index of this program along `axis` (0, 1 or 2) of the grid, an i32 scalar. */
export const programId = (axis: 0 | 1 | 2): Scalar<"i32"> => tileOf(emit("program_id", [], { axis }));

/** The number of programs along `axis` (0, 1 or 2) of the grid, an i32 scalar. */
export const numPrograms = (axis: 0 | 1 | 2): Scalar<"i32"> => tileOf(emit("num_programs", [], { axis }));

/** x, with the promise that every element is a multiple of `divisor`; lets loads be wide. The interpreter checks it. Integers. */
export const multipleOf = <T extends DTypeLike, S extends Shape>(x: Tile<T, S>, divisor: number): Tile<T, S> =>
  tileOf(emit("multiple_of", [tileValue(x, "the operand of multipleOf")], { divisor }));

/**
 * Names an extent that was computed from others, so that the editor can tell it apart: `const HALF = tl.dim("HALF", HEAD_DIM / 2)`.
 * Without a name it is a `number`, which fits no named extent.
 */
export const dim = <const Name extends string>(_name: Name, value: number): Dim<Name> => value as Dim<Name>;

/**
 * The smallest whole number that is at least a / b, for a >= 0 and b > 0: of numbers, of grid expressions (inside `grid`), or of i32
 * scalars (inside a body).
 */
export function cdiv(a: number, b: number): number;
export function cdiv(a: GridOperand, b: GridOperand): GridExpression;
export function cdiv(a: Index, b: Index): Scalar<"i32">;
export function cdiv(a: Index | GridOperand, b: Index | GridOperand): Scalar<"i32"> | GridOperand {
  if (!(a instanceof Tile || b instanceof Tile)) return gridCdiv(a as GridOperand, b as GridOperand);
  const [dividend, divisor] = [operandOf(a, "the first operand of cdiv"), operandOf(b, "the second operand of cdiv")];
  const most: number | Value = isPlain(divisor) ? Number(divisor) - 1 : elementwise("sub", [divisor, 1], "cdiv");
  return tileOf(elementwise("div", [elementwise("add", [dividend, most], "cdiv"), divisor], "cdiv"));
}
