/**
 * @file `tl`: the function forms of the elementwise operations. The first operand may be a plain number too, so `tl.sub(1, x)` and
 * `tl.div(1, x)` need no constant tile. The rules (broadcasting, dtypes, errors) are those of `Tile`.
 */
import { compare, elementwise, fastQuotient, type Operand, select } from "../operands.ts";
import { operandOf, type Tile, tileOf, tileValue } from "../tile.ts";
import { fail } from "../trace-context.ts";
import type { BitsDType, Broadcast, BroadcastsWith, DTypeLike, SameDType, Shape } from "../types.ts";
import { full } from "./creation.ts";

/** A number is of any dtype and shape, which `never` and `[]` stand for. */
type Binary = <
  T extends DTypeLike = never,
  A extends Shape = readonly [],
  U extends DTypeLike = never,
  B extends Shape = readonly [],
>(
  a: number | Tile<T, A>,
  b: number | Tile<SameDType<T, U>, BroadcastsWith<A, B>>,
) => Tile<T | U, Broadcast<A, B>>;

type Comparison = <
  T extends DTypeLike = never,
  A extends Shape = readonly [],
  U extends DTypeLike = never,
  B extends Shape = readonly [],
>(
  a: number | Tile<T, A>,
  b: number | Tile<SameDType<T, U>, BroadcastsWith<A, B>>,
) => Tile<"bool", Broadcast<A, B>>;

type BitsBinary = <T extends BitsDType, A extends Shape, B extends Shape = readonly []>(
  a: Tile<T, A>,
  b: number | boolean | Tile<NoInfer<T>, BroadcastsWith<A, B>>,
) => Tile<T, Broadcast<A, B>>;

const operands = (name: string, a: unknown, b: unknown): Operand[] => [
  operandOf(a, `the first operand of ${name}`),
  operandOf(b, `the second operand of ${name}`),
];
const binary =
  (opcode: Parameters<typeof elementwise>[0], name: string = opcode) =>
  (a: unknown, b: unknown): any =>
    tileOf(elementwise(opcode, operands(name, a, b), name));
const comparison =
  (predicate: Parameters<typeof compare>[0]) =>
  (a: unknown, b: unknown): any => {
    const [left, right] = operands(predicate, a, b);
    return tileOf(compare(predicate, left!, right!));
  };

/** a + b. Integers wrap. */
export const add: Binary = binary("add");
/** a - b. Integers wrap. */
export const sub: Binary = binary("sub");
/** a · b, element by element. Integers wrap. */
export const mul: Binary = binary("mul");
/** a / b. Integers truncate towards zero. */
export const div: Binary = binary("div");
/**
 * a / b, fast: a times the hardware's reciprocal of b (Triton's `fdiv`), some two instructions where `div` takes ten or more and a branch. f32: convert other
 * dtypes first. Off by a share of 2^-22 at most on CUDA and 2^-21 as WGSL has it, where 2^-126 <= |b| <= 2^126. A smaller |b| may count as 0, and a larger
 * one as infinite.
 */
export const fdiv = <A extends Shape = readonly [], B extends Shape = readonly []>(
  a: number | Tile<"f32", A>,
  b: number | Tile<"f32", BroadcastsWith<A, B>>,
): Tile<"f32", Broadcast<A, B>> => {
  const [dividend, divisor] = operands("fdiv", a, b);
  return tileOf(fastQuotient(dividend!, divisor!));
};
/** a - b · trunc(a / b): the remainder with the sign of a. */
export const rem: Binary = binary("rem");
/** The smaller of the two, element by element; if one is NaN, the other. */
export const minimum: Binary = binary("min", "minimum");
/** The larger of the two, element by element; if one is NaN, the other. */
export const maximum: Binary = binary("max", "maximum");

/** a < b */
export const lt: Comparison = comparison("lt");
/** a <= b */
export const le: Comparison = comparison("le");
/** a > b */
export const gt: Comparison = comparison("gt");
/** a >= b */
export const ge: Comparison = comparison("ge");
/** a equals b */
export const eq: Comparison = comparison("eq");
/** a differs from b; true where one is NaN */
export const ne: Comparison = comparison("ne");

/** Bitwise and; logical for bool. Integers and bool. */
export const and: BitsBinary = binary("and");
/** Bitwise or; logical for bool. Integers and bool. */
export const or: BitsBinary = binary("or");
/** Bitwise exclusive or; logical for bool. Integers and bool. */
export const xor: BitsBinary = binary("xor");
/** Bitwise complement; logical for bool. Integers and bool. */
export const not = <T extends BitsDType, S extends Shape>(x: Tile<T, S>): Tile<T, S> => x.not();
/** a << b, for 0 <= b < width. Integers. */
export const shl: Binary = binary("shl");
/** a >> b, for 0 <= b < width: arithmetic for signed integers, logical for u32. */
export const shr: Binary = binary("shr");
/** The high 32 bits of the 64-bit product of two u32. */
export const umulhi: Binary = binary("umulhi");

/** a · b + c, rounded once. Floats. */
export const fma = <T extends DTypeLike, A extends Shape, B extends Shape = A, C extends Shape = A>(
  a: Tile<T, A>,
  b: number | Tile<NoInfer<T>, BroadcastsWith<A, B>>,
  c: number | Tile<NoInfer<T>, BroadcastsWith<Broadcast<A, B>, C>>,
): Tile<T, Broadcast<Broadcast<A, B>, C>> => a.fma(b, c);

/**
 * Where the condition is true a, else b, element by element; all three broadcast. A branch on one bool scalar that should skip work is
 * `tl.if`.
 */
export const where = <
  C extends Shape,
  T extends DTypeLike = never,
  A extends Shape = readonly [],
  U extends DTypeLike = never,
  B extends Shape = readonly [],
>(
  condition: Tile<"bool", BroadcastsWith<Broadcast<A, B>, C>>,
  a: number | boolean | Tile<T, A>,
  b: number | boolean | Tile<SameDType<T, U>, BroadcastsWith<A, B>>,
): Tile<T | U, Broadcast<Broadcast<A, B>, C>> =>
  tileOf(
    select(
      tileValue(condition, "the condition of where"),
      operandOf(a, "the second operand of where"),
      operandOf(b, "the third operand of where"),
    ),
  );

/** x kept between two bounds. */
export const clamp = <T extends DTypeLike, S extends Shape>(x: Tile<T, S>, least: number, most: number): Tile<T, S> =>
  x.maximum(least).minimum(most);

/** -x */
export const neg = <T extends DTypeLike, S extends Shape>(x: Tile<T, S>): Tile<T, S> => x.neg();
/** |x| */
export const abs = <T extends DTypeLike, S extends Shape>(x: Tile<T, S>): Tile<T, S> => x.abs();
/** The largest integral value that is at most x. Floats. */
export const floor = <T extends DTypeLike, S extends Shape>(x: Tile<T, S>): Tile<T, S> => x.floor();
/** The smallest integral value that is at least x. Floats. */
export const ceil = <T extends DTypeLike, S extends Shape>(x: Tile<T, S>): Tile<T, S> => x.ceil();
/** e^x. f32: convert other dtypes first, `.to("f32")`. */
export const exp = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.exp();
/** 2^x; 0 for -Infinity. f32: convert other dtypes first, `.to("f32")`. */
export const exp2 = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.exp2();
/** Natural logarithm; -Infinity for 0. f32: convert other dtypes first, `.to("f32")`. */
export const log = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.log();
/** Logarithm to base 2; -Infinity for 0. f32: convert other dtypes first, `.to("f32")`. */
export const log2 = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.log2();
/** Square root. f32: convert other dtypes first, `.to("f32")`. */
export const sqrt = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.sqrt();
/** 1 / sqrt(x). f32: convert other dtypes first, `.to("f32")`. */
export const rsqrt = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.rsqrt();
/** Sine of x in radians. f32: convert other dtypes first, `.to("f32")`. */
export const sin = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.sin();
/** Cosine of x in radians. f32: convert other dtypes first, `.to("f32")`. */
export const cos = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.cos();
/** Hyperbolic tangent. f32: convert other dtypes first, `.to("f32")`. */
export const tanh = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.tanh();
/** 1 / (1 + e^-x). f32: convert other dtypes first, `.to("f32")`. */
export const sigmoid = <S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> => x.sigmoid();

/** (erf x / x - 1) as a function of x² up to 1, and log(1 - erf x) of x from 1 to 4: interpolated at Chebyshev's points. */
const NEAR = [0.12837917, -0.37612626, 0.112835944, -0.026854211, 0.0051890872, -0.00080168643, 0.000078758749];
const FAR = [
  -0.0007658978, -1.1258936, -0.63914126, -0.10328112, 0.022604773, -0.0034323514, 0.00031693702, -0.000013272362,
];

/** The error function, to 1.3e-7 of the result. f32: convert other dtypes first, `.to("f32")`. */
export function erf<S extends Shape>(x: Tile<"f32", S>): Tile<"f32", S> {
  if (tileValue(x, "the operand of erf").type.dtype !== "f32")
    fail("DTYPE", `erf is computed in f32, got ${x.dtype}: convert first, .to("f32")`);
  const polynomial = (coefficients: readonly number[], at: Tile<"f32", S>): Tile<"f32", S> =>
    coefficients
      .slice(0, -1)
      .reduceRight<Tile<"f32", S>>(
        (sum, coefficient) => sum.fma(at, Math.fround(coefficient)),
        full(x.shape, Math.fround(coefficients.at(-1)!), "f32"),
      );
  const size = x.abs();
  const near = x.fma(polynomial(NEAR, x.mul(x)), x);
  const far = sub(1, polynomial(FAR, size.minimum(4)).exp()) as Tile<"f32", S>;
  // Near for NaN, which a minimum may leave out.
  return where(size.ge(1), where(x.lt(0), far.neg(), far), near) as Tile<"f32", S>;
}
