/**
 * @file The f32 functions that the hardware has not, or not well enough, as short straight lines of code without branches or tables
 * (but for 1/2π). The errors named are in units in the last place (ulp) of the result, for ex2.approx, lg2.approx and rcp.approx as
 * accurate as the PTX ISA promises. Coefficients: interpolation of the named function at Chebyshev nodes of the interval.
 */
import type { Element } from "./element.ts";
import { floatImmediate } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { address, type Operand, type Register, symbol } from "./instruction.ts";

type Operation = (opcode: string, ...sources: (Operand | number)[]) => Register;

/** Emits f32 instructions; numbers in operands are f32 constants. */
const floats =
  (emitter: Emitter): Operation =>
  (opcode, ...sources) =>
    emitter.op(
      "f32",
      opcode,
      ...sources.map((source) => (typeof source === "number" ? floatImmediate(source) : source)),
    );

const integers =
  (emitter: Emitter): Operation =>
  (opcode, ...sources) =>
    emitter.op("b32", opcode, ...sources);

/** Horner's scheme; `coefficients` from the constant term up. */
function polynomial(f: Operation, x: Operand, coefficients: readonly number[]): Operand {
  return coefficients.reduceRight<Operand | undefined>(
    (value, coefficient) =>
      value === undefined ? floatImmediate(coefficient) : f("fma.rn.f32", value, x, coefficient),
    undefined,
  )!;
}

const LOG2_E = Math.LOG2E;
/** What the f32 nearest to `value` lacks. */
const low = (value: number): number => Math.fround(value - Math.fround(value));

/** e^x = 2^n · 2^r with n = round(x log2 e), r exact to 2^-30 or so: 2 ulp; denormal results are rounded once more. */
export function exponential(emitter: Emitter, x: Operand): Register {
  const f = floats(emitter);
  const i = integers(emitter);
  // 1.5 · 2^23: its last mantissa bit is worth 1, so that adding it rounds and leaves n in the low bits; 127 makes n an exponent's bits.
  const magic = 12582912 + 127;
  // n within [-126, 127]; r then takes what is beyond, to 0 or infinity.
  const inside = f("min.f32", f("max.f32", x, -87), 88);
  const rounded = f("fma.rn.f32", inside, LOG2_E, magic);
  const n = f("sub.rn.f32", rounded, magic);
  const r = f("fma.rn.f32", x, low(LOG2_E), f("fma.rn.f32", x, LOG2_E, f("neg.f32", n)));
  const power = i("shl.b32", rounded, 23);
  return f("mul.f32", f("ex2.approx.ftz.f32", r), power);
}

// biome-ignore format: a table
/** (ln(1 + f) - f + f²/2) / f³ on [√½ - 1, √2 - 1]. */
const LOGARITHM = [0.33333331, -0.24999997, 0.20000716, -0.16667803, 0.1424906, -0.12425692, 0.11685406, -0.11479689, 0.06971591];

/** x = 2^e · m with m in [√½, √2): gives e and ln m, accurate near x = 1 where lg2.approx is not. */
function splitLogarithm(emitter: Emitter, x: Operand): { exponent: Register; rest: Register; ordinary: Register } {
  const f = floats(emitter);
  const i = integers(emitter);
  const denormal = emitter.op("pred", "setp.lt.f32", x, floatImmediate(2 ** -126));
  const scaled = f("selp.f32", f("mul.f32", x, 2 ** 23), x, denormal);
  const bias = f("selp.f32", -23, 0, denormal);
  const e = i("and.b32", i("sub.s32", scaled, 0x3f3504f3), 0xff800000);
  const m = i("sub.s32", scaled, e);
  const exponent = f("fma.rn.f32", f("cvt.rn.f32.s32", e), 2 ** -23, bias);
  const t = f("sub.rn.f32", m, 1);
  const square = f("mul.rn.f32", t, t);
  const tail = f("fma.rn.f32", f("mul.rn.f32", t, square), polynomial(f, t, LOGARITHM), f("mul.rn.f32", square, -0.5));
  // Positive and finite: the others are left to lg2.approx, whose special cases are right.
  const ordinary = emitter.op("pred", "setp.lt.u32", i("sub.s32", x, 1), 0x7f7fffff);
  return { exponent, rest: f("add.rn.f32", t, tail), ordinary };
}

/** 2 ulp. */
export function naturalLogarithm(emitter: Emitter, x: Operand): Register {
  const f = floats(emitter);
  const { exponent, rest, ordinary } = splitLogarithm(emitter, x);
  const value = f("fma.rn.f32", exponent, Math.LN2, f("fma.rn.f32", exponent, low(Math.LN2), rest));
  return f("selp.f32", value, f("lg2.approx.f32", x), ordinary);
}

/** 2 ulp; exact for powers of two. */
export function binaryLogarithm(emitter: Emitter, x: Operand): Register {
  const f = floats(emitter);
  const { exponent, rest, ordinary } = splitLogarithm(emitter, x);
  const scaled = f("fma.rn.f32", rest, LOG2_E, f("mul.rn.f32", rest, low(LOG2_E)));
  return f("selp.f32", f("add.rn.f32", exponent, scaled), f("lg2.approx.f32", x), ordinary);
}

/** (tanh x / x - 1) / x² as a function of x², for |x| < 0.625. */
const TANH = [-0.33333334, 0.13333304, -0.05395926, 0.02176892, -0.00834394, 0.00229274];

/** 3 ulp. */
export function hyperbolicTangent(emitter: Emitter, x: Operand): Register {
  const f = floats(emitter);
  const size = f("abs.f32", x);
  const square = f("mul.f32", x, x);
  const small = f("fma.rn.f32", f("mul.f32", x, square), polynomial(f, square, TANH), x);
  const power = f("ex2.approx.ftz.f32", f("mul.f32", size, 2 * LOG2_E));
  const quotient = f("rcp.approx.ftz.f32", f("add.f32", power, 1));
  const large = f("copysign.f32", x, f("fma.rn.f32", quotient, -2, 1));
  return f("selp.f32", small, large, emitter.op("pred", "setp.lt.f32", size, floatImmediate(0.625)));
}

/** (sin x / x - 1) / x² and (cos x - 1 + x²/2) / x⁴ as functions of x², for |x| up to π/4. */
const SINE = [-0.16666667, 0.00833333, -0.00019840064, 2.724687e-6];
const COSINE = [0.04166666, -0.001388829, 2.4545419e-5];

/** The bits of 1/2π after the point, 32 a word, after a word of zeros. */
// biome-ignore format: a table
const INVERSE_TURN = [0, 0x28be60db, 0x9391054a, 0x7f09d5f4, 0x7d4d3770, 0x36d8a566, 0x4f10e410, 0x7f9458ea];

/**
 * x = (quarter + r · 2/π) · π/2 with |r| up to π/4, for every finite x: |x| = m · 2^e with an integer m of 24 bits; of x/2π only the
 * fraction matters, and for that only 96 bits of 1/2π, those from bit e on (Payne and Hanek, 1983).
 */
function reduceAngle(emitter: Emitter, x: Operand): { quarter: Register; r: Register } {
  const f = floats(emitter);
  const i = integers(emitter);
  emitter.declare(
    "inverse_turn",
    `.const .align 4 .b32 inverse_turn[${INVERSE_TURN.length}] = {${INVERSE_TURN.join(", ")}};`,
  );
  const exponent = i("bfe.u32", x, 23, 8);
  // The place of the first bit in the table: e + 32 = exponent - 118; for small x, whose result is not used, 0.
  const place = i("min.s32", i("max.s32", i("sub.s32", exponent, 118), 0), 4 * 32 + 31);
  const row = emitter.op("b64", "mul.wide.u32", i("shr.u32", place, 5), 4);
  const table = emitter.op("b64", "add.s64", row, emitter.op("b64", "mov.u64", symbol("inverse_turn")));
  const words = [0, 1, 2, 3].map((word) => i("ld.const.b32", address(table, word * 4)));
  const window = [0, 1, 2].map((word) => i("shf.l.wrap.b32", words[word + 1]!, words[word]!, place));
  const mantissa = i("or.b32", i("and.b32", x, 0x7fffff), 0x800000);
  // The low 96 bits of mantissa · window; the last word matters through its carry alone.
  const wide = emitter.op("b64", "mul.wide.u32", mantissa, window[1]!);
  const carry = emitter.op("b64", "cvt.u64.u32", i("mul.hi.u32", mantissa, window[2]!));
  const middle = emitter.op("b64", "add.s64", wide, carry);
  const top = emitter.op("b64", "cvt.u64.u32", i("mul.lo.s32", mantissa, window[0]!));
  const fraction = emitter.op("b64", "add.s64", middle, emitter.op("b64", "shl.b64", top, 32));
  const eighths = i("cvt.u32.u64", emitter.op("b64", "shr.u64", fraction, 61));
  const small = emitter.op("pred", "setp.lt.f32", f("abs.f32", x), floatImmediate(Math.PI / 4));
  const positive = f(
    "mul.rn.f32",
    f("cvt.rn.f32.s64", emitter.op("b64", "shl.b64", fraction, 2)),
    (Math.PI / 2) * 2 ** -64,
  );
  const quarters = i("shr.u32", i("add.s32", eighths, 1), 1);
  const negative = emitter.op("pred", "setp.lt.s32", x, 0);
  const quarter = i("selp.b32", i("neg.s32", quarters), quarters, negative);
  const r = f("selp.f32", f("neg.f32", positive), positive, negative);
  // Infinity has no angle: x - x is NaN.
  const bad = emitter.op("pred", "setp.eq.s32", exponent, 255);
  return {
    quarter: i("selp.b32", 0, quarter, small),
    r: f("selp.f32", f("sub.rn.f32", x, x), f("selp.f32", x, r, small), bad),
  };
}

/** sin(x + shift · π/2), 2 ulp of the larger of result and 2^-24, for every finite x. */
function sineShifted(emitter: Emitter, x: Operand, shift: 0 | 1): Register {
  const f = floats(emitter);
  const i = integers(emitter);
  const { quarter, r } = reduceAngle(emitter, x);
  const square = f("mul.rn.f32", r, r);
  const sine = f("fma.rn.f32", f("mul.rn.f32", r, square), polynomial(f, square, SINE), r);
  const cosine = f(
    "fma.rn.f32",
    f("mul.rn.f32", square, square),
    polynomial(f, square, COSINE),
    f("fma.rn.f32", square, -0.5, 1),
  );
  const turned = shift === 0 ? quarter : i("add.s32", quarter, shift);
  const odd = emitter.op("pred", "setp.ne.s32", i("and.b32", turned, 1), 0);
  const sign = i("shl.b32", i("and.b32", turned, 2), 30);
  return f("xor.b32", f("selp.f32", cosine, sine, odd), sign);
}

export const sine = (emitter: Emitter, x: Operand): Register => sineShifted(emitter, x, 0);
export const cosine = (emitter: Emitter, x: Operand): Register => sineShifted(emitter, x, 1);

/**
 * a - b · trunc(a / b) with the sign of a, exact: |a| is reduced by |b| · 2^250, 2^200, ..., 2^0 in turn. In f64 each quotient is below 2^51
 * and off by at most one, and each remainder is exact.
 */
export function floatRemainder(emitter: Emitter, a: Operand, b: Operand): Register {
  const d = (opcode: string, ...sources: Operand[]): Register => emitter.op("f64", opcode, ...sources);
  const f = floats(emitter);
  const constant = (value: number): Register => d("cvt.f64.f32", f("mov.f32", value));
  const half = constant(2 ** 125);
  const [rest, divisor, turn] = [emitter.register("f64"), emitter.register("f64"), emitter.register("b32")];
  emitter.emit("abs.f64", [rest, d("cvt.f64.f32", a)]);
  emitter.emit("mul.rn.f64", [divisor, d("mul.rn.f64", d("abs.f64", d("cvt.f64.f32", b)), half), half]);
  emitter.emit("mov.b32", [turn, 0]);
  const shrink = constant(2 ** -50);
  const zero = constant(0);
  let again: Register | undefined;
  const body = emitter.block(() => {
    const quotient = d("cvt.rzi.f64.f64", d("div.rn.f64", rest, divisor));
    const next = d("fma.rn.f64", d("neg.f64", quotient), divisor, rest);
    const below = emitter.op("pred", "setp.lt.f64", next, zero);
    emitter.emit("selp.f64", [rest, d("add.rn.f64", next, divisor), next, below]);
    emitter.emit("mul.rn.f64", [divisor, divisor, shrink]);
    emitter.emit("add.s32", [turn, turn, 1]);
    again = emitter.op("pred", "setp.lt.s32", turn, 6);
  });
  emitter.push({
    kind: "loop",
    label: emitter.label("remainder"),
    enter: undefined,
    body,
    repeat: { predicate: again! },
  });
  const value = f("copysign.f32", a, f("cvt.rn.f32.f64", rest));
  // For an infinite b the quotient is 0 and the product NaN; the rest is a itself, if that is finite.
  const infinite = emitter.op("pred", "setp.eq.f32", f("abs.f32", b), floatImmediate(Number.POSITIVE_INFINITY));
  const finite = emitter.op("pred", "setp.lt.f32", f("abs.f32", a), floatImmediate(Number.POSITIVE_INFINITY));
  return f("selp.f32", a, value, emitter.op("pred", "and.pred", infinite, finite));
}

/** An i32, u32 or i64 as bf16 rounded once: to f32 towards zero, inexact results made odd, so that the second rounding is right. */
export function integerToOddFloat(emitter: Emitter, x: Operand, type: "s32" | "u32" | "s64"): Element {
  const wide = type === "s64";
  const value = emitter.op("f32", `cvt.rz.f32.${type}`, x);
  const back = emitter.op(wide ? "b64" : "b32", `cvt.rzi.${type}.f32`, value);
  const inexact = emitter.op("pred", `setp.ne.${type}`, back, x);
  return emitter.op("f32", "or.b32", value, emitter.op("b32", "selp.b32", 1, 0, inexact));
}
