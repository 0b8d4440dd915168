/**
 * @file What the result rules of operations check: kinds of types, dtypes, shapes, axes. Each throws an `IrError` that names what is wrong.
 */
import { IrError } from "../../support/errors.ts";
import type { Attributes } from "../ir.ts";
import {
  type DType,
  elementCount,
  isFloat,
  isInteger,
  type PointerType,
  sameType,
  type TileType,
  typeToString,
  type ValueType,
  type ViewType,
} from "../types.ts";

export const fail = (code: string, message: string): never => {
  throw new IrError(code, message);
};
export const show = (types: readonly ValueType[]): string => types.map(typeToString).join(", ");

export function tile(type: ValueType, what: string): TileType {
  return type.kind === "tile"
    ? type
    : fail("TYPE_MISMATCH", `${what} must be a tile or scalar, but is ${typeToString(type)}`);
}
export function pointer(type: ValueType, what: string): PointerType {
  return type.kind === "pointer"
    ? type
    : fail("TYPE_MISMATCH", `${what} must be a pointer, but is ${typeToString(type)}`);
}
export function view(type: ValueType, what: string): ViewType {
  return type.kind === "view"
    ? type
    : fail("TYPE_MISMATCH", `${what} must be a tensor view, but is ${typeToString(type)}`);
}
export function checkShape(shape: readonly number[]): void {
  for (const extent of shape)
    if (!Number.isInteger(extent) || extent < 1 || (extent & (extent - 1)) !== 0)
      fail("TILE_EXTENT", `tile extents must be powers of two, got [${shape.join(", ")}]`);
  if (elementCount(shape) > 1 << 20)
    fail("TILE_TOO_LARGE", `a tile of shape [${shape.join(", ")}] has more than 2^20 elements`);
}
export function sameOperands(types: readonly ValueType[]): ValueType {
  const first = types[0]!;
  for (const type of types)
    if (!sameType(first, type)) fail("TYPE_MISMATCH", `operands must have one shape and dtype, got ${show(types)}`);
  return first;
}
export function requireDtype(types: readonly ValueType[], accepts: (dtype: DType) => boolean, accepted: string): void {
  for (const type of types)
    if (type.kind !== "tile" || !accepts(type.dtype))
      fail("DTYPE", `operands must be ${accepted}, got ${typeToString(type)}`);
}
export function axisOf(attributes: Attributes, shape: readonly number[]): number {
  const axis = attributes.axis as number;
  if (!Number.isInteger(axis) || axis < 0 || axis >= shape.length)
    fail("AXIS", `axis ${axis} is out of range for shape [${shape.join(", ")}]`);
  return axis;
}
export function index(type: ValueType, what: string): void {
  if (type.kind !== "tile" || type.shape.length > 0 || type.dtype !== "i32")
    fail("TYPE_MISMATCH", `${what} must be an i32 scalar, but is ${typeToString(type)}`);
}
export const withoutAxis = (shape: readonly number[], axis: number): number[] => shape.filter((_, i) => i !== axis);

/** What a dtype must be: the rule, and how an error calls it. */
export type Accept = readonly [accepts: (dtype: DType) => boolean, accepted: string];
export const anyNumber: Accept = [(d) => d !== "bool", "numbers"];
export const floats: Accept = [isFloat, "floating point"];
export const f32Only: Accept = [(d) => d === "f32", "f32 (cast first: transcendental functions are computed in f32)"];
export const integers: Accept = [isInteger, "integers"];
export const wide: Accept = [
  (d) => d === "f32" || d === "i32" || d === "u32" || d === "i64",
  "f32, i32, u32 or i64 (cast first)",
];
export const bits: Accept = [(d) => isInteger(d) || d === "bool", "integers or bool"];
