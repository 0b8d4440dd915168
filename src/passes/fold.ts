/**
 * @file Evaluates elementwise operations on constants, exactly as the op table defines them: integers wrap, floats round once to
 * nearest even, NaN and -0 are respected. What a target may compute to another last bit (transcendental functions), what the op table
 * leaves open (division by zero, shifts out of range) and what would need a second rounding is not folded.
 */
import {
  type ComparePredicate,
  type DType,
  elementBytes,
  isFloat,
  isInteger,
  type Operation,
  type Value,
} from "../ir/index.ts";
import {
  bf16BitsToF32,
  f16BitsToF32,
  f32ToBf16Bits,
  f32ToF16Bits,
  relations,
  roundToBf16,
  roundToF16,
} from "../support/index.ts";

/** One element: a number of any dtype but i64 (a bigint) and bool. */
export type Scalar = number | bigint | boolean;

/** The value that fills a constant tile; undefined for any other value. */
export function constantOf(value: Value): Scalar | undefined {
  const definition = value.definition;
  return definition?.opcode === "constant" ? (definition.attributes.value as Scalar) : undefined;
}

/** As `constantOf`, of an integer constant, as a bigint. */
export function integerConstantOf(value: Value): bigint | undefined {
  const constant = constantOf(value);
  return constant !== undefined && value.type.kind === "tile" && isInteger(value.type.dtype)
    ? BigInt(constant)
    : undefined;
}

export const bitWidth = (dtype: DType): number => elementBytes[dtype] * 8;

/** An integer modulo 2^width, as an element of `dtype`. */
export function wrapInteger(value: bigint, dtype: DType): number | bigint {
  const width = bitWidth(dtype);
  if (dtype === "u32") return Number(BigInt.asUintN(width, value));
  const wrapped = BigInt.asIntN(width, value);
  return dtype === "i64" ? wrapped : Number(wrapped);
}

/** `value` rounded to a float dtype; undefined when that would take two roundings. */
export function roundFloat(value: number, dtype: DType): number | undefined {
  const single = Math.fround(value);
  if (dtype === "f32") return single;
  if (single !== value && !Number.isNaN(value)) return undefined;
  return dtype === "f16" ? roundToF16(value) : roundToBf16(value);
}

const integerUnary: Readonly<Record<string, (x: bigint) => bigint>> = {
  neg: (x) => -x,
  abs: (x) => (x < 0n ? -x : x),
  not: (x) => ~x,
};

const integerBinary: Readonly<Record<string, (a: bigint, b: bigint, width: bigint) => bigint | undefined>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => (b === 0n ? undefined : a / b),
  rem: (a, b) => (b === 0n ? undefined : a % b),
  // biome-ignore lint/complexity/useMathMinMax: Math.min takes no bigint
  min: (a, b) => (a < b ? a : b),
  // biome-ignore lint/complexity/useMathMinMax: Math.max takes no bigint
  max: (a, b) => (a > b ? a : b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b, width) => (b < 0n || b >= width ? undefined : a << b),
  shr: (a, b, width) => (b < 0n || b >= width ? undefined : a >> b),
  umulhi: (a, b, width) => (a * b) >> width,
};

const floatUnary: Readonly<Record<string, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  floor: Math.floor,
  ceil: Math.ceil,
};

/** min and max: the number of a number and a NaN; which zero of two is left open. */
function extreme(a: number, b: number, pick: (a: number, b: number) => number): number | undefined {
  if (Number.isNaN(a)) return b;
  if (Number.isNaN(b)) return a;
  return a === b && !Object.is(a, b) ? undefined : pick(a, b);
}

/** Sums, products and quotients of f32 or less are right in f64 followed by one rounding: 53 >= 2 * 24 + 2 bits. */
const floatBinary: Readonly<Record<string, (a: number, b: number) => number | undefined>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: (a, b) => extreme(a, b, Math.min),
  max: (a, b) => extreme(a, b, Math.max),
};

/** The element that an elementwise operation gives for constant operands; undefined where that is not folded. */
export function foldElementwise(operation: Operation): Scalar | undefined {
  const values: Scalar[] = [];
  for (const operand of operation.operands) {
    const constant = constantOf(operand);
    if (constant === undefined) return undefined;
    const { dtype } = operand.type;
    const value = isFloat(dtype) ? roundFloat(constant as number, dtype) : constant;
    if (value === undefined) return undefined;
    values.push(value);
  }
  const from = operation.operands[0]!.type.dtype;
  const { opcode, attributes } = operation;
  if (opcode === "select") return values[0] ? values[1]! : values[2]!;
  if (opcode === "compare") return relations[attributes.predicate as ComparePredicate](values[0]!, values[1]!);
  if (opcode === "cast") return foldCast(values[0]!, from, attributes.dtype as DType);
  if (opcode === "bitcast") return foldBitcast(values[0]!, from, attributes.dtype as DType);
  if (isFloat(from)) {
    const [a, b] = values as number[];
    const result = b === undefined ? floatUnary[opcode]?.(a!) : floatBinary[opcode]?.(a!, b);
    if (result === undefined) return undefined;
    // Through f32 first: for operands of 16 bits that is innocuous, since 24 >= 2 * 11 + 2.
    return roundFloat(Math.fround(result), from);
  }
  const [a, b] = values.map(BigInt);
  const result = b === undefined ? integerUnary[opcode]?.(a!) : integerBinary[opcode]?.(a!, b, BigInt(bitWidth(from)));
  if (result === undefined) return undefined;
  return from === "bool" ? (result & 1n) === 1n : wrapInteger(result, from);
}

function foldCast(value: Scalar, from: DType, to: DType): Scalar | undefined {
  if (to === "bool") return typeof value === "boolean" ? value : Number(value) !== 0;
  if (isFloat(from)) {
    const x = value as number;
    if (isFloat(to)) return roundFloat(x, to);
    if (Number.isNaN(x)) return wrapInteger(0n, to);
    const width = BigInt(bitWidth(to));
    const [low, high] = to === "u32" ? [0n, (1n << width) - 1n] : [-(1n << (width - 1n)), (1n << (width - 1n)) - 1n];
    if (!Number.isFinite(x)) return wrapInteger(x > 0 ? high : low, to);
    const whole = BigInt(Math.trunc(x));
    return wrapInteger(whole < low ? low : whole > high ? high : whole, to);
  }
  const whole = BigInt(value);
  if (isInteger(to)) return wrapInteger(whole, to);
  const double = Number(whole);
  return BigInt(double) === whole ? roundFloat(double, to) : undefined;
}

function foldBitcast(value: Scalar, from: DType, to: DType): Scalar | undefined {
  if (from === "i64") return value;
  const x = value as number;
  // A NaN constant does not keep its payload.
  if (Number.isNaN(x)) return undefined;
  const asFloat = new Float32Array(1);
  const asBits = new Uint32Array(asFloat.buffer);
  if (from === "f32") asFloat[0] = x;
  else asBits[0] = from === "f16" ? f32ToF16Bits(x) : from === "bf16" ? f32ToBf16Bits(x) : x;
  const bits = asBits[0]!;
  if (isInteger(to)) return wrapInteger(BigInt(bits), to);
  const result = to === "f32" ? asFloat[0]! : to === "f16" ? f16BitsToF32(bits) : bf16BitsToF32(bits);
  return Number.isNaN(result) ? undefined : result;
}

/** Whether `from` to `to` keeps every value (NaN as a NaN). */
export function castIsExact(from: DType, to: DType): boolean {
  if (from === to || from === "bool") return true;
  const significant: Partial<Record<DType, number>> = { f16: 11, bf16: 8, f32: 24 };
  if (isFloat(from)) return to === "f32";
  if (to === "bool") return false;
  if (isFloat(to)) return bitWidth(from) - (from === "u32" ? 0 : 1) <= significant[to]!;
  if (from === "u32") return to === "i64";
  return to !== "u32" && bitWidth(to) >= bitWidth(from);
}
