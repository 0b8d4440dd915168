/**
 * @file Conversions between dtypes, as held while a kernel computes (see types.ts).
 */
import { type DType, isFloat } from "../../ir/index.ts";
import { atom, call, compare, type Expr, not } from "./expression.ts";
import type { Library } from "./library.ts";

/** Operations on f16 or bf16 that cannot leave the dtype's values, so that no rounding is needed. */
const exact = new Set(["neg", "abs", "floor", "ceil", "min", "max", "rem"]);
/** Operations that may leave the 8 bits of an i8. */
const leavesI8 = new Set(["add", "sub", "mul", "neg", "abs", "div", "shl"]);

/** Brings the result of `opcode`, computed as f32 or i32, back into `dtype`. */
export function roundTo(dtype: DType, x: Expr, library: Library, opcode: string): Expr {
  if ((dtype === "f16" || dtype === "bf16") && !exact.has(opcode)) return call(library.use(`${dtype}_round`), x);
  if (dtype === "i8" && leavesI8.has(opcode)) return call(library.use("i8_wrap"), x);
  return x;
}

export function castExpression(from: DType, to: DType, x: Expr, library: Library): Expr {
  if (from === to) return x;
  if (to === "bool") {
    if (from === "i64") return call("any", compare(x, "!=", atom("vec2u(0u, 0u)", 0)));
    // NaN is not 0, but Tint's != would be false for it.
    if (isFloat(from)) return not(compare(x, "==", atom("0.0", 0)));
    return compare(x, "!=", atom(from === "u32" ? "0u" : "0", 0));
  }
  if (isFloat(to)) return roundTo(to, toF32(from, x, library), library, isFloat(from) && to === "f32" ? "abs" : "cast");
  if (isFloat(from)) {
    if (to === "i64") return call(library.use("i64_from_f32"), x);
    return call(library.use(`${to as "i8" | "i32" | "u32"}_from_f32`), x);
  }
  // Between integers (and from bool) the low bits are kept.
  if (to === "i64") {
    if (from === "u32") return atom(`vec2u(${x}, 0u)`, x.depth);
    return call(library.use("i64_from_i32"), from === "bool" ? call("i32", x) : x);
  }
  const word = from === "i64" ? atom(`${x.binding === 8 ? x.text : `(${x.text})`}.x`, x.depth) : x;
  const unsigned = from === "i64" || from === "u32";
  if (to === "u32") return unsigned ? word : from === "bool" ? call("u32", word) : call("bitcast<u32>", word);
  const signed = unsigned ? call("bitcast<i32>", word) : from === "bool" ? call("i32", word) : word;
  return to === "i8" && from !== "bool" ? call(library.use("i8_wrap"), signed) : signed;
}

function toF32(from: DType, x: Expr, library: Library): Expr {
  switch (from) {
    case "i64":
      return call(library.use("f32_from_i64"), x);
    case "i32":
      return call(library.use("f32_from_i32"), x);
    case "u32":
      return call(library.use("f32_from_u32"), x);
    case "i8":
    case "bool":
      return call("f32", x);
    default:
      return x;
  }
}
