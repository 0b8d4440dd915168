/**
 * @file Kernel parameters: how an author declares them, and what they become in the kernel's body.
 */
import { type DType, dtypes, type KernelParameter, type ParameterFacts, type Value } from "../ir/index.ts";
import { type NamesOf, TraceError, unknownName } from "../support/index.ts";
import { GridExpression, GridTensor } from "./grid.ts";
import { type Pointer, pointerOf } from "./pointer.ts";
import { type Scalar, tileOf } from "./tile.ts";
import type { DTypeLike } from "./types.ts";
import { type TensorView, viewOf } from "./view.ts";

/** What a parameter is inside the body and inside the grid. Types only: nothing is stored under these keys. */
declare const inBody: unique symbol;
declare const inGrid: unique symbol;

interface Spec<Kind extends KernelParameter["kind"], T extends DTypeLike, Body, Grid> {
  readonly kind: Kind;
  /** As declared: a dtype, or a variable such as "T". */
  readonly dtype: T;
  readonly facts: ParameterFacts;
  readonly [inBody]: Body;
  readonly [inGrid]: Grid;
}

/** Made by `tl.tensor`. */
export interface TensorSpec<T extends DTypeLike, R extends number>
  extends Spec<"tensor", T, TensorView<T, R>, GridTensor> {
  readonly rank: R;
}

/** Made by `tl.pointer`. */
export type PointerSpec<T extends DTypeLike> = Spec<"pointer", T, Pointer<T, readonly []>, never>;

/** Made by `tl.scalar`. */
export type ScalarSpec<T extends DTypeLike> = Spec<"scalar", T, Scalar<T>, GridExpression>;

/** One declared parameter. */
export type ParameterSpec = Spec<KernelParameter["kind"], DTypeLike, unknown, unknown> & { readonly rank?: number };

/** The parameters of a kernel, in the order of its arguments. */
export type ParameterSpecs = Readonly<Record<string, ParameterSpec>>;

/** The parameters as the body sees them: `TensorView`, `Pointer` and `Scalar`. */
export type BodyParameters<P extends ParameterSpecs> = { readonly [K in keyof P]: P[K][typeof inBody] };

/** The parameters as the grid sees them: sizes of tensors, and i32 scalars, as expressions. */
export type GridParameters<P extends ParameterSpecs> = { readonly [K in keyof P]: P[K][typeof inGrid] };

/** The dtype variables among the parameters: `"T"` of `tl.tensor("T", 4)`. */
export type DTypeVariables<P extends ParameterSpecs> = Exclude<P[keyof P]["dtype"], DType>;

/**
 * A tensor parameter. Its argument brings its own sizes and strides.
 *
 * @param dtype A dtype, or a variable (a capital letter first: `"T"`) that stands for the dtype of the argument. All parameters of one
 * variable have one dtype.
 * @param rank The number of axes.
 * @param facts What the compiled code may assume; a launch with arguments that do not fit compiles anew. Default: the last stride is 1, and
 * the address and all other strides are multiples of 16 bytes.
 */
export function tensor<const T extends DTypeLike, const R extends number>(
  dtype: T,
  rank: R,
  facts: ParameterFacts = {},
): TensorSpec<T, R> {
  if (!Number.isInteger(rank) || rank < 0)
    throw new TraceError("PARAMETER", `a tensor's rank is its number of axes, got ${rank}`);
  return { ...spec("tensor", dtype, { unitStride: true, alignment: 16, ...facts }), rank } as TensorSpec<T, R>;
}

/** A pointer parameter, for gathers: `p.x.add(offsets)` with `tl.load`. Its dtype and facts are as of `tl.tensor`; alignment 16. */
export const pointer = <const T extends DTypeLike>(dtype: T, facts: ParameterFacts = {}): PointerSpec<T> =>
  spec("pointer", dtype, { alignment: 16, ...facts }) as PointerSpec<T>;

/** A scalar parameter: a number that each launch gives, without compiling anew. `facts: { divisibleBy: 16 }` for integers. */
export const scalar = <const T extends DTypeLike>(dtype: T, facts: ParameterFacts = {}): ScalarSpec<T> =>
  spec("scalar", dtype, facts) as ScalarSpec<T>;

export const factNames: NamesOf<ParameterFacts> = { alignment: true, unitStride: true, divisibleBy: true };

function spec(kind: KernelParameter["kind"], dtype: DTypeLike, facts: ParameterFacts): ParameterSpec {
  if (!isDType(dtype) && !isVariable(dtype))
    throw new TraceError(
      "DTYPE",
      `${JSON.stringify(dtype)} is neither a dtype (${dtypes.join(", ")}) nor a dtype variable (an identifier with a capital letter first, such as "T")`,
    );
  const unknown = unknownName(facts, factNames, "fact");
  if (unknown !== undefined) throw new TraceError("PARAMETER", `tl.${kind}: ${unknown}`);
  return { kind, dtype, facts } as ParameterSpec;
}

const isDType = (dtype: DTypeLike): dtype is DType => dtypes.includes(dtype as DType);
const isVariable = (dtype: DTypeLike): boolean => /^[A-Z]\w*$/.test(dtype);

/** The dtype variables in the order in which the parameters name them. */
export const dtypeVariablesOf = (params: ParameterSpecs): string[] => [
  ...new Set(
    Object.values(params)
      .map(({ dtype }) => dtype)
      .filter((dtype) => !isDType(dtype)),
  ),
];

/** The parameters as declared or, with `dtypes` and `facts`, as one specialisation has them. */
export function declaredParameters(
  params: ParameterSpecs,
): (Omit<KernelParameter, "dtype"> & { readonly dtype: DTypeLike })[] {
  return Object.entries(params).map(([name, { kind, dtype, rank = 0, facts }]) => ({ name, kind, dtype, rank, facts }));
}

/** The handle that the body gets for a parameter. */
export function bodyHandle({ kind }: KernelParameter, value: Value): unknown {
  return kind === "tensor" ? viewOf(value) : kind === "pointer" ? pointerOf(value) : tileOf(value);
}

/** What the grid gets for the parameters. Pointers and floats have no place there. */
export function gridHandles(parameters: readonly KernelParameter[]): Record<string, unknown> {
  return Object.fromEntries(
    parameters
      .filter(({ kind, dtype }) => kind === "tensor" || (kind === "scalar" && dtype === "i32"))
      .map(({ name, kind, rank }) => [name, kind === "tensor" ? new GridTensor(name, rank) : new GridExpression(name)]),
  );
}
