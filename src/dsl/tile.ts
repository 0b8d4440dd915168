/**
 * @file `Tile`: what a kernel computes with, and all its methods. The function forms are in `tl/`.
 *
 * Every method names the dtype and shape of `this` as its own type parameters. The class parameters then occur in `dtype` and `shape`
 * alone, so comparing two tile types is comparing those two, which keeps the editor fast and its messages one line long.
 */
import { type DType, dotResult, type Value } from "../ir/index.ts";
import { describeArgument, Handle } from "./handle.ts";
import {
  broadcastTo,
  cast,
  checkDType,
  checkExtents,
  compare,
  constant,
  elementwise,
  fastQuotient,
  isPlain,
  type Operand,
  reduce,
  scan,
  shapeText,
  transcendental,
} from "./operands.ts";
import { checkOptions, emit, emitOperation, fail } from "./trace-context.ts";
import type {
  BitsDType,
  Broadcast,
  BroadcastsWith,
  DotResult,
  DTypeLike,
  Permuted,
  Shape,
  WideDType,
  WithAxis,
  WithoutAxis,
} from "./types.ts";

/** A runtime value of one element: a tile without axes. */
export type Scalar<T extends DTypeLike> = Tile<T, readonly []>;

/** The bit operations and comparisons with `true` and `false` take booleans as well. */
type PlainBits = number | boolean;

/** Options of a scan. */
export interface ScanOptions {
  /** From the last element to the first. Default false. */
  readonly reverse?: boolean;
}

/** Options of `dot`. */
export interface DotOptions {
  /**
   * For f32 operands: `"ieee"` (the default) multiplies in f32; `"tf32"` rounds the operands to 10 bits of fraction where the target has
   * an instruction for it. Without effect on f16 and bf16.
   */
  readonly precision?: "ieee" | "tf32";
}

/** The option of a scan, checked. */
export function reverseOf(options: ScanOptions, what: string): boolean {
  checkOptions(options, { reverse: true }, what);
  return options.reverse ?? false;
}

/** A handle whose type the caller states: the one place where traced values get their editor type. */
export const tileOf = (value: Value): any => new Tile(value);

/** The IR value of an argument that must be a tile. */
export function tileValue(argument: unknown, what: string): Value {
  return argument instanceof Tile
    ? argument.value
    : fail("TYPE_MISMATCH", `${what} must be a tile or scalar, got ${describeArgument(argument)}`);
}

/** The IR value of an argument that may be a plain number too. */
export const operandOf = (argument: unknown, what: string): Operand =>
  isPlain(argument) ? argument : tileValue(argument, what);

const binary =
  (opcode: Parameters<typeof elementwise>[0], name: string) =>
  (a: Tile<any, any>, b: unknown): any =>
    tileOf(elementwise(opcode, [a.value, operandOf(b, `the operand of ${name}`)], name));
const add = binary("add", "add");
const sub = binary("sub", "sub");
const mul = binary("mul", "mul");
const div = binary("div", "div");
const rem = binary("rem", "rem");
const minimum = binary("min", "minimum");
const maximum = binary("max", "maximum");
const and = binary("and", "and");
const or = binary("or", "or");
const xor = binary("xor", "xor");
const shl = binary("shl", "shl");
const shr = binary("shr", "shr");

const comparison =
  (predicate: Parameters<typeof compare>[0]) =>
  (a: Tile<any, any>, b: unknown): any =>
    tileOf(compare(predicate, a.value, operandOf(b, `the operand of ${predicate}`)));
const lt = comparison("lt");
const le = comparison("le");
const gt = comparison("gt");
const ge = comparison("ge");
const eq = comparison("eq");
const ne = comparison("ne");

/**
 * An immutable array of a shape known while compiling: each extent is a power of two. `Tile<"f32", readonly [Dim<"BLOCK_M">, 64]>`.
 *
 * Operands of the elementwise methods are tiles of the same dtype, or plain numbers, which take the tile's dtype. Shapes broadcast: missing
 * leading axes and axes of extent 1 repeat. All methods throw `TraceError` with the line of the call: `SHAPE_MISMATCH`,
 * `DTYPE_MISMATCH` (two dtypes do not mix: use `.to`), `DTYPE` (the operation does not exist for the dtype), `CONSTANT` (a number that
 * the dtype cannot hold), `ESCAPED_VALUE` (a value of a loop or branch that has ended), `FOREIGN_VALUE` (of another kernel).
 */
export class Tile<out T extends DTypeLike, out S extends Shape> extends Handle {
  /** The dtype. In the editor possibly a variable such as `"T"`; while tracing the real one. */
  get dtype(): T {
    return this.value.type.dtype as T;
  }

  /** The extents, known while tracing. */
  get shape(): S {
    return (this.value.type as { shape: readonly number[] }).shape as S;
  }

  // --- arithmetic -----------------------------------------------------------------------------------------------------------------

  /** a + b. Integers wrap. */
  add<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return add(this, other);
  }

  /** a - b. Integers wrap. */
  sub<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return sub(this, other);
  }

  /** a · b, element by element. Integers wrap. */
  mul<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return mul(this, other);
  }

  /** a / b. Integers truncate towards zero. */
  div<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return div(this, other);
  }

  /**
   * a / b, fast: a times the hardware's reciprocal of b, some two instructions where `div` takes ten or more and a branch. f32: convert other dtypes first.
   * Off by a share of 2^-22 at most on CUDA and 2^-21 as WGSL has it, where 2^-126 <= |b| <= 2^126. A smaller |b| may count as 0, and a larger one as
   * infinite.
   */
  fdiv<S extends Shape, B extends Shape = S>(
    this: Tile<"f32", S>,
    other: number | Tile<"f32", BroadcastsWith<S, B>>,
  ): Tile<"f32", Broadcast<S, B>> {
    return tileOf(fastQuotient(this.value, operandOf(other, "the operand of fdiv")));
  }

  /** a - b · trunc(a / b): the remainder with the sign of a. */
  rem<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return rem(this, other);
  }

  /** The smaller of the two; if one is NaN, the other. (The smallest along an axis is `min`.) */
  minimum<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return minimum(this, other);
  }

  /** The larger of the two; if one is NaN, the other. (The largest along an axis is `max`.) */
  maximum<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return maximum(this, other);
  }

  /** a · b + c, rounded once. Floats. */
  fma<T extends DTypeLike, S extends Shape, B extends Shape = S, C extends Shape = S>(
    this: Tile<T, S>,
    b: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
    c: number | Tile<NoInfer<T>, BroadcastsWith<Broadcast<S, B>, C>>,
  ): Tile<T, Broadcast<Broadcast<S, B>, C>> {
    return tileOf(
      elementwise("fma", [this.value, operandOf(b, "the operand of fma"), operandOf(c, "the operand of fma")]),
    );
  }

  /** -a */
  neg<T extends DTypeLike, S extends Shape>(this: Tile<T, S>): Tile<T, S> {
    return tileOf(elementwise("neg", [this.value]));
  }

  /** |a| */
  abs<T extends DTypeLike, S extends Shape>(this: Tile<T, S>): Tile<T, S> {
    return tileOf(elementwise("abs", [this.value]));
  }

  /** The largest integral value that is at most a. Floats. */
  floor<T extends DTypeLike, S extends Shape>(this: Tile<T, S>): Tile<T, S> {
    return tileOf(elementwise("floor", [this.value]));
  }

  /** The smallest integral value that is at least a. Floats. */
  ceil<T extends DTypeLike, S extends Shape>(this: Tile<T, S>): Tile<T, S> {
    return tileOf(elementwise("ceil", [this.value]));
  }

  // --- bits and booleans ----------------------------------------------------------------------------------------------------------

  /** Bitwise and; logical for bool. Integers and bool. */
  and<T extends BitsDType, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: PlainBits | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return and(this, other);
  }

  /** Bitwise or; logical for bool. Integers and bool. */
  or<T extends BitsDType, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: PlainBits | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return or(this, other);
  }

  /** Bitwise exclusive or; logical for bool. Integers and bool. */
  xor<T extends BitsDType, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: PlainBits | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return xor(this, other);
  }

  /** Bitwise complement; logical for bool. Integers and bool. */
  not<T extends BitsDType, S extends Shape>(this: Tile<T, S>): Tile<T, S> {
    return tileOf(elementwise("not", [this.value]));
  }

  /** a << b, for 0 <= b < width. Integers. */
  shl<T extends Exclude<BitsDType, "bool">, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return shl(this, other);
  }

  /** a >> b, for 0 <= b < width: arithmetic for signed integers, logical for u32. */
  shr<T extends Exclude<BitsDType, "bool">, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<T, Broadcast<S, B>> {
    return shr(this, other);
  }

  // --- comparisons: bool tiles; with NaN false, except ne -------------------------------------------------------------------------

  /** a < b */
  lt<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<"bool", Broadcast<S, B>> {
    return lt(this, other);
  }

  /** a <= b */
  le<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<"bool", Broadcast<S, B>> {
    return le(this, other);
  }

  /** a > b */
  gt<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<"bool", Broadcast<S, B>> {
    return gt(this, other);
  }

  /** a >= b */
  ge<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: number | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<"bool", Broadcast<S, B>> {
    return ge(this, other);
  }

  /** a equals b (`===` compares handles, not values) */
  eq<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: PlainBits | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<"bool", Broadcast<S, B>> {
    return eq(this, other);
  }

  /** a differs from b; true where one is NaN */
  ne<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Tile<T, S>,
    other: PlainBits | Tile<NoInfer<T>, BroadcastsWith<S, B>>,
  ): Tile<"bool", Broadcast<S, B>> {
    return ne(this, other);
  }

  // --- functions of f32; f16 and bf16: .to("f32") first ---------------------------------------------------------------------------

  /** e^a. f32: convert other dtypes first, `.to("f32")`. */
  exp<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("exp", this.value));
  }

  /** 2^a; 0 for -Infinity. f32: convert other dtypes first, `.to("f32")`. */
  exp2<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("exp2", this.value));
  }

  /** Natural logarithm; -Infinity for 0. f32: convert other dtypes first, `.to("f32")`. */
  log<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("log", this.value));
  }

  /** Logarithm to base 2; -Infinity for 0. f32: convert other dtypes first, `.to("f32")`. */
  log2<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("log2", this.value));
  }

  /** Square root. f32: convert other dtypes first, `.to("f32")`. */
  sqrt<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("sqrt", this.value));
  }

  /** 1 / sqrt(a). f32: convert other dtypes first, `.to("f32")`. */
  rsqrt<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("rsqrt", this.value));
  }

  /** Sine of a in radians. f32: convert other dtypes first, `.to("f32")`. */
  sin<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("sin", this.value));
  }

  /** Cosine of a in radians. f32: convert other dtypes first, `.to("f32")`. */
  cos<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("cos", this.value));
  }

  /** Hyperbolic tangent. f32: convert other dtypes first, `.to("f32")`. */
  tanh<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    return tileOf(transcendental("tanh", this.value));
  }

  /** 1 / (1 + e^-a). f32: convert other dtypes first, `.to("f32")`. */
  sigmoid<S extends Shape>(this: Tile<"f32", S>): Tile<"f32", S> {
    const decay = transcendental("exp", elementwise("neg", [this.value], "sigmoid"));
    return tileOf(fastQuotient(1, elementwise("add", [decay, 1], "sigmoid")));
  }

  // --- dtypes ---------------------------------------------------------------------------------------------------------------------

  /**
   * The values as another dtype. To a float: rounded to nearest even. Float to integer: towards zero, saturating, NaN to 0. To bool: a != 0.
   * `p.out.dtype` names a tensor's dtype.
   */
  to<D extends DTypeLike, S extends Shape>(this: Tile<DTypeLike, S>, dtype: D): Tile<D, S> {
    return tileOf(cast(this.value, checkDType(dtype)));
  }

  /** The same bits as another dtype of the same size (`BITCAST` otherwise). */
  bitcast<D extends DTypeLike, S extends Shape>(this: Tile<DTypeLike, S>, dtype: D): Tile<D, S> {
    return tileOf(emit("bitcast", [this.value], { dtype: checkDType(dtype) }));
  }

  // --- shapes ---------------------------------------------------------------------------------------------------------------------

  /** [M] to [M, 1]: one value for each row, ready to broadcast along the columns. */
  perRow<T extends DTypeLike, M extends number>(this: Tile<T, readonly [M]>): Tile<T, readonly [M, 1]> {
    return tileOf(emit("expand_dims", [vectorOf(this, "perRow")], { axis: 1 }));
  }

  /** [N] to [1, N]: one value for each column, ready to broadcast along the rows. */
  perColumn<T extends DTypeLike, N extends number>(this: Tile<T, readonly [N]>): Tile<T, readonly [1, N]> {
    return tileOf(emit("expand_dims", [vectorOf(this, "perColumn")], { axis: 0 }));
  }

  /** Inserts an axis of extent 1 before `axis` (at most the rank). */
  expandDims<T extends DTypeLike, S extends Shape, const A extends number>(
    this: Tile<T, S>,
    axis: A,
  ): Tile<T, WithAxis<S, A>> {
    return tileOf(emit("expand_dims", [this.value], { axis }));
  }

  /** Repeats to `shape`: missing leading axes and axes of extent 1. */
  broadcastTo<T extends DTypeLike, const To extends Shape>(this: Tile<T, Shape>, shape: To): Tile<T, To> {
    return tileOf(broadcastTo(this.value, checkExtents(shape, "broadcastTo"), "broadcastTo"));
  }

  /** The same elements in row-major order under another shape of as many elements (`RESHAPE` otherwise). */
  reshape<T extends DTypeLike, const To extends Shape>(this: Tile<T, Shape>, shape: To): Tile<T, To> {
    return tileOf(emit("reshape", [this.value], { shape: checkExtents(shape, "reshape") }));
  }

  /** The transpose of a matrix: [M, N] to [N, M]. */
  trans<T extends DTypeLike, M extends number, N extends number>(
    this: Tile<T, readonly [M, N]>,
  ): Tile<T, readonly [N, M]> {
    const shape = this.value.type.kind === "tile" ? this.value.type.shape : [];
    if (shape.length !== 2)
      fail("AXIS", `trans swaps the axes of a matrix, got shape ${shapeText(shape)}: use permute([...])`);
    return tileOf(emit("trans", [this.value], { permutation: [1, 0] }));
  }

  /** Reorders axes: axis i of the result is axis `order[i]` of this. */
  permute<T extends DTypeLike, S extends Shape, const Order extends readonly number[]>(
    this: Tile<T, S>,
    order: Order,
  ): Tile<T, Permuted<S, Order>> {
    return tileOf(emit("trans", [this.value], { permutation: order }));
  }

  /** Splits the last axis, which must have extent 2, into the tiles at index 0 and 1. The reverse of `tl.join`. */
  split<T extends DTypeLike, H extends Shape>(
    this: Tile<T, readonly [...H, 2]>,
  ): [Tile<T, Readonly<H>>, Tile<T, Readonly<H>>] {
    const [first, second] = emitOperation("split", [this.value]).results;
    return [tileOf(first!), tileOf(second!)];
  }

  // --- across elements ------------------------------------------------------------------------------------------------------------

  /**
   * Matrix product with another tile, plus `accumulator` if given: [M, K]·[K, N] to [M, N]. Both of one float dtype, summed in f32, or both
   * of i8, summed in i32, which wraps (`DOT_SHAPE`, `DTYPE` otherwise).
   */
  dot<T extends DTypeLike, M extends number, K extends number, N extends number>(
    this: Tile<T, readonly [M, K]>,
    other: Tile<NoInfer<T>, readonly [NoInfer<K>, N]>,
    accumulator?: Tile<DotResult<NoInfer<T>>, readonly [NoInfer<M>, NoInfer<N>]>,
    options: DotOptions = {},
  ): Tile<DotResult<T>, readonly [M, N]> {
    const a = tileValue(this, "the first operand of dot");
    const b = tileValue(other, "the second operand of dot");
    const [left, right]: Shape[] = [this.shape, other.shape];
    if (left!.length !== 2 || right!.length !== 2 || left![1] !== right![0]) {
      const hint = right!.length === 2 && left![1] === right![1] ? ": transpose the second, .trans()" : "";
      fail("DOT_SHAPE", `dot multiplies [M, K] by [K, N], got ${shapeText(left!)} by ${shapeText(right!)}${hint}`);
    }
    checkOptions(options, { precision: true }, "dot");
    const sum = accumulator
      ? tileValue(accumulator, "the accumulator of dot")
      : constant(0, dotResult(this.dtype as DType), [left![0]!, right![1]!]);
    return tileOf(emit("dot", [a, b, sum], { precision: options.precision ?? "ieee" }));
  }

  /** The sum along `axis`, which disappears; over all elements without one. f32, i32, u32, i64. */
  sum<T extends WideDType, S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<T, S>,
    axis?: A,
  ): Tile<T, Reduced<S, A>> {
    return tileOf(reduce("sum", this.value, axis));
  }

  /** The product along `axis`, or of all elements. f32, i32, u32, i64. */
  prod<T extends WideDType, S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<T, S>,
    axis?: A,
  ): Tile<T, Reduced<S, A>> {
    return tileOf(reduce("product", this.value, axis));
  }

  /** The largest along `axis`, or of all elements; NaNs are passed over. f32, i32, u32, i64. */
  max<T extends WideDType, S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<T, S>,
    axis?: A,
  ): Tile<T, Reduced<S, A>> {
    return tileOf(reduce("max", this.value, axis));
  }

  /** The smallest along `axis`, or of all elements; NaNs are passed over. f32, i32, u32, i64. */
  min<T extends WideDType, S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<T, S>,
    axis?: A,
  ): Tile<T, Reduced<S, A>> {
    return tileOf(reduce("min", this.value, axis));
  }

  /** The i32 index along `axis` of the first largest element; without an axis, the index in row-major order. */
  argmax<S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<WideDType, S>,
    axis?: A,
  ): Tile<"i32", Reduced<S, A>> {
    return tileOf(reduce("argmax", this.value, axis));
  }

  /** The i32 index along `axis` of the first smallest element; without an axis, the index in row-major order. */
  argmin<S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<WideDType, S>,
    axis?: A,
  ): Tile<"i32", Reduced<S, A>> {
    return tileOf(reduce("argmin", this.value, axis));
  }

  /** Whether all are true (for integers: the bitwise and) along `axis`, or over all elements. */
  all<T extends BitsDType, S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<T, S>,
    axis?: A,
  ): Tile<T, Reduced<S, A>> {
    return tileOf(reduce("and", this.value, axis));
  }

  /** Whether any is true (for integers: the bitwise or) along `axis`, or over all elements. */
  any<T extends BitsDType, S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<T, S>,
    axis?: A,
  ): Tile<T, Reduced<S, A>> {
    return tileOf(reduce("or", this.value, axis));
  }

  /** The exclusive or along `axis`, or over all elements. Integers and bool. */
  xorSum<T extends BitsDType, S extends Shape, const A extends number | undefined = undefined>(
    this: Tile<T, S>,
    axis?: A,
  ): Tile<T, Reduced<S, A>> {
    return tileOf(reduce("xor", this.value, axis));
  }

  /** Running sum along `axis`, each element included. f32, i32, u32, i64. */
  cumsum<T extends WideDType, S extends Shape>(this: Tile<T, S>, axis: number, options: ScanOptions = {}): Tile<T, S> {
    return tileOf(scan("sum", this.value, axis, reverseOf(options, "cumsum")));
  }

  /** Running product along `axis`, each element included. f32, i32, u32, i64. */
  cumprod<T extends WideDType, S extends Shape>(this: Tile<T, S>, axis: number, options: ScanOptions = {}): Tile<T, S> {
    return tileOf(scan("product", this.value, axis, reverseOf(options, "cumprod")));
  }

  /** Running maximum along `axis`, each element included. f32, i32, u32, i64. */
  cummax<T extends WideDType, S extends Shape>(this: Tile<T, S>, axis: number, options: ScanOptions = {}): Tile<T, S> {
    return tileOf(scan("max", this.value, axis, reverseOf(options, "cummax")));
  }

  /** Running minimum along `axis`, each element included. f32, i32, u32, i64. */
  cummin<T extends WideDType, S extends Shape>(this: Tile<T, S>, axis: number, options: ScanOptions = {}): Tile<T, S> {
    return tileOf(scan("min", this.value, axis, reverseOf(options, "cummin")));
  }
}

/** The shape after a reduction along an axis, or over all. */
export type Reduced<S extends Shape, A extends number | undefined> = A extends number ? WithoutAxis<S, A> : readonly [];

function vectorOf(tile: Tile<DTypeLike, Shape>, what: string): Value {
  if (tile.shape.length !== 1)
    fail("AXIS", `${what} works on tiles of one axis, got shape ${shapeText(tile.shape)}: use expandDims(axis)`);
  return tile.value;
}
