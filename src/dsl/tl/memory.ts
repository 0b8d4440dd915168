/**
 * @file `tl`: memory through pointers, for gathers, scatters and atomics. Dense tensors are easier through `TensorView`.
 */
import type { AtomicKind, Value } from "../../ir/index.ts";
import { alongPointer, indexValue } from "../operands.ts";
import { type Pointer, pointerValue } from "../pointer.ts";
import { operandOf, type Scalar, type Tile, tileOf, tileValue } from "../tile.ts";
import { checkOptions, emit, emitOperation, fail } from "../trace-context.ts";
import type { DTypeLike, FitsIn, Shape } from "../types.ts";
import { type Index, type TensorView, viewOf } from "../view.ts";

/** Options of `load`. */
export interface LoadOptions<T extends DTypeLike, S extends Shape, M extends Shape, O extends Shape> {
  /** Where to read; elsewhere the result is `other`. Without it, everywhere: every address must then be valid. */
  readonly mask?: Tile<"bool", FitsIn<S, M>>;
  /** The result where the mask is false. Default 0. */
  readonly other?: number | boolean | Tile<NoInfer<T>, FitsIn<S, O>>;
}

/** Options of `store` and of the atomics. */
export interface StoreOptions<S extends Shape, M extends Shape> {
  /** Where to write. Without it, everywhere: every address must then be valid. */
  readonly mask?: Tile<"bool", FitsIn<S, M>>;
}

/** Reads each address where the mask is true. `mask` and `other` repeat to the shape of the pointer. */
export function load<T extends DTypeLike, S extends Shape, M extends Shape = S, O extends Shape = S>(
  pointer: Pointer<T, S>,
  options: LoadOptions<T, S, M, O> = {},
): Tile<T, S> {
  const { value, type } = pointerValue(pointer, "the operand of load");
  checkOptions(options, { mask: true, other: true }, "load");
  const { mask, other } = options;
  if (mask === undefined) {
    if (other !== undefined) fail("MASK", "load: other is used only where the mask is false; give a mask too");
    return tileOf(emit("load", [value]));
  }
  const operands = [value, alongPointer(tileValue(mask, "the mask of load"), type, "bool", "the mask of load")];
  if (other !== undefined)
    operands.push(alongPointer(operandOf(other, "other of load"), type, type.dtype, "other of load"));
  return tileOf(emit("load", operands));
}

/** The operands [pointer, value, mask?] of what writes. */
function writing(pointer: unknown, stored: unknown, options: { readonly mask?: unknown }, what: string): Value[] {
  checkOptions(options, { mask: true }, what);
  const { mask } = options;
  const { value, type } = pointerValue(pointer, `the first operand of ${what}`);
  const operands = [
    value,
    alongPointer(operandOf(stored, `the value of ${what}`), type, type.dtype, `the value of ${what}`),
  ];
  if (mask !== undefined)
    operands.push(alongPointer(tileValue(mask, `the mask of ${what}`), type, "bool", `the mask of ${what}`));
  return operands;
}

/** Writes to each address where the mask is true. `value` (of the pointer's dtype, or a number) and `mask` repeat to its shape. */
export function store<T extends DTypeLike, S extends Shape, V extends Shape = S, M extends Shape = S>(
  pointer: Pointer<T, S>,
  value: number | boolean | Tile<NoInfer<T>, FitsIn<S, V>>,
  options: StoreOptions<S, M> = {},
): void {
  emitOperation("store", writing(pointer, value, options, "store"));
}

/**
 * Reads, combines and writes each element as one step; gives the old values (undefined where the mask is false). i32 and u32; f32 for add
 * and exchange. The order among programs is not defined, so a float sum differs between runs.
 */
type Atomic = <T extends DTypeLike, S extends Shape, V extends Shape = S, M extends Shape = S>(
  pointer: Pointer<T, S>,
  value: number | Tile<NoInfer<T>, FitsIn<S, V>>,
  options?: StoreOptions<S, M>,
) => Tile<T, S>;

const atomic =
  (kind: AtomicKind, name: string) =>
  (pointer: unknown, value: unknown, options: { readonly mask?: unknown } = {}): any =>
    tileOf(emit("atomic_rmw", writing(pointer, value, options, name), { kind }));

/** Adds to memory as one step and gives the old values. i32, u32, f32. */
export const atomicAdd: Atomic = atomic("add", "atomicAdd");
/** Puts the larger of memory and value into memory as one step and gives the old values. i32, u32. */
export const atomicMax: Atomic = atomic("max", "atomicMax");
/** Puts the smaller of memory and value into memory as one step and gives the old values. i32, u32. */
export const atomicMin: Atomic = atomic("min", "atomicMin");
/** Bitwise and with memory as one step; gives the old values. i32, u32. */
export const atomicAnd: Atomic = atomic("and", "atomicAnd");
/** Bitwise or with memory as one step; gives the old values. i32, u32. */
export const atomicOr: Atomic = atomic("or", "atomicOr");
/** Bitwise exclusive or with memory as one step; gives the old values. i32, u32. */
export const atomicXor: Atomic = atomic("xor", "atomicXor");
/** Swaps value and memory as one step; gives the old values. i32, u32, f32. */
export const atomicExchange: Atomic = atomic("exchange", "atomicExchange");

/** Where memory equals `expected`, writes `value`, as one step; gives the old values. i32, u32. */
export function atomicCas<T extends DTypeLike, S extends Shape, E extends Shape = S, V extends Shape = S>(
  pointer: Pointer<T, S>,
  expected: number | Tile<NoInfer<T>, FitsIn<S, E>>,
  value: number | Tile<NoInfer<T>, FitsIn<S, V>>,
): Tile<T, S> {
  const address = pointerValue(pointer, "the first operand of atomicCas");
  const element = (operand: unknown, what: string): Value =>
    alongPointer(operandOf(operand, what), address.type, address.type.dtype, what);
  return tileOf(
    emit("atomic_cas", [
      address.value,
      element(expected, "the expected value of atomicCas"),
      element(value, "the value of atomicCas"),
    ]),
  );
}

/**
 * A tensor view of memory from one pointer: sizes (numbers or i32 scalars) and strides in elements (numbers, i32 or i64 scalars), one
 * for each axis. For tensors that are found at run time, such as a page of a cache.
 */
export function makeView<T extends DTypeLike, const Sizes extends readonly Index[]>(
  pointer: Pointer<T, readonly []>,
  shape: Sizes,
  strides: { readonly [I in keyof Sizes]: Index | Scalar<"i64"> },
): TensorView<T, Sizes["length"]> {
  const { value, type } = pointerValue(pointer, "the first operand of makeView");
  if (type.shape.length > 0) fail("VIEW_RANK", "makeView starts from one pointer, not from a tile of pointers");
  if (strides.length !== shape.length)
    fail("VIEW_RANK", `makeView: ${shape.length} sizes need as many strides, got ${strides.length}`);
  const sizes = shape.map((size, i) => indexValue(operandOf(size, `size ${i} of makeView`), `size ${i} of makeView`));
  const steps = (strides as readonly (Index | Scalar<"i64">)[]).map((stride, i) => {
    const operand = operandOf(stride, `stride ${i} of makeView`);
    const wide = typeof operand === "object" && operand.type.kind === "tile" && operand.type.dtype === "i64";
    return wide ? operand : indexValue(operand, `stride ${i} of makeView`);
  });
  return viewOf(emit("make_view", [value, ...sizes, ...steps], { rank: shape.length }));
}
