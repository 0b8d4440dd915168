/**
 * @file The one table of Tile IR operations: for each, its operands, attributes, result rule (which is its verifier too), effect and
 * traits. The builder, verifier, printer, parser, passes, interpreter and code generators are all driven by it.
 *
 * Operand names: `name?` may be missing (only from the end), `name...` stands for any number. Every elementwise operation takes
 * operands of one shape: the DSL inserts `splat` and `broadcast`.
 */
import { IrError } from "../support/errors.ts";
import type { Attribute, Attributes, Block } from "./ir.ts";
import {
  type DType,
  dtypes,
  elementBytes,
  elementCount,
  isFloat,
  isInteger,
  type PointerType,
  pointerType,
  sameShape,
  sameType,
  shapeOf,
  type TileType,
  tileType,
  typeToString,
  type ValueType,
  type ViewType,
} from "./types.ts";

/** How an attribute is checked and printed: a kind, or the list of the words it may be. */
export type AttributeKind = "int" | "ints" | "bools" | "bool" | "number" | "string" | "dtype" | readonly string[];

/**
 * `none`: pure, may be duplicated, moved and dropped. `read`: pure but for memory. `write`: changes memory. `debug`: print and assert.
 * `control`: owns blocks; its effect is theirs. `terminator`: ends a block.
 */
export type Effect = "none" | "read" | "write" | "debug" | "control" | "terminator";

export interface OpDefinition {
  readonly summary: string;
  readonly operands: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeKind>>;
  readonly effect: Effect;
  /** Element i of the result depends only on elements i of the operands, all of one shape. */
  readonly elementwise?: true;
  /** Each element of a result is an element of an operand: it computes nothing. */
  readonly rearranges?: true;
  readonly commutative?: true;
  /** Number of blocks owned. */
  readonly blocks?: number;
  /** The result types; throws `IrError` when operands or attributes break a rule. */
  infer(operands: readonly ValueType[], attributes: Attributes, blocks: readonly Block[]): readonly ValueType[];
}

export const reduceKinds = ["sum", "product", "max", "min", "and", "or", "xor", "argmax", "argmin"] as const;
export type ReduceKind = (typeof reduceKinds)[number];
export const scanKinds = ["sum", "product", "max", "min"] as const;
export type ScanKind = (typeof scanKinds)[number];
export const comparePredicates = ["eq", "ne", "lt", "le", "gt", "ge"] as const;
export type ComparePredicate = (typeof comparePredicates)[number];
export const atomicKinds = ["add", "max", "min", "and", "or", "xor", "exchange"] as const;
export type AtomicKind = (typeof atomicKinds)[number];
/** The dtype in which a dot of operands of `dtype` adds up. */
export const dotResult = (dtype: DType): "i32" | "f32" => (dtype === "i8" ? "i32" : "f32");
/** `ieee`: f32 products of f32 operands; `tf32`: operands rounded to tf32 where the target has such an instruction. */
export const dotPrecisions = ["ieee", "tf32"] as const;

const fail = (code: string, message: string): never => {
  throw new IrError(code, message);
};
const show = (types: readonly ValueType[]): string => types.map(typeToString).join(", ");

function tile(type: ValueType, what: string): TileType {
  return type.kind === "tile"
    ? type
    : fail("TYPE_MISMATCH", `${what} must be a tile or scalar, but is ${typeToString(type)}`);
}
function pointer(type: ValueType, what: string): PointerType {
  return type.kind === "pointer"
    ? type
    : fail("TYPE_MISMATCH", `${what} must be a pointer, but is ${typeToString(type)}`);
}
function view(type: ValueType, what: string): ViewType {
  return type.kind === "view"
    ? type
    : fail("TYPE_MISMATCH", `${what} must be a tensor view, but is ${typeToString(type)}`);
}
function checkShape(shape: readonly number[]): void {
  for (const extent of shape)
    if (!Number.isInteger(extent) || extent < 1 || (extent & (extent - 1)) !== 0)
      fail("TILE_EXTENT", `tile extents must be powers of two, got [${shape.join(", ")}]`);
  if (elementCount(shape) > 1 << 20)
    fail("TILE_TOO_LARGE", `a tile of shape [${shape.join(", ")}] has more than 2^20 elements`);
}
function sameOperands(types: readonly ValueType[]): ValueType {
  const first = types[0]!;
  for (const type of types)
    if (!sameType(first, type)) fail("TYPE_MISMATCH", `operands must have one shape and dtype, got ${show(types)}`);
  return first;
}
function requireDtype(types: readonly ValueType[], accepts: (dtype: DType) => boolean, accepted: string): void {
  for (const type of types)
    if (type.kind !== "tile" || !accepts(type.dtype))
      fail("DTYPE", `operands must be ${accepted}, got ${typeToString(type)}`);
}
function axisOf(attributes: Attributes, shape: readonly number[]): number {
  const axis = attributes.axis as number;
  if (!Number.isInteger(axis) || axis < 0 || axis >= shape.length)
    fail("AXIS", `axis ${axis} is out of range for shape [${shape.join(", ")}]`);
  return axis;
}
function index(type: ValueType, what: string): void {
  if (type.kind !== "tile" || type.shape.length > 0 || type.dtype !== "i32")
    fail("TYPE_MISMATCH", `${what} must be an i32 scalar, but is ${typeToString(type)}`);
}
const withoutAxis = (shape: readonly number[], axis: number): number[] => shape.filter((_, i) => i !== axis);
const numeric = (dtype: DType): boolean => dtype !== "bool";

type Accept = readonly [accepts: (dtype: DType) => boolean, accepted: string];
const anyNumber: Accept = [numeric, "numbers"];
const floats: Accept = [isFloat, "floating point"];
const f32Only: Accept = [(d) => d === "f32", "f32 (cast first: transcendental functions are computed in f32)"];
const integers: Accept = [isInteger, "integers"];
const wide: Accept = [
  (d) => d === "f32" || d === "i32" || d === "u32" || d === "i64",
  "f32, i32, u32 or i64 (cast first)",
];
const bits: Accept = [(d) => isInteger(d) || d === "bool", "integers or bool"];

function elementwise(
  summary: string,
  operands: string[],
  [accepts, accepted]: Accept,
  more: { commutative?: true } = {},
): OpDefinition {
  return {
    summary,
    operands,
    attributes: {},
    effect: "none",
    elementwise: true,
    ...more,
    infer(types) {
      requireDtype(types, accepts, accepted);
      return [sameOperands(types)];
    },
  };
}
const unary = (summary: string, accept: Accept) => elementwise(summary, ["x"], accept);
const binary = (summary: string, accept: Accept, more: { commutative?: true } = {}) =>
  elementwise(summary, ["a", "b"], accept, more);

/** Shared rule of `load`, `store` and atomics: a mask has the pointer's shape. */
function checkMask(address: PointerType, mask: ValueType | undefined): void {
  if (mask && !sameType(mask, tileType("bool", address.shape)))
    fail(
      "TYPE_MISMATCH",
      `the mask must be ${typeToString(tileType("bool", address.shape))}, but is ${typeToString(mask)}`,
    );
}
function checkElement(address: PointerType, value: ValueType, what: string): void {
  if (!sameType(value, tileType(address.dtype, address.shape)))
    fail(
      "TYPE_MISMATCH",
      `${what} must be ${typeToString(tileType(address.dtype, address.shape))}, but is ${typeToString(value)}`,
    );
}
/** Shared rule of `view_load` and `view_store`: one i32 index a dimension, a tile that spans the last dimensions. */
function checkWindow(
  v: ViewType,
  indices: readonly ValueType[],
  shape: readonly number[],
  inBounds: readonly boolean[],
): void {
  if (indices.length !== v.rank) fail("VIEW_RANK", `${typeToString(v)} needs ${v.rank} indices, got ${indices.length}`);
  for (const [i, type] of indices.entries()) index(type, `index ${i}`);
  if (shape.length > v.rank) fail("VIEW_RANK", `a tile of rank ${shape.length} does not fit in ${typeToString(v)}`);
  if (inBounds.length !== shape.length)
    fail("VIEW_RANK", `inBounds needs one flag for each of the ${shape.length} tile axes`);
  checkShape(shape);
}

function yieldedTypes(block: Block | undefined): readonly ValueType[] {
  const last = block?.operations.at(-1);
  return last?.opcode === "yield"
    ? last.operands.map((value) => value.type)
    : fail("TERMINATOR", "a block of loop or if must end with yield");
}
function checkSameTypes(actual: readonly ValueType[], expected: readonly ValueType[], what: string): void {
  if (actual.length !== expected.length || !actual.every((type, i) => sameType(type, expected[i]!)))
    fail("TYPE_MISMATCH", `${what}: expected (${show(expected)}), got (${show(actual)})`);
}

const table = {
  // --- values -----------------------------------------------------------------------------------------------------------------
  constant: {
    summary: "A tile filled with one value. bool: true or false; i64: a bigint; others: a number",
    operands: [],
    attributes: { value: "number", dtype: "dtype", shape: "ints" },
    effect: "none",
    infer(_, { value, dtype, shape }) {
      checkShape(shape as number[]);
      const wanted = dtype === "bool" ? "boolean" : dtype === "i64" ? "bigint" : "number";
      if (typeof value !== wanted) fail("CONSTANT", `a constant of ${dtype} must be a ${wanted}, got ${String(value)}`);
      if (isInteger(dtype as DType)) checkIntegerRange(value as number | bigint, dtype as DType);
      return [tileType(dtype as DType, shape as number[])];
    },
  },
  program_id: {
    summary: "Index of this program along axis 0, 1 or 2 of the grid",
    operands: [],
    attributes: { axis: "int" },
    effect: "none",
    infer: gridAxis,
  },
  num_programs: {
    summary: "Number of programs along axis 0, 1 or 2 of the grid",
    operands: [],
    attributes: { axis: "int" },
    effect: "none",
    infer: gridAxis,
  },
  arange: {
    summary: "The i32 values start, start + 1, ..., end - 1",
    operands: [],
    attributes: { start: "int", end: "int" },
    effect: "none",
    infer(_, { start, end }) {
      const shape = [(end as number) - (start as number)];
      checkShape(shape);
      return [tileType("i32", shape)];
    },
  },

  // --- shape ------------------------------------------------------------------------------------------------------------------
  splat: {
    summary: "A tile filled with a scalar (or pointer)",
    operands: ["x"],
    attributes: { shape: "ints" },
    effect: "none",
    rearranges: true,
    infer([x], { shape }) {
      if (x!.kind === "view" || x!.shape.length > 0)
        fail("TYPE_MISMATCH", `splat takes a scalar, got ${typeToString(x!)}`);
      checkShape(shape as number[]);
      return [{ ...(x as TileType), shape: shape as number[] }];
    },
  },
  broadcast: {
    summary: "Repeats along every axis of extent 1 to reach `shape`; the rank stays",
    operands: ["x"],
    attributes: { shape: "ints" },
    effect: "none",
    rearranges: true,
    infer([x], { shape }) {
      const to = shape as number[];
      const from = shapeOf(x!);
      if (
        x!.kind === "view" ||
        from.length !== to.length ||
        !from.every((extent, i) => extent === to[i] || extent === 1)
      )
        fail("BROADCAST", `${typeToString(x!)} does not broadcast to [${to.join(", ")}]`);
      checkShape(to);
      return [{ ...(x as TileType), shape: to }];
    },
  },
  expand_dims: {
    summary: "Inserts an axis of extent 1 before `axis`",
    operands: ["x"],
    attributes: { axis: "int" },
    effect: "none",
    rearranges: true,
    infer([x], { axis }) {
      const shape = shapeOf(x!);
      const at = axis as number;
      if (x!.kind === "view" || at < 0 || at > shape.length)
        fail("AXIS", `cannot insert axis ${at} into ${typeToString(x!)}`);
      return [{ ...(x as TileType), shape: [...shape.slice(0, at), 1, ...shape.slice(at)] }];
    },
  },
  reshape: {
    summary: "The same elements in row-major order under another shape",
    operands: ["x"],
    attributes: { shape: "ints" },
    effect: "none",
    rearranges: true,
    infer([x], { shape }) {
      const to = shape as number[];
      checkShape(to);
      if (x!.kind === "view" || elementCount(shapeOf(x!)) !== elementCount(to))
        fail("RESHAPE", `${typeToString(x!)} cannot be reshaped to [${to.join(", ")}]`);
      return [{ ...(x as TileType), shape: to }];
    },
  },
  trans: {
    summary: "Permutes axes: axis i of the result is axis permutation[i] of x",
    operands: ["x"],
    attributes: { permutation: "ints" },
    effect: "none",
    rearranges: true,
    infer([x], { permutation }) {
      const order = permutation as number[];
      const shape = shapeOf(x!);
      if (x!.kind === "view" || [...order].sort((a, b) => a - b).join() !== shape.map((_, i) => i).join())
        fail("AXIS", `[${order.join(", ")}] is not a permutation of the axes of ${typeToString(x!)}`);
      return [{ ...(x as TileType), shape: order.map((axis) => shape[axis]!) }];
    },
  },
  join: {
    summary: "Joins two tiles along a new last axis of extent 2",
    operands: ["a", "b"],
    attributes: {},
    effect: "none",
    rearranges: true,
    infer(types) {
      const type = tile(sameOperands(types), "an operand of join");
      return [tileType(type.dtype, [...type.shape, 2])];
    },
  },
  split: {
    summary: "Splits a tile whose last axis has extent 2 into the tiles at index 0 and 1",
    operands: ["x"],
    attributes: {},
    effect: "none",
    rearranges: true,
    infer([x]) {
      const type = tile(x!, "the operand of split");
      if (type.shape.at(-1) !== 2) fail("SPLIT", `split needs a last axis of extent 2, got ${typeToString(type)}`);
      const half = tileType(type.dtype, type.shape.slice(0, -1));
      return [half, half];
    },
  },

  // --- arithmetic -------------------------------------------------------------------------------------------------------------
  neg: unary("-x", anyNumber),
  abs: unary("|x|", anyNumber),
  floor: unary("Largest integral value that is at most x", floats),
  ceil: unary("Smallest integral value that is at least x", floats),
  sqrt: unary("Square root", f32Only),
  rsqrt: unary("1 / sqrt(x)", f32Only),
  exp: unary("e^x", f32Only),
  exp2: unary("2^x; 0 for -inf", f32Only),
  log: unary("Natural logarithm; -inf for 0", f32Only),
  log2: unary("Logarithm to base 2; -inf for 0", f32Only),
  sin: unary("Sine of x in radians", f32Only),
  cos: unary("Cosine of x in radians", f32Only),
  tanh: unary("Hyperbolic tangent", f32Only),
  not: unary("Bitwise complement; logical for bool", bits),
  add: binary("a + b; integers wrap", anyNumber, { commutative: true }),
  sub: binary("a - b; integers wrap", anyNumber),
  mul: binary("a * b; integers wrap", anyNumber, { commutative: true }),
  div: binary("a / b; integers truncate towards zero", anyNumber),
  rem: binary("a - b * trunc(a / b): the sign of a", anyNumber),
  min: binary("The smaller; if one operand is NaN, the other", anyNumber, { commutative: true }),
  max: binary("The larger; if one operand is NaN, the other", anyNumber, { commutative: true }),
  and: binary("Bitwise and; logical for bool", bits, { commutative: true }),
  or: binary("Bitwise or; logical for bool", bits, { commutative: true }),
  xor: binary("Bitwise exclusive or; logical for bool", bits, { commutative: true }),
  shl: binary("a << b for 0 <= b < width", integers),
  shr: binary("a >> b for 0 <= b < width: arithmetic for signed, logical for u32", integers),
  umulhi: binary("High 32 bits of the 64-bit product", [(d) => d === "u32", "u32"], { commutative: true }),
  fma: elementwise("a * b + c, rounded once", ["a", "b", "c"], floats),
  compare: {
    summary: "a <predicate> b. Comparisons with NaN are false, except ne",
    operands: ["a", "b"],
    attributes: { predicate: comparePredicates },
    effect: "none",
    elementwise: true,
    infer(types) {
      const type = tile(sameOperands(types), "an operand of compare");
      return [tileType("bool", type.shape)];
    },
  },
  select: {
    summary: "Where condition: a, else b",
    operands: ["condition", "a", "b"],
    attributes: {},
    effect: "none",
    elementwise: true,
    infer([condition, a, b]) {
      const type = sameOperands([a!, b!]);
      if (type.kind === "view") fail("TYPE_MISMATCH", `select takes tiles and pointers, got ${typeToString(type)}`);
      if (!sameType(condition!, tileType("bool", shapeOf(type))))
        fail(
          "TYPE_MISMATCH",
          `the condition of ${typeToString(type)} must be bool of the same shape, but is ${typeToString(condition!)}`,
        );
      return [type];
    },
  },
  cast: {
    summary:
      "Converts the value. To a float: round to nearest even. Float to integer: towards zero, saturating, NaN to 0. To bool: x != 0",
    operands: ["x"],
    attributes: { dtype: "dtype" },
    effect: "none",
    elementwise: true,
    infer([x], { dtype }) {
      return [tileType(dtype as DType, tile(x!, "the operand of cast").shape)];
    },
  },
  bitcast: {
    summary: "The same bits as another dtype of the same size",
    operands: ["x"],
    attributes: { dtype: "dtype" },
    effect: "none",
    elementwise: true,
    infer([x], { dtype }) {
      const type = tile(x!, "the operand of bitcast");
      if (elementBytes[type.dtype] !== elementBytes[dtype as DType] || type.dtype === "bool" || dtype === "bool")
        fail("BITCAST", `${type.dtype} cannot be bit-cast to ${dtype}: sizes differ, or bool`);
      return [tileType(dtype as DType, type.shape)];
    },
  },
  multiple_of: {
    summary: "x, with the author's promise that every element is a multiple of `divisor` (the interpreter checks it)",
    operands: ["x"],
    attributes: { divisor: "int" },
    effect: "none",
    elementwise: true,
    infer([x], { divisor }) {
      requireDtype([x!], ...integers);
      if ((divisor as number) < 1) fail("DIVISOR", `a divisor must be positive, got ${divisor}`);
      return [x!];
    },
  },

  convert_layout: {
    summary:
      "x, held by the threads in another way. Made by layout assignment, which keeps the layouts beside the IR; never by the DSL",
    operands: ["x"],
    attributes: {},
    effect: "none",
    rearranges: true,
    infer: ([x]) => [x!],
  },

  // --- across elements --------------------------------------------------------------------------------------------------------
  dot: {
    summary: "accumulator + a·b: [M, K] and [K, N] of one float dtype, in f32; or of i8, in i32, which wraps",
    operands: ["a", "b", "accumulator"],
    attributes: { precision: dotPrecisions },
    effect: "none",
    infer([a, b, c]) {
      const [left, right] = [tile(a!, "a"), tile(b!, "b")];
      if (left.shape.length !== 2 || right.shape.length !== 2 || left.shape[1] !== right.shape[0])
        fail("DOT_SHAPE", `dot needs [M, K] and [K, N], got ${show([left, right])}`);
      if (left.dtype !== right.dtype || !(isFloat(left.dtype) || left.dtype === "i8"))
        fail("DTYPE", `dot needs two tiles of one float dtype, or of i8, got ${show([left, right])}`);
      const result = tileType(dotResult(left.dtype), [left.shape[0]!, right.shape[1]!]);
      if (!sameType(c!, result))
        fail("TYPE_MISMATCH", `the accumulator of dot must be ${typeToString(result)}, but is ${typeToString(c!)}`);
      return [result];
    },
  },
  reduce: {
    summary:
      "Reduces along `axis`, which disappears. argmax, argmin: the i32 index of the first extreme. f16 and bf16: cast first",
    operands: ["x"],
    attributes: { axis: "int", kind: reduceKinds },
    effect: "none",
    infer([x], attributes) {
      const type = tile(x!, "the operand of reduce");
      const axis = axisOf(attributes, type.shape);
      const kind = attributes.kind as ReduceKind;
      requireDtype([type], ...(kind === "and" || kind === "or" || kind === "xor" ? bits : wide));
      return [tileType(kind === "argmax" || kind === "argmin" ? "i32" : type.dtype, withoutAxis(type.shape, axis))];
    },
  },
  gather: {
    summary:
      "Elements of x by i32 indices along `axis`, each within the axis; along the others, which are alike, each stays where it is",
    operands: ["x", "indices"],
    attributes: { axis: "int" },
    effect: "none",
    infer([x, indices], attributes) {
      const [from, at] = [tile(x!, "x"), tile(indices!, "the indices")];
      const axis = axisOf(attributes, from.shape);
      if (at.dtype !== "i32") fail("DTYPE", `the indices of gather must be i32, got ${typeToString(at)}`);
      if (
        at.shape.length !== from.shape.length ||
        !sameShape(withoutAxis(at.shape, axis), withoutAxis(from.shape, axis))
      )
        fail("GATHER_SHAPE", `x and the indices of gather may differ along axis ${axis} only, got ${show([from, at])}`);
      return [tileType(from.dtype, at.shape)];
    },
  },
  histogram: {
    summary: "How many elements of the i32 row x are 0, 1, ..., bins - 1; others are not counted",
    operands: ["x"],
    attributes: { bins: "int" },
    effect: "none",
    infer([x], { bins }) {
      const type = tile(x!, "the operand of histogram");
      if (type.dtype !== "i32") fail("DTYPE", `histogram counts i32, got ${typeToString(type)}`);
      if (type.shape.length !== 1)
        fail("HISTOGRAM_SHAPE", `histogram takes a tile of one axis, got ${typeToString(type)}`);
      checkShape([bins as number]);
      return [tileType("i32", [bins as number])];
    },
  },
  scan: {
    summary: "Inclusive scan along `axis`, from the end if `reverse`",
    operands: ["x"],
    attributes: { axis: "int", kind: scanKinds, reverse: "bool" },
    effect: "none",
    infer([x], attributes) {
      const type = tile(x!, "the operand of scan");
      axisOf(attributes, type.shape);
      requireDtype([type], ...wide);
      return [type];
    },
  },

  // --- memory -----------------------------------------------------------------------------------------------------------------
  add_pointer: {
    summary: "The address `offset` elements further; the arithmetic is wide enough for any tensor of the target",
    operands: ["pointer", "offset"],
    attributes: {},
    effect: "none",
    elementwise: true,
    infer([p, offset]) {
      const address = pointer(p!, "the first operand of add_pointer");
      if (
        offset!.kind !== "tile" ||
        !["i32", "u32", "i64"].includes(offset!.dtype) ||
        !sameShape(offset!.shape, address.shape)
      )
        fail(
          "TYPE_MISMATCH",
          `the offset of ${typeToString(address)} must be an i32, u32 or i64 tile of the same shape, but is ${typeToString(offset!)}`,
        );
      return [address];
    },
  },
  load: {
    summary: "Reads where the mask is true; elsewhere `other`, or 0",
    operands: ["pointer", "mask?", "other?"],
    attributes: {},
    effect: "read",
    infer([p, mask, other]) {
      const address = pointer(p!, "the operand of load");
      checkMask(address, mask);
      if (other) checkElement(address, other, "other");
      return [tileType(address.dtype, address.shape)];
    },
  },
  store: {
    summary: "Writes where the mask is true",
    operands: ["pointer", "value", "mask?"],
    attributes: {},
    effect: "write",
    infer([p, value, mask]) {
      const address = pointer(p!, "the first operand of store");
      checkElement(address, value!, "the stored value");
      checkMask(address, mask);
      return [];
    },
  },
  atomic_rmw: {
    summary:
      "Reads, combines and writes each element as one step; gives the old values. i32, u32; f32 for add and exchange",
    operands: ["pointer", "value", "mask?"],
    attributes: { kind: atomicKinds },
    effect: "write",
    infer([p, value, mask], { kind }) {
      const address = pointer(p!, "the first operand of atomic_rmw");
      checkElement(address, value!, "the value");
      checkMask(address, mask);
      const float = address.dtype === "f32" && (kind === "add" || kind === "exchange");
      if (!float && address.dtype !== "i32" && address.dtype !== "u32")
        fail("DTYPE", `atomic ${kind} works on i32 and u32 (f32: add, exchange), not on ${address.dtype}`);
      return [tileType(address.dtype, address.shape)];
    },
  },
  atomic_cas: {
    summary: "Where memory equals `expected`, writes `value`, as one step; gives the old values. i32, u32",
    operands: ["pointer", "expected", "value"],
    attributes: {},
    effect: "write",
    infer([p, expected, value]) {
      const address = pointer(p!, "the first operand of atomic_cas");
      checkElement(address, expected!, "the expected value");
      checkElement(address, value!, "the new value");
      if (address.dtype !== "i32" && address.dtype !== "u32")
        fail("DTYPE", `atomic_cas works on i32 and u32, not on ${address.dtype}`);
      return [tileType(address.dtype, address.shape)];
    },
  },
  make_view: {
    summary:
      "A view from a pointer, sizes (i32) and strides (i32 or i64, elements): the operands are pointer, sizes..., strides...",
    operands: ["pointer", "sizesAndStrides..."],
    attributes: { rank: "int" },
    effect: "none",
    infer([p, ...rest], { rank }) {
      const address = pointer(p!, "the first operand of make_view");
      const r = rank as number;
      if (address.shape.length > 0 || rest.length !== 2 * r)
        fail("VIEW_RANK", `make_view of rank ${r} needs one pointer, ${r} sizes and ${r} strides`);
      for (const [i, type] of rest.entries())
        if (type.kind !== "tile" || type.shape.length > 0 || (type.dtype !== "i32" && (i < r || type.dtype !== "i64")))
          fail(
            "TYPE_MISMATCH",
            `${i < r ? `size ${i}` : `stride ${i - r}`} must be an i32 scalar, but is ${typeToString(type)}`,
          );
      return [{ kind: "view", dtype: address.dtype, rank: r }];
    },
  },
  view_pointer: {
    summary: "The base address of a view",
    operands: ["view"],
    attributes: {},
    effect: "none",
    infer: ([v]) => [pointerType(view(v!, "the operand").dtype)],
  },
  view_size: {
    summary: "The size of a view along `axis`, i32",
    operands: ["view"],
    attributes: { axis: "int" },
    effect: "none",
    infer([v], attributes) {
      checkViewAxis(v!, attributes);
      return [tileType("i32")];
    },
  },
  view_stride: {
    summary: "The stride of a view along `axis` in elements, i64",
    operands: ["view"],
    attributes: { axis: "int" },
    effect: "none",
    infer([v], attributes) {
      checkViewAxis(v!, attributes);
      return [tileType("i64")];
    },
  },
  view_load: {
    summary:
      "Loads a tile that spans the last axes of the view from the given indices; elements outside the view are 0. inBounds: tile axes along which the author promises that nothing is outside. Leading indices must be inside",
    operands: ["view", "indices..."],
    attributes: { shape: "ints", inBounds: "bools" },
    effect: "read",
    infer([v, ...indices], { shape, inBounds }) {
      const type = view(v!, "the first operand of view_load");
      checkWindow(type, indices, shape as number[], inBounds as boolean[]);
      return [tileType(type.dtype, shape as number[])];
    },
  },
  view_store: {
    summary:
      "Stores a tile over the last axes of the view from the given indices; elements outside the view are dropped. inBounds as in view_load",
    operands: ["view", "value", "indices..."],
    attributes: { inBounds: "bools" },
    effect: "write",
    infer([v, value, ...indices], { inBounds }) {
      const type = view(v!, "the first operand of view_store");
      const stored = tile(value!, "the stored value");
      checkWindow(type, indices, stored.shape, inBounds as boolean[]);
      if (stored.dtype !== type.dtype)
        fail(
          "DTYPE",
          `cannot store ${typeToString(stored)} into ${typeToString(type)}: cast it with .to("${type.dtype}")`,
        );
      return [];
    },
  },

  // --- debugging --------------------------------------------------------------------------------------------------------------
  print: {
    summary: "Prints the prefix, the program id and the values",
    operands: ["values..."],
    attributes: { prefix: "string" },
    effect: "debug",
    infer: () => [],
  },
  assert: {
    summary: "Reports `message` with the program id where an element of the condition is false",
    operands: ["condition"],
    attributes: { message: "string" },
    effect: "debug",
    infer([condition]) {
      requireDtype([condition!], (d) => d === "bool", "bool");
      return [];
    },
  },

  // --- control ----------------------------------------------------------------------------------------------------------------
  loop: {
    summary:
      "for (i = from; i < to; i += step) with carried values. The block takes (i, ...carried) and yields the next ones, and then, if it likes, a bool: where that is false, no turn follows. The results are the last ones",
    operands: ["from", "to", "step", "initial..."],
    attributes: {},
    effect: "control",
    blocks: 1,
    infer([from, to, step, ...initial], _, blocks) {
      for (const [what, type] of Object.entries({ from, to, step })) index(type!, what);
      checkSameTypes(
        blocks[0]!.parameters.map((value) => value.type),
        [tileType("i32"), ...initial],
        "the parameters of a loop's block",
      );
      const yielded = yieldedTypes(blocks[0]);
      const conditional = yielded.length === initial.length + 1 ? [tileType("bool")] : [];
      checkSameTypes(yielded, [...initial, ...conditional], "the values yielded by a loop");
      return initial;
    },
  },
  if: {
    summary:
      "Runs the first block where the scalar condition is true, else the second; the results are what that block yields",
    operands: ["condition"],
    attributes: {},
    effect: "control",
    blocks: 2,
    infer([condition], _, blocks) {
      if (!sameType(condition!, tileType("bool")))
        fail(
          "TYPE_MISMATCH",
          `the condition of if must be a bool scalar, but is ${typeToString(condition!)}; use select (tl.where) for tiles`,
        );
      for (const block of blocks)
        checkSameTypes(
          block.parameters.map((value) => value.type),
          [],
          "the parameters of an arm of if",
        );
      const types = yieldedTypes(blocks[0]);
      checkSameTypes(yieldedTypes(blocks[1]), types, "the values yielded by the two arms of if");
      return types;
    },
  },
  yield: {
    summary: "Ends a block of loop or if with its values",
    operands: ["values..."],
    attributes: {},
    effect: "terminator",
    infer: () => [],
  },
} satisfies Record<string, OpDefinition>;

export type Opcode = keyof typeof table;
export const ops: Readonly<Record<Opcode, OpDefinition>> = table;
export const opcodes = Object.keys(table) as Opcode[];

/** Checks operand count, attribute names and kinds, and block count against the table; then gives the result types. */
export function inferTypes(
  opcode: Opcode,
  operands: readonly ValueType[],
  attributes: Attributes,
  blocks: readonly Block[],
): readonly ValueType[] {
  const op = ops[opcode];
  const [least, most] = operandCounts(op);
  if (operands.length < least || operands.length > most)
    fail("OPERAND_COUNT", `${opcode} takes (${op.operands.join(", ")}), got ${operands.length} operands`);
  if (blocks.length !== (op.blocks ?? 0))
    fail("BLOCK_COUNT", `${opcode} owns ${op.blocks ?? 0} blocks, got ${blocks.length}`);
  for (const name in op.attributes) checkAttribute(opcode, name, op.attributes[name]!, attributes[name]);
  for (const name in attributes)
    if (!(name in op.attributes)) fail("ATTRIBUTE", `${opcode} has no attribute "${name}"`);
  return op.infer(operands, attributes, blocks);
}

const countsOf = new Map<OpDefinition, readonly [least: number, most: number]>();

function operandCounts(op: OpDefinition): readonly [least: number, most: number] {
  let counts = countsOf.get(op);
  if (!counts) {
    const optional = op.operands.filter((name) => name.endsWith("?")).length;
    const many = op.operands.filter((name) => name.endsWith("...")).length;
    const named = op.operands.length - many;
    counts = [named - optional, many > 0 ? Number.POSITIVE_INFINITY : named];
    countsOf.set(op, counts);
  }
  return counts;
}

function checkAttribute(opcode: string, name: string, kind: AttributeKind, value: Attribute | undefined): void {
  const good =
    kind === "int"
      ? Number.isInteger(value)
      : kind === "ints"
        ? Array.isArray(value) && value.every(Number.isInteger)
        : kind === "bools"
          ? Array.isArray(value) && value.every((flag) => typeof flag === "boolean")
          : kind === "bool"
            ? typeof value === "boolean"
            : kind === "number"
              ? ["number", "bigint", "boolean"].includes(typeof value)
              : kind === "string"
                ? typeof value === "string"
                : kind === "dtype"
                  ? dtypes.includes(value as DType)
                  : kind.includes(value as string);
  if (!good)
    fail(
      "ATTRIBUTE",
      `attribute "${name}" of ${opcode} must be ${typeof kind === "string" ? kind : kind.join(" | ")}, got ${String(value)}`,
    );
}

function checkIntegerRange(value: number | bigint, dtype: DType): void {
  const bitsOf = elementBytes[dtype] * 8;
  const [low, high] = dtype === "u32" ? [0n, 1n << 32n] : [-(1n << BigInt(bitsOf - 1)), 1n << BigInt(bitsOf - 1)];
  if (typeof value === "number" && !Number.isInteger(value))
    fail("CONSTANT", `${value} is not an integer, but the constant is ${dtype}`);
  if (BigInt(value) < low! || BigInt(value) >= high!) fail("CONSTANT", `${value} does not fit in ${dtype}`);
}

function gridAxis(_: readonly ValueType[], { axis }: Attributes): readonly ValueType[] {
  if (![0, 1, 2].includes(axis as number)) fail("AXIS", `the grid has axes 0, 1 and 2, not ${axis}`);
  return [tileType("i32")];
}

function checkViewAxis(type: ValueType, { axis }: Attributes): void {
  const v = view(type, "the operand");
  if ((axis as number) < 0 || (axis as number) >= v.rank)
    fail("AXIS", `axis ${axis} is out of range for ${typeToString(v)}`);
}
