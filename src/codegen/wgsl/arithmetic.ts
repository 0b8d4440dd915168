/**
 * @file The elementwise operations as WGSL expressions, by dtype. Arithmetic on f16 and bf16 is f32 arithmetic and one rounding: that is
 * what correctly rounded 16-bit arithmetic gives, and it needs no feature of the device.
 */
import { type DType, isFloat, type Operation, type TileType, typeToString } from "../../ir/index.ts";
import { castExpression, roundTo } from "./casts.ts";
import { atom, call, compare, deepest, Expr, precedence, prefix } from "./expression.ts";
import type { Library, LibraryFunction } from "./library.ts";

const symbols: Readonly<Record<string, readonly [symbol: string, binding: number, left: number, right: number]>> = {
  add: ["+", precedence.sum, precedence.sum, precedence.product],
  sub: ["-", precedence.sum, precedence.sum, precedence.product],
  mul: ["*", precedence.product, precedence.product, precedence.unary],
  div: ["/", precedence.product, precedence.product, precedence.unary],
  rem: ["%", precedence.product, precedence.product, precedence.unary],
  and: ["&", precedence.other, precedence.unary, precedence.unary],
  or: ["|", precedence.other, precedence.unary, precedence.unary],
  xor: ["^", precedence.other, precedence.unary, precedence.unary],
};
const relations = { eq: "==", ne: "!=", lt: "<", le: "<=", gt: ">", ge: ">=" } as const;
type Predicate = keyof typeof relations;

const i64Functions: Readonly<Record<string, LibraryFunction>> = {
  add: "i64_add",
  sub: "i64_sub",
  mul: "i64_mul",
  div: "i64_div",
  rem: "i64_rem",
  min: "i64_min",
  max: "i64_max",
  shl: "i64_shl",
  shr: "i64_shr",
  neg: "i64_neg",
  abs: "i64_abs",
};
/** Unary functions of f32 that WGSL has, and those that the library has. */
const f32Functions: Readonly<Record<string, string>> = {
  abs: "abs",
  floor: "floor",
  ceil: "ceil",
  sqrt: "sqrt",
  rsqrt: "inverseSqrt",
  exp: "exp",
  exp2: "exp2",
};

/** The value of an elementwise operation for one element, given those of its operands. */
export function elementwiseExpression(operation: Operation, operands: readonly Expr[], library: Library): Expr {
  const { opcode, attributes } = operation;
  const operandType = operation.operands[0]!.type as TileType;
  switch (opcode) {
    case "cast":
      return castExpression(operandType.dtype, attributes.dtype as DType, operands[0]!, library);
    case "bitcast":
      return bitcastExpression(operandType.dtype, attributes.dtype as DType, operands[0]!, library);
    case "multiple_of":
      return operands[0]!;
    case "select":
      return call("select", operands[2]!, operands[1]!, operands[0]!);
    case "compare":
      return compareExpression(
        operandType.dtype,
        attributes.predicate as Predicate,
        operands[0]!,
        operands[1]!,
        library,
      );
    default:
      return roundTo(operandType.dtype, arithmetic(opcode, operandType, operands, library), library, opcode);
  }
}

/** Combines two values of a reduction or scan. */
export function combine(kind: string, type: TileType, a: Expr, b: Expr, library: Library): Expr {
  const opcode = { sum: "add", product: "mul" }[kind] ?? kind;
  return arithmetic(opcode, type, [a, b], library);
}

function arithmetic(opcode: string, type: TileType, operands: readonly Expr[], library: Library): Expr {
  const [a, b] = operands as [Expr, Expr];
  const { dtype } = type;
  if (dtype === "i64") {
    const name = i64Functions[opcode];
    if (name) return call(library.use(name), ...operands);
  }
  if (dtype === "bool" && opcode === "not") return prefix("!", a);
  if (dtype === "bool" && opcode === "xor") return compare(a, "!=", b);
  if (isFloat(dtype) && opcode === "rem") return call(library.use("f32_rem"), a, b);
  const folded = dtype === "i32" ? indexArithmetic(opcode, a, b) : undefined;
  if (folded) return folded;
  const symbol = symbols[opcode];
  if (symbol) return infix(symbol, a, b);
  switch (opcode) {
    case "neg":
      return dtype === "u32" ? new Expr(`0u - ${a.in(precedence.product)}`, a.depth, precedence.sum) : prefix("-", a);
    case "abs":
      return dtype === "u32" ? a : call("abs", a);
    case "not":
      return prefix("~", a);
    case "min":
    case "max":
      return call(opcode, a, b);
    case "shl":
    case "shr": {
      const count =
        b.constant !== undefined ? `${b.constant}u` : dtype === "u32" ? b.in(precedence.unary) : `u32(${b})`;
      return new Expr(
        `${a.in(precedence.unary)} ${opcode === "shl" ? "<<" : ">>"} ${count}`,
        deepest([a, b]),
        precedence.shift,
      );
    }
    case "umulhi":
      return call(library.use("u32_mul_high"), a, b);
    case "fma":
      return call("fma", ...operands);
    case "reciprocal":
      return infix(symbols.div!, atom("1.0", 0), a);
    case "tanh":
    case "log":
    case "log2":
    case "sin":
    case "cos":
      return call(library.use(`f32_${opcode}`), a);
    default: {
      const name = f32Functions[opcode];
      if (!name) throw new Error(`WGSL: no expression for ${opcode} on ${typeToString(type)}: a bug in Tilewright`);
      return call(name, a);
    }
  }
}

/** Sums and products with a constant, which often folds away in an address. Two constants could overflow: left to WGSL. */
function indexArithmetic(opcode: string, a: Expr, b: Expr): Expr | undefined {
  if ((a.constant === undefined) === (b?.constant === undefined)) return undefined;
  return opcode === "add" ? a.plus(b) : opcode === "sub" ? a.minus(b) : opcode === "mul" ? a.times(b) : undefined;
}

function compareExpression(dtype: DType, predicate: Predicate, a: Expr, b: Expr, library: Library): Expr {
  if (dtype === "bool") {
    const asNumber = (x: Expr) => call("u32", x);
    return predicate === "eq" || predicate === "ne"
      ? compare(a, relations[predicate], b)
      : compare(asNumber(a), relations[predicate], asNumber(b));
  }
  // Tint compares with "ordered, not equal", which is false for NaN.
  if (predicate === "ne" && isFloat(dtype)) return prefix("!", compare(a, "==", b));
  if (dtype !== "i64") return compare(a, relations[predicate], b);
  const less = (x: Expr, y: Expr) => call(library.use("i64_less"), x, y);
  switch (predicate) {
    case "eq":
      return call("all", compare(a, "==", b));
    case "ne":
      return call("any", compare(a, "!=", b));
    case "lt":
      return less(a, b);
    case "gt":
      return less(b, a);
    case "le":
      return prefix("!", less(b, a));
    case "ge":
      return prefix("!", less(a, b));
  }
}

function bitcastExpression(from: DType, to: DType, x: Expr, library: Library): Expr {
  if (from === to) return x;
  if (from === "i64" || to === "i64" || from === "i8") return x;
  const sixteen = (dtype: DType): boolean => dtype === "f16" || dtype === "bf16";
  if (sixteen(from)) {
    const bits = call(library.use(`${from as "f16" | "bf16"}_bits`), x);
    return to === "f16" ? atom(`unpack2x16float(${bits}).x`, x.depth) : atom(`bitcast<f32>(${bits} << 16u)`, x.depth);
  }
  return call(`bitcast<${to}>`, x);
}

function infix([symbol, binding, left, right]: (typeof symbols)[string], a: Expr, b: Expr): Expr {
  return new Expr(`${a.in(left)} ${symbol} ${b.in(right)}`, deepest([a, b]), binding);
}
