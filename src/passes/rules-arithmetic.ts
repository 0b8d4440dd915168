/**
 * @file Canonicalization of elementwise operations: algebraic identities that hold bit for bit. Of floats only what IEEE arithmetic
 * allows: x + -0 but not x + 0 (wrong for x = -0), x * 1, x / 2^k; nothing that loses a NaN or reorders roundings.
 */
import {
  type ComparePredicate,
  type DType,
  elementBytes,
  isFloat,
  isInteger,
  type Operation,
  type TileType,
  type Value,
} from "../ir/index.ts";
import { castIsExact, constantOf, integerConstantOf, roundFloat, wrapInteger } from "./fold.ts";
import type { Maker, Rule, Rules } from "./simplify.ts";

const typeOf = (operation: Operation): TileType => operation.results[0]!.type as TileType;
/** Whether `value` is the float constant with exactly these bits (NaN aside). */
const isFloatConstant = (value: Value, wanted: number): boolean =>
  isFloat(value.type.dtype) && Object.is(constantOf(value), wanted);
const isIntegerConstant = (value: Value, wanted: bigint): boolean => integerConstantOf(value) === wanted;
/** All bits set: -1, 2^32 - 1, true. */
const isAllOnes = (value: Value): boolean =>
  constantOf(value) === true || integerConstantOf(value) === (value.type.dtype === "u32" ? 0xffffffffn : -1n);
const isZeroBits = (value: Value): boolean => constantOf(value) === false || isIntegerConstant(value, 0n);
const isOne = (value: Value): boolean => isIntegerConstant(value, 1n) || isFloatConstant(value, 1);
const madeBy = (value: Value, opcode: Operation["opcode"]): Operation | undefined =>
  value.definition?.opcode === opcode ? value.definition : undefined;

const zero = (type: TileType): number | bigint | boolean =>
  type.dtype === "bool" ? false : type.dtype === "i64" ? 0n : 0;

/** (x op c) op d to x op (c op d) for a wrapping, associative integer operation. */
function reassociate(operation: Operation, make: Maker): Value | undefined {
  const [a, b] = operation.operands;
  const outer = integerConstantOf(b!);
  const inner = madeBy(a!, operation.opcode);
  if (outer === undefined || !inner || integerConstantOf(inner.operands[1]!) === undefined) return undefined;
  const constants = make.value(operation.opcode, [inner.operands[1]!, b!]);
  return make.value(operation.opcode, [inner.operands[0]!, constants]);
}

const add: Rule = (operation, make) => {
  const [a, b] = operation.operands;
  if (isIntegerConstant(b!, 0n) || isFloatConstant(b!, -0)) return a;
  return reassociate(operation, make);
};

const sub: Rule = (operation, make) => {
  const [a, b] = operation.operands;
  const type = typeOf(operation);
  if (isIntegerConstant(b!, 0n) || isFloatConstant(b!, 0)) return a;
  if (!isInteger(type.dtype)) return undefined;
  if (a === b) return make.constant(zero(type), type);
  const constant = integerConstantOf(b!);
  // One form for x - c, so that additions of constants meet. Of u32 the negated constant would be hard to read.
  if (constant === undefined || type.dtype === "u32") return undefined;
  return make.value("add", [a!, make.constant(wrapInteger(-constant, type.dtype), type)]);
};

const mul: Rule = (operation, make) => {
  const [a, b] = operation.operands;
  if (isOne(b!)) return a;
  if (isIntegerConstant(b!, 0n)) return b;
  return reassociate(operation, make);
};

const div: Rule = (operation, make) => {
  const [a, b] = operation.operands;
  if (isOne(b!)) return a;
  const type = typeOf(operation);
  const divisor = constantOf(b!);
  if (!isFloat(type.dtype) || typeof divisor !== "number") return undefined;
  // x / 2^k and x * 2^-k are one real number, rounded once; the reciprocal must be normal in the dtype.
  const reciprocal = 1 / divisor;
  const smallestNormal = type.dtype === "f16" ? 2 ** -14 : 2 ** -126;
  const powerOfTwo =
    Number.isInteger(Math.log2(Math.abs(divisor))) && 2 ** Math.log2(Math.abs(divisor)) === Math.abs(divisor);
  if (!powerOfTwo || Math.abs(reciprocal) < smallestNormal || roundFloat(reciprocal, type.dtype) !== reciprocal)
    return undefined;
  return make.value("mul", [a!, make.constant(reciprocal, type)]);
};

const rem: Rule = (operation, make) => {
  const type = typeOf(operation);
  return isIntegerConstant(operation.operands[1]!, 1n) ? make.constant(zero(type), type) : undefined;
};

const sameOperand: Rule = ({ operands: [a, b] }) => (a === b ? a : undefined);

const and: Rule = (operation) => {
  const [a, b] = operation.operands;
  if (a === b || isAllOnes(b!)) return a;
  return isZeroBits(b!) ? b : undefined;
};

const or: Rule = (operation) => {
  const [a, b] = operation.operands;
  if (a === b || isZeroBits(b!)) return a;
  return isAllOnes(b!) ? b : undefined;
};

const xor: Rule = (operation, make) => {
  const [a, b] = operation.operands;
  const type = typeOf(operation);
  if (isZeroBits(b!)) return a;
  if (a === b) return make.constant(zero(type), type);
  return isAllOnes(b!) ? make.value("not", [a!]) : undefined;
};

const shift: Rule = ({ operands: [a, b] }) => (isIntegerConstant(b!, 0n) ? a : undefined);

const fma: Rule = ({ operands: [a, b, c] }, make) => {
  if (isOne(b!)) return make.value("add", [a!, c!]);
  if (isOne(a!)) return make.value("add", [b!, c!]);
  return isFloatConstant(c!, -0) ? make.value("mul", [a!, b!]) : undefined;
};

const neg: Rule = ({ operands: [x] }) => madeBy(x!, "neg")?.operands[0];

const abs: Rule = ({ operands: [x] }, make) => {
  if (x!.type.dtype === "u32") return x; // -x of an unsigned number is another number, and each is its own abs.
  const inner = madeBy(x!, "neg");
  return inner ? make.value("abs", [inner.operands[0]!]) : madeBy(x!, "abs")?.results[0];
};

/** floor and ceil leave what is integral as it is. */
const toIntegral: Rule = ({ operands: [x] }) => {
  const cast = madeBy(x!, "cast");
  const integral = madeBy(x!, "floor") ?? madeBy(x!, "ceil") ?? (cast && !isFloat(cast.operands[0]!.type.dtype));
  return integral ? x : undefined;
};

const inverse: Readonly<Record<ComparePredicate, ComparePredicate>> = {
  eq: "ne",
  ne: "eq",
  lt: "ge",
  ge: "lt",
  gt: "le",
  le: "gt",
};
const swapped: Readonly<Record<ComparePredicate, ComparePredicate>> = {
  eq: "eq",
  ne: "ne",
  lt: "gt",
  gt: "lt",
  le: "ge",
  ge: "le",
};

const not: Rule = ({ operands: [x] }, make) => {
  const inner = madeBy(x!, "not");
  if (inner) return inner.operands[0];
  const comparison = madeBy(x!, "compare");
  if (!comparison) return undefined;
  const predicate = comparison.attributes.predicate as ComparePredicate;
  // not (a < b) is not a >= b where one is NaN.
  if (isFloat(comparison.operands[0]!.type.dtype) && predicate !== "eq" && predicate !== "ne") return undefined;
  return make.value("compare", comparison.operands, { predicate: inverse[predicate] });
};

const compare: Rule = (operation, make) => {
  const [a, b] = operation.operands;
  const predicate = operation.attributes.predicate as ComparePredicate;
  const { dtype } = a!.type;
  const always = (value: boolean): Value => make.constant(value, typeOf(operation));
  if (constantOf(a!) !== undefined && constantOf(b!) === undefined)
    return make.value("compare", [b!, a!], { predicate: swapped[predicate] });
  if (a === b) {
    if (predicate === "lt" || predicate === "gt") return always(false);
    if (!isFloat(dtype)) return always(predicate !== "ne");
  }
  if (dtype === "bool" && constantOf(b!) !== undefined && (predicate === "eq" || predicate === "ne"))
    return (constantOf(b!) === true) === (predicate === "eq") ? a : make.value("not", [a!]);
  if (dtype === "u32" && isIntegerConstant(b!, 0n) && (predicate === "lt" || predicate === "ge"))
    return always(predicate === "ge");
  return undefined;
};

const select: Rule = ({ operands: [condition, a, b] }, make) => {
  const known = constantOf(condition!);
  if (known !== undefined) return known ? a : b;
  if (a === b) return a;
  const negated = madeBy(condition!, "not");
  if (negated) return make.value("select", [negated.operands[0]!, b!, a!]);
  if (constantOf(a!) === true) return make.value("or", [condition!, b!]);
  if (constantOf(b!) === false) return make.value("and", [condition!, a!]);
  if (constantOf(a!) === false && constantOf(b!) === true) return make.value("not", [condition!]);
  const [inThen, inElse] = [madeBy(a!, "select"), madeBy(b!, "select")];
  if (inThen?.operands[0] === condition) return make.value("select", [condition!, inThen!.operands[1]!, b!]);
  if (inElse?.operands[0] === condition) return make.value("select", [condition!, a!, inElse!.operands[2]!]);
  return undefined;
};

const cast: Rule = ({ operands: [x], attributes }, make) => {
  const to = attributes.dtype as DType;
  const middle = x!.type.dtype;
  if (middle === to) return x;
  const inner = madeBy(x!, "cast");
  if (!inner) return undefined;
  const from = inner.operands[0]!.type.dtype;
  // Wrapping an integer twice is wrapping it to the narrower width.
  const wraps = isInteger(from) && isInteger(middle) && isInteger(to) && elementBytes[to] <= elementBytes[middle];
  return castIsExact(from, middle) || wraps ? make.value("cast", inner.operands, { dtype: to }) : undefined;
};

const bitcast: Rule = ({ operands: [x], attributes }, make) => {
  if (x!.type.dtype === attributes.dtype) return x;
  const inner = madeBy(x!, "bitcast");
  return inner ? make.value("bitcast", inner.operands, attributes) : undefined;
};

const multipleOf: Rule = ({ operands: [x], attributes }) => {
  const divisor = attributes.divisor as number;
  const known = integerConstantOf(x!);
  if (divisor === 1 || (known !== undefined && divisor !== 0 && known % BigInt(divisor) === 0n)) return x;
  const inner = madeBy(x!, "multiple_of");
  return inner && (inner.attributes.divisor as number) % divisor === 0 ? x : undefined;
};

const addPointer: Rule = ({ operands: [pointer, offset] }, make) => {
  if (isIntegerConstant(offset!, 0n)) return pointer;
  const narrow = beforeExtension(offset!, make);
  return narrow && make.value("add_pointer", [pointer!, narrow]);
};

/**
 * The i32 value that an i64 offset was extended from. Addresses extend it again, at no cost, and what targets see of an i32 offset, such as
 * its constant part, stays visible.
 */
function beforeExtension(offset: Value, make: Maker): Value | undefined {
  const made = offset.definition;
  if (made?.opcode === "cast") return made.operands[0]!.type.dtype === "i32" ? made.operands[0] : undefined;
  if (made?.opcode !== "splat" && made?.opcode !== "broadcast" && made?.opcode !== "expand_dims") return undefined;
  const inner = beforeExtension(made.operands[0]!, make);
  return inner && make.value(made.opcode, [inner], made.attributes);
}

export const arithmeticRules: Rules = {
  add,
  sub,
  mul,
  div,
  rem,
  min: sameOperand,
  max: sameOperand,
  and,
  or,
  xor,
  shl: shift,
  shr: shift,
  fma,
  neg,
  abs,
  floor: toIntegral,
  ceil: toIntegral,
  not,
  compare,
  select,
  cast,
  bitcast,
  multiple_of: multipleOf,
  add_pointer: addPointer,
};
