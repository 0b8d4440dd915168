/**
 * @file Operations on IR values as the author means them: plain numbers become constants of the other operand's dtype, shapes broadcast,
 * dtypes never mix. No handles here: `tile.ts` and `tl/` wrap these.
 */
import {
  type ComparePredicate,
  type DType,
  dtypes,
  isFloat,
  isInteger,
  type Opcode,
  type PointerType,
  sameShape,
  shapeOf,
  type TileType,
  typeToString,
  type Value,
} from "../ir/index.ts";
import { roundToBf16, roundToF16 } from "../support/index.ts";
import { asOneCall, describeValue, emit, fail } from "./trace-context.ts";

/** What an author writes in the place of a value. */
export type Plain = number | bigint | boolean;
export type Operand = Plain | Value;

export const isPlain = (operand: unknown): operand is Plain =>
  typeof operand === "number" || typeof operand === "bigint" || typeof operand === "boolean";

/** "[64, 32]". An extent that is a handle must not be made text: it throws. */
export const shapeText = (shape: readonly unknown[]): string =>
  `[${shape.map((extent) => (typeof extent === "object" ? "a runtime value" : String(extent))).join(", ")}]`;

const rounding: Partial<Record<DType, (value: number) => number>> = {
  f32: Math.fround,
  f16: roundToF16,
  bf16: roundToBf16,
};

const integerRange: Partial<Record<DType, readonly [bigint, bigint]>> = {
  i8: [-(2n ** 7n), 2n ** 7n - 1n],
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  u32: [0n, 2n ** 32n - 1n],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** Throws unless `dtype` is one of the eight. */
export function checkDType(dtype: unknown): DType {
  if (!dtypes.includes(dtype as DType)) fail("DTYPE", `${String(dtype)} is not a dtype: use ${dtypes.join(", ")}`);
  return dtype as DType;
}

/** Throws unless `shape` is an array of powers of two; `what` opens the message. */
export function checkExtents(shape: readonly number[], what: string): readonly number[] {
  if (!Array.isArray(shape))
    fail("TILE_EXTENT", `${what}: the shape must be an array of numbers, such as [BLOCK_M, 64]`);
  for (const extent of shape)
    if (!Number.isInteger(extent) || extent < 1 || (extent & (extent - 1)) !== 0)
      fail(
        "TILE_EXTENT",
        `${what}: the extents of a tile must be powers of two known while tracing, got ${shapeText(shape)}; round up and mask, or load past the edge of a view (it reads 0)`,
      );
  return shape;
}

/** A plain value as `dtype`: rounded for floats; an error when an integer or bool cannot hold it, or a float overflows. */
export function constant(value: Plain, dtype: DType, shape: readonly number[] = []): Value {
  const attribute = representable(value, dtype);
  return emit("constant", [], { value: attribute, dtype, shape });
}

function representable(value: Plain, dtype: DType): Plain {
  if (dtype === "bool")
    return typeof value === "boolean" ? value : fail("CONSTANT", `${value} is no bool: use true or false`);
  if (typeof value === "boolean") return fail("CONSTANT", `${value} is a bool, but the other operand is ${dtype}`);
  if (isInteger(dtype)) {
    if (typeof value === "number" && !Number.isInteger(value))
      fail("CONSTANT", `${value} is not an integer, but the value is ${dtype}: convert the tile first, .to("f32")`);
    const [low, high] = integerRange[dtype]!;
    if (BigInt(value) < low || BigInt(value) > high)
      fail("CONSTANT", `${value} does not fit in ${dtype} (${low} to ${high})`);
    return dtype === "i64" ? BigInt(value) : Number(value);
  }
  const number = Number(value);
  const rounded = rounding[dtype]!(number);
  if (Number.isFinite(number) && !Number.isFinite(rounded)) fail("CONSTANT", `${number} overflows ${dtype}`);
  return rounded;
}

const tileTypeOf = (value: Value, what: string): TileType =>
  value.type.kind === "tile"
    ? value.type
    : fail("TYPE_MISMATCH", `${what} takes tiles and scalars, got ${describeValue(value)}; load from it first`);

/** The shape that two broadcast to; an error that shows both when they do not. */
export function broadcastShape(a: readonly number[], b: readonly number[], what: string): readonly number[] {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1)
      fail(
        "SHAPE_MISMATCH",
        `${what}: shapes ${shapeText(a)} and ${shapeText(b)} do not broadcast: axis ${axis} is ${left} and ${right}${a.length !== b.length ? " (shapes are aligned at the last axis; .perRow() makes [M] into [M, 1])" : ""}`,
      );
    shape.push(left === 1 ? right : left);
  }
  return shape;
}

/** `value` repeated to `shape`: new leading axes, and axes of extent 1. Throws when it does not fit. */
export function broadcastTo(value: Value, shape: readonly number[], what: string): Value {
  const from = shapeOf(value.type);
  if (sameShape(from, shape)) return value;
  if (from.length === 0) return emit("splat", [value], { shape });
  const aligned = [...Array<number>(Math.max(0, shape.length - from.length)).fill(1), ...from];
  if (aligned.length > shape.length || aligned.some((extent, axis) => extent !== 1 && extent !== shape[axis]))
    fail("SHAPE_MISMATCH", `${what}: shape ${shapeText(from)} cannot be repeated to ${shapeText(shape)}`);
  let result = value;
  for (let missing = from.length; missing < shape.length; missing++)
    result = emit("expand_dims", [result], { axis: 0 });
  return sameShape(shapeOf(result.type), shape) ? result : emit("broadcast", [result], { shape });
}

/** The one dtype of all operands that are no plain numbers, and the shape they broadcast to. */
function commonType(operands: readonly Operand[], what: string): { dtype: DType; shape: readonly number[] } {
  let dtype: DType | undefined;
  let shape: readonly number[] = [];
  for (const operand of operands) {
    if (isPlain(operand)) continue;
    const type = tileTypeOf(operand, what);
    if (dtype !== undefined && dtype !== type.dtype)
      fail("DTYPE_MISMATCH", `${what}: ${dtype} and ${type.dtype} do not mix: convert one of them, .to("${dtype}")`);
    dtype = type.dtype;
    shape = broadcastShape(shape, type.shape, what);
  }
  if (dtype === undefined)
    fail("NO_TILE", `${what}: all operands are plain numbers: compute with numbers, or make one a tile with tl.full`);
  return { dtype: dtype!, shape };
}

/** An operand as a value of this dtype and shape. */
const expanded = (operand: Operand, dtype: DType, shape: readonly number[], what: string): Value =>
  isPlain(operand) ? constant(operand, dtype, shape) : broadcastTo(operand, shape, what);

/** Operands as values of one dtype and shape. */
export function unify(operands: readonly Operand[], what: string): Value[] {
  const { dtype, shape } = commonType(operands, what);
  return operands.map((operand) => expanded(operand, dtype, shape, what));
}

/** An elementwise operation of one dtype. */
export const elementwise = (opcode: Opcode, operands: readonly Operand[], what: string = opcode): Value =>
  asOneCall(elementwise, () => emit(opcode, unify(operands, what)));

export const compare = (predicate: ComparePredicate, a: Operand, b: Operand): Value =>
  asOneCall(compare, () => emit("compare", unify([a, b], predicate), { predicate }));

function requireF32(x: Value, what: string): Value {
  const type = tileTypeOf(x, what);
  if (type.dtype !== "f32")
    fail("DTYPE", `${what} is computed in f32, got ${typeToString(type)}: convert first, .to("f32")`);
  return x;
}

/** A function that is computed in f32 only. */
export const transcendental = (opcode: Opcode, x: Value): Value => emit(opcode, [requireF32(x, opcode)]);

/** a times the reciprocal of b, which is taken before b is repeated: once a row where it is one number a row. */
export function fastQuotient(a: Operand, b: Operand): Value {
  for (const operand of [a, b]) if (!isPlain(operand)) requireF32(operand, "fdiv");
  const reciprocal = isPlain(b) ? Math.fround(1 / Number(b)) : emit("reciprocal", [b]);
  return a === 1 && !isPlain(reciprocal) ? reciprocal : elementwise("mul", [a, reciprocal], "fdiv");
}

/** `where(condition, a, b)`: all three broadcast. */
export function select(condition: Value, a: Operand, b: Operand): Value {
  const type = tileTypeOf(condition, "where");
  if (type.dtype !== "bool")
    fail("DTYPE", `where: the condition must be bool, got ${typeToString(type)}; compare it: .ne(0)`);
  const { dtype, shape } = commonType([a, b], "where");
  const full = broadcastShape(type.shape, shape, "where");
  return asOneCall(select, () =>
    emit("select", [
      broadcastTo(condition, full, "where"),
      expanded(a, dtype, full, "where"),
      expanded(b, dtype, full, "where"),
    ]),
  );
}

/** The value as `dtype`; itself when it is that already. */
export function cast(x: Value, dtype: DType): Value {
  checkDType(dtype);
  return tileTypeOf(x, "to").dtype === dtype ? x : emit("cast", [x], { dtype });
}

/** An i32 scalar from a number or an i32 scalar; `what` names it in errors. */
export function indexValue(operand: Operand, what: string): Value {
  if (isPlain(operand)) return constant(operand, "i32");
  const type = operand.type;
  if (type.kind !== "tile" || type.shape.length > 0 || type.dtype !== "i32")
    fail(
      "INDEX",
      `${what} must be a number or an i32 scalar, got ${describeValue(operand)}${type.kind === "tile" && type.shape.length === 0 ? ': convert it, .to("i32")' : ""}`,
    );
  return operand;
}

const reduces: Readonly<Record<string, string>> = { product: "prod" };

/** A reduction along `axis`, or over all elements when it is undefined. */
export function reduce(kind: string, x: Value, axis: number | undefined): Value {
  const what = reduces[kind] ?? kind;
  const type = tileTypeOf(x, what);
  const needsBits = kind === "and" || kind === "or" || kind === "xor";
  if (!needsBits && !["f32", "i32", "u32", "i64"].includes(type.dtype))
    fail(
      "DTYPE",
      `${what} works on f32, i32, u32 and i64, got ${typeToString(type)}: convert first, .to("${isFloat(type.dtype) ? "f32" : "i32"}")`,
    );
  if (axis !== undefined) return emit("reduce", [x], { axis: checkAxis(axis, type.shape, what), kind });
  if (type.shape.length === 0) return kind.startsWith("arg") ? constant(0, "i32") : x;
  // As one row: then each thread first combines all that it holds.
  const count = type.shape.reduce((product, extent) => product * extent, 1);
  const row = type.shape.length === 1 ? x : emit("reshape", [x], { shape: [count] });
  return emit("reduce", [row], { axis: 0, kind });
}

export function scan(kind: string, x: Value, axis: number, reverse: boolean): Value {
  const type = tileTypeOf(x, "scan");
  return emit("scan", [x], { axis: checkAxis(axis, type.shape, "scan"), kind, reverse });
}

/** Throws unless the axis exists. */
export function checkAxis(axis: number, shape: readonly number[], what: string): number {
  if (!Number.isInteger(axis) || axis < 0 || axis >= shape.length)
    fail("AXIS", `${what}: axis ${axis} does not exist in shape ${shapeText(shape)} (axes count from 0)`);
  return axis;
}

/** A mask or other value as the pointer tile wants it. */
export function alongPointer(operand: Operand, pointer: PointerType, dtype: DType, what: string): Value {
  if (!isPlain(operand)) {
    const type = tileTypeOf(operand, what);
    if (type.dtype !== dtype)
      fail("DTYPE_MISMATCH", `${what} must be ${dtype}, got ${typeToString(type)}: convert it, .to("${dtype}")`);
  }
  return expanded(operand, dtype, pointer.shape, what);
}
