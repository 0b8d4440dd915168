/**
 * @file The types that a tile carries: its dtype and its dimensions, and how shapes combine. Types only, nothing at run time: every
 * rule here is checked again while tracing.
 *
 * Three things make these types work inside helpers that are generic in their dimensions (`<M extends number>`), where a conditional
 * type normally stays unresolved and fits nothing:
 * - `Equal` compares by identity, so a free parameter equals itself and differs from a literal at once.
 * - `ExtentIsOne` hides its question in a variadic tuple: for a free `M` TypeScript then sees an array that is certainly not `[0]`, and takes M
 *   to be no 1. (A helper called with an extent of 1 is checked again while tracing.)
 * - Conditions are asked of whole shapes: a tuple `readonly [M, N]` is not itself free, whatever its elements are.
 */
import type { DType } from "../ir/index.ts";

declare const dimensionName: unique symbol;

/** A number that is known while compiling and named by the constant it comes from: two names are two different extents. */
export type Dim<Name extends string> = number & { readonly [dimensionName]: Name };

/** The extents of a tile, from the slowest axis to the fastest. A scalar has none. */
export type Shape = readonly number[];

/**
 * The dtype of a tile in the editor: a real one, or a variable of the kernel such as `"T"`, written with a capital letter and bound
 * when the kernel is traced.
 */
export type DTypeLike = DType | Capitalize<string>;

/** The dtypes that numbers may be reduced in. f16 and bf16: `.to("f32")` first. */
export type WideDType = "f32" | "i32" | "u32" | "i64";

/** The dtypes with bit operations. */
export type BitsDType = "bool" | "i8" | "i32" | "u32" | "i64";

/** What may be an offset of a pointer. */
export type OffsetDType = "i32" | "u32" | "i64";

/** `Yes` when A and B are the same type, else `No`. (Written out: under a common alias TypeScript would compare A and B for assignability.) */
type Equal<A, B, Yes, No> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? Yes : No;

/** `Yes` when B is the shape A or none, else `No`. One condition and not two, so that a free A resolves with itself and with a scalar. */
type EqualOrScalar<A, B, Yes, No> =
  (<X>() => X extends B ? 1 : 2) extends (<X>() => X extends A ? 1 : 2) | (<X>() => X extends readonly [] ? 1 : 2)
    ? Yes
    : No;

type Rank<S extends Shape> = S["length"];

/** `Yes` when axis `Axis` of S has the extent 1, else `No`; a free extent is no 1. */
type ExtentIsOne<S extends Shape, Axis extends keyof S, Yes, No> = S & {
  readonly one: [...(S[Axis] extends 1 ? [0] : [])];
} extends { readonly one: [0] }
  ? Yes
  : No;

/** The dtype in which a dot adds up. Of a free T, f32. */
export type DotResult<T extends DTypeLike> = Equal<T, "i8", "i32", "f32">;

/** S with leading 1s up to the rank of `Longer` (at most three of them). */
type Pad<S extends Shape, Longer extends Shape> =
  Rank<S> extends Rank<Longer>
    ? S
    : Longer extends readonly [unknown, ...infer One extends Shape]
      ? Rank<S> extends Rank<One>
        ? readonly [1, ...S]
        : One extends readonly [unknown, ...infer Two extends Shape]
          ? Rank<S> extends Rank<Two>
            ? readonly [1, 1, ...S]
            : Two extends readonly [unknown, ...infer Three extends Shape]
              ? Rank<S> extends Rank<Three>
                ? readonly [1, 1, 1, ...S]
                : S
              : S
          : S
      : S;

/** Axis by axis, of two shapes of one rank. */
type Joined<A extends Shape, B extends Shape> = {
  readonly [Axis in keyof A]: ExtentIsOne<A, Axis, Axis extends keyof B ? B[Axis] : never, A[Axis]>;
} extends infer Extents extends Shape
  ? Extents
  : never;

/** Axis by axis, of two shapes of one rank: what B should be to go with A. */
type Fitted<A extends Shape, B extends Shape> = {
  readonly [Axis in keyof B]: Axis extends keyof A
    ? ExtentIsOne<A, Axis, B[Axis], ExtentIsOne<B, Axis, B[Axis], A[Axis]>>
    : never;
};

/** S without leading axes, down to the rank of B. */
type Trimmed<S extends Shape, B extends Shape> =
  Rank<S> extends Rank<B>
    ? S
    : S extends readonly [unknown, ...infer Tail extends Shape]
      ? Trimmed<Readonly<Tail>, B>
      : S;

/**
 * The shape of `a + b`: missing leading axes and axes of extent 1 repeat. (`Same` is B: were B itself a possible result, then where `b` is a plain
 * number TypeScript would infer B from what the result is used for.)
 */
export type Broadcast<A extends Shape, B extends Shape> = EqualOrScalar<
  A,
  B,
  A,
  A extends readonly [] ? (B extends infer Same extends Shape ? Same : never) : Joined<Pad<A, B>, Pad<B, A>>
>;

/**
 * B itself where it broadcasts with A, else what it should have been. An operand of type `Tile<T, BroadcastsWith<A, B>>` infers B from the
 * argument and then names the expected shape in the error.
 */
export type BroadcastsWith<A extends Shape, B extends Shape> = EqualOrScalar<
  A,
  B,
  B,
  A extends readonly [] ? B : Rank<A> extends Rank<B> ? Fitted<A, B> : Trimmed<Fitted<Pad<A, B>, Pad<B, A>>, B>
>;

/** B itself where it can be repeated to A without making A larger (a mask, a stored value), else A. */
export type FitsIn<A extends Shape, B extends Shape> = Equal<A, Broadcast<A, B>, BroadcastsWith<A, B>, A>;

/** T where A is no dtype yet (the operand was a plain number) or the same; else A, for the error to name. */
export type SameDType<A extends DTypeLike, B extends DTypeLike> = Equal<A, B, B, [A] extends [never] ? B : A>;

/** S without an axis. */
export type WithoutAxis<S extends Shape, Axis extends number> = S extends readonly [unknown]
  ? readonly []
  : S extends readonly [infer A extends number, infer B extends number]
    ? Axis extends 0
      ? readonly [B]
      : readonly [A]
    : S extends readonly [infer A extends number, infer B extends number, infer C extends number]
      ? Axis extends 0
        ? readonly [B, C]
        : Axis extends 1
          ? readonly [A, C]
          : readonly [A, B]
      : Shape;

/** S with an axis of extent 1 before `Axis`. */
export type WithAxis<S extends Shape, Axis extends number> = Axis extends 0
  ? readonly [1, ...S]
  : S extends readonly [infer A extends number, ...infer Tail extends Shape]
    ? Axis extends 1
      ? readonly [A, 1, ...Tail]
      : Tail extends readonly [infer B extends number, ...infer Rest extends Shape]
        ? readonly [A, B, 1, ...Rest]
        : Shape
    : Shape;

/** Axis i of the result is axis `Order[i]` of S. */
export type Permuted<S extends Shape, Order extends readonly number[]> = {
  readonly [I in keyof Order]: Order[I] extends number ? S[Order[I]] : never;
};
