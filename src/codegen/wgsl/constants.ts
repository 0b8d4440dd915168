/**
 * @file Constants of the generated code, those included that a device's compiler must not see through: infinities, which WGSL refuses to
 * evaluate, and bounds of loops that are not to be unrolled.
 */
import type { DType } from "../../ir/index.ts";
import type { Bindings } from "./bindings.ts";
import { atom, Expr, literal, precedence } from "./expression.ts";
import type { Invocation } from "./invocation.ts";
import type { Writer } from "./writer.ts";

export class Constants {
  readonly #writer: Writer;
  readonly #bindings: Bindings;
  readonly #invocation: Invocation;
  readonly #software: boolean;
  #opaque: string | undefined;

  constructor(writer: Writer, bindings: Bindings, invocation: Invocation, software: boolean) {
    this.#writer = writer;
    this.#bindings = bindings;
    this.#invocation = invocation;
    this.#software = software;
  }

  /** A u32 that is 0, which no driver can know: keeps constants from being evaluated and loops from being unrolled. */
  opaqueZero(): string {
    if (!this.#opaque) {
      const field = this.#bindings.opaqueField;
      const source = field ? `u32(${field}) >> 31u` : `${this.#invocation.input("num_workgroups")}.x >> 31u`;
      this.#opaque = this.#writer.bind("zero", new Expr(source, 0, 0)).text;
    }
    return this.#opaque;
  }

  /** A constant; what WGSL cannot write as a literal is computed once. */
  of(value: number | bigint | boolean, dtype: DType): Expr {
    const expression = constant(value, dtype, () => this.opaqueZero());
    if (!expression.text.startsWith("bitcast")) return expression;
    const key = `constant ${expression}`;
    const name = Number.isNaN(Number(value)) ? "nan" : Number(value) > 0 ? "infinity" : "minus_infinity";
    const bound = this.#writer.recall(key) ?? this.#writer.bind(name, expression);
    this.#writer.remember(key, bound);
    return bound;
  }

  /** The bound of a loop over registers, in a form that a CPU driver does not unroll. */
  loopBound(count: number): string {
    if (!this.#software) return String(count);
    const key = `bound ${count}`;
    const known = this.#writer.recall(key);
    if (known) return known.text;
    const expression = this.#writer.bind(
      `count_${count}`.replace("-", "minus_"),
      new Expr(`${count} + i32(${this.opaqueZero()})`, 0, 0),
    );
    this.#writer.remember(key, expression);
    return expression.text;
  }
}

/**
 * The constant `value`. WGSL refuses expressions of known value that are infinite or NaN, so those are made from bits that the
 * compiler cannot know: `opaqueZero()` names a u32 that is 0.
 */
function constant(value: number | bigint | boolean, dtype: DType, opaqueZero: () => string): Expr {
  switch (dtype) {
    case "bool":
      return atom(String(value), 0);
    case "u32":
      return new Expr(`${value}u`, 0, precedence.atom);
    case "i64": {
      const words = BigInt.asUintN(64, BigInt(value as bigint));
      return atom(`vec2u(${words & 0xffffffffn}u, ${words >> 32n}u)`, 0);
    }
    case "i8":
    case "i32":
      return literal(Number(value));
    default: {
      const number = Math.fround(Number(value));
      if (Number.isNaN(number)) return atom(`bitcast<f32>(0x7fc00000u | ${opaqueZero()})`, 0);
      if (!Number.isFinite(number))
        return atom(`bitcast<f32>(0x${number > 0 ? "7" : "f"}f800000u | ${opaqueZero()})`, 0);
      return new Expr(
        floatLiteral(number),
        0,
        number < 0 || Object.is(number, -0) ? precedence.unary : precedence.atom,
      );
    }
  }
}

const largestFloat = 2 ** 128 - 2 ** 104;

/** The shortest decimal that reads back as the f32 `value`. WGSL refuses one that is beyond the largest f32, even where it would round to that. */
function floatLiteral(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  for (let digits = 1; digits <= 17; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) !== value || Math.abs(Number(text)) > largestFloat) continue;
    const short = String(Number(text));
    return /[.e]/.test(short) ? short : `${short}.0`;
  }
  throw new Error(`${value} has no f32 literal: a bug in Tilewright`);
}
