/**
 * @file Elementwise arithmetic, comparisons and conversions.
 */
import { type DType, elementBytes, sameType, shapeOf, tileType, typeToString } from "../types.ts";
import { comparePredicates, type OpDefinition } from "./definition.ts";
import {
  type Accept,
  anyNumber,
  bits,
  f32Only,
  fail,
  floats,
  integers,
  requireDtype,
  sameOperands,
  tile,
} from "./rules.ts";

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

export const arithmeticOperations = {
  neg: unary("-x", anyNumber),
  abs: unary("|x|", anyNumber),
  floor: unary("Largest integral value that is at most x", floats),
  ceil: unary("Smallest integral value that is at least x", floats),
  sqrt: unary("Square root", f32Only),
  rsqrt: unary("1 / sqrt(x)", f32Only),
  reciprocal: unary(
    "1 / x, as the hardware has it: to 2.5 units in the last place for 2^-126 <= |x| <= 2^126; smaller x may count as 0, larger as infinite",
    f32Only,
  ),
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
} satisfies Record<string, OpDefinition>;
