/**
 * @file What a launch hands to the interpreter, its checks against the kernel's parameters, and how it becomes regions and values.
 */
import { elementBytes, isFloat, type Kernel, type KernelParameter } from "../ir/index.ts";
import { LaunchError } from "../support/index.ts";
import { roundingPass, type StorageArray, storageArrays, type TileArray } from "./arrays.ts";
import type { Checks } from "./machine.ts";
import { type Region, regionBase } from "./memory.ts";
import { Shadow } from "./shadow.ts";

/**
 * A tensor or pointer argument: memory that the kernel reads and writes in place. `data` is an array of the storage dtype: f32
 * Float32Array, f16 and bf16 Uint16Array (bits), i32 Int32Array, u32 Uint32Array, i8 Int8Array, i64 BigInt64Array, bool Uint8Array.
 */
export interface TensorArgument {
  readonly data: StorageArray;
  /** Elements of `data` before the tensor's first; 0 if missing. */
  readonly offset?: number;
  /** Of a tensor; not of a pointer. */
  readonly shape?: readonly number[];
  /** In elements; row-major if missing. */
  readonly strides?: readonly number[];
  /** Nothing in `data` has been written yet: reading what the launch has not written is an error. */
  readonly uninitialized?: boolean;
  /**
   * The same, remembered from launch to launch: one byte an element of `data`, 0 where never written; updated in place. All arguments
   * that lie in one array should give the same one.
   */
  readonly written?: Uint8Array;
}

export type Argument = TensorArgument | number | bigint | boolean;
export type Arguments = Readonly<Record<string, Argument>>;

/** The arguments as the planned kernel takes them. */
export interface BoundArguments {
  readonly regions: readonly Region[];
  /** The value of each parameter, in order. */
  readonly values: readonly (readonly (number | bigint)[])[];
  /** What grid expressions may name. */
  readonly sizes: Readonly<Record<string, number>>;
}

const refuse = (code: string, kernel: Kernel, name: string, what: string): never => {
  throw new LaunchError(code, `kernel "${kernel.name}", argument "${name}": ${what}`);
};

/** Checks and binds. Throws `LaunchError`, naming the argument: `ARGUMENT_MISSING`, `ARGUMENT_UNKNOWN`, `ARGUMENT_KIND`, `DTYPE`, `SHAPE_MISMATCH`, `OUT_OF_BOUNDS`, `PARAMETER_FACT`. */
export function bindArguments(kernel: Kernel, given: Arguments, checks: Checks): BoundArguments {
  const known = new Set(kernel.parameters.map(({ name }) => name));
  for (const name of Object.keys(given))
    if (!known.has(name)) refuse("ARGUMENT_UNKNOWN", kernel, name, `the kernel has only ${[...known].join(", ")}`);
  const regions: Region[] = [];
  const sizes: Record<string, number> = {};
  const shadows = new Shadows(checks);
  const values = kernel.parameters.map((parameter) => {
    const { name } = parameter;
    const argument = given[name];
    if (argument === undefined) return refuse("ARGUMENT_MISSING", kernel, name, "is missing");
    if (parameter.kind === "scalar") {
      const value = bindScalar(kernel, parameter, argument, checks);
      if (Number.isInteger(Number(value))) sizes[name] = Number(value);
      return [value];
    }
    if (typeof argument !== "object") return refuse("ARGUMENT_KIND", kernel, name, `must be a ${parameter.kind}`);
    const { shape, strides, span } = describeTensor(kernel, parameter, argument, checks);
    shape.forEach((size, axis) => {
      sizes[`${name}.shape.${axis}`] = size;
    });
    const base = regionBase(regions.length);
    const whole = checks.bounds === "buffer" || parameter.kind === "pointer";
    const [low, high] = whole ? [0, argument.data.length] : span;
    regions.push({ name, data: argument.data, low, high, base, shadow: shadows.get(argument) });
    return [base + (argument.offset ?? 0), ...shape, ...strides];
  });
  return { regions, values, sizes };
}

/** Arguments that lie in one array share what is known of its elements. */
class Shadows {
  readonly #checks: Checks;
  readonly #made = new Map<StorageArray, Shadow>();

  constructor(checks: Checks) {
    this.#checks = checks;
  }

  get({ data, uninitialized, written }: TensorArgument): Shadow | undefined {
    const known = this.#made.get(data);
    if (known) return known;
    const { undefinedValues, races } = this.#checks;
    const tracked = undefinedValues
      ? (written ?? (uninitialized ? new Uint8Array(data.length) : undefined))
      : undefined;
    if (!tracked && !races) return undefined;
    const shadow = new Shadow(data.length, tracked, races);
    this.#made.set(data, shadow);
    return shadow;
  }
}

function bindScalar(kernel: Kernel, parameter: KernelParameter, value: Argument, checks: Checks): number | bigint {
  const { name, dtype, facts } = parameter;
  if (typeof value === "object") return refuse("ARGUMENT_KIND", kernel, name, `must be a ${dtype} scalar`);
  if (dtype === "bool") return value ? 1 : 0;
  if (isFloat(dtype)) {
    const rounded = new Float32Array([Number(value)]);
    roundingPass(dtype, rounded)?.();
    return rounded[0]!;
  }
  if (typeof value === "number" && !Number.isInteger(value))
    return refuse("DTYPE", kernel, name, `must be an integer (${dtype}), got ${value}`);
  const exact = BigInt(value);
  const bits = elementBytes[dtype] * 8;
  if ((dtype === "u32" ? BigInt.asUintN(bits, exact) : BigInt.asIntN(bits, exact)) !== exact)
    return refuse("DTYPE", kernel, name, `${value} does not fit in ${dtype}`);
  if (checks.promises && facts.divisibleBy !== undefined && exact % BigInt(facts.divisibleBy) !== 0n)
    return refuse("PARAMETER_FACT", kernel, name, `${value} is not a multiple of ${facts.divisibleBy}`);
  return dtype === "i64" ? exact : Number(exact);
}

interface TensorDescription {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** The elements of `data` from the view's first to one past its last. */
  readonly span: readonly [number, number];
}

function describeTensor(
  kernel: Kernel,
  { name, kind, dtype, rank, facts }: KernelParameter,
  argument: TensorArgument,
  checks: Checks,
): TensorDescription {
  const { data, offset = 0, shape = [] } = argument;
  if (!(data instanceof storageArrays[dtype]))
    return refuse("DTYPE", kernel, name, `${dtype} needs a ${storageArrays[dtype].name}, got ${typeName(data)}`);
  if (!Number.isInteger(offset)) refuse("SHAPE_MISMATCH", kernel, name, `offset ${offset} is not an integer`);
  const bytes = elementBytes[dtype];
  const { alignment = 1, unitStride } = facts;
  const fact = (holds: boolean, what: string): void => {
    if (checks.promises && !holds) refuse("PARAMETER_FACT", kernel, name, what);
  };
  fact((offset * bytes) % alignment === 0, `starts ${offset * bytes} bytes in, not at a multiple of ${alignment}`);
  if (kind === "pointer") return { shape: [], strides: [], span: [0, data.length] };

  const strides = argument.strides ?? rowMajor(shape);
  if (shape.length !== rank || strides.length !== rank)
    refuse("SHAPE_MISMATCH", kernel, name, `needs ${rank} sizes and strides, got [${shape}] and [${strides}]`);
  if (![...shape, ...strides].every(Number.isInteger) || shape.some((size) => size < 0))
    refuse("SHAPE_MISMATCH", kernel, name, `sizes and strides must be integers, got [${shape}] and [${strides}]`);
  fact(
    !unitStride || shape.at(-1)! <= 1 || strides.at(-1) === 1,
    `the last stride must be 1, but is ${strides.at(-1)}`,
  );
  for (const [axis, stride] of strides.entries())
    fact(
      shape[axis]! <= 1 ||
        (stride === 1 && (axis === rank - 1 || shape.at(-1)! <= 1)) ||
        (stride * bytes) % alignment === 0,
      `stride ${stride} along axis ${axis} is not a multiple of ${alignment} bytes`,
    );
  if (shape.includes(0)) return { shape, strides, span: [0, 0] };
  let [low, high] = [offset, offset + 1];
  strides.forEach((stride, axis) => {
    const reach = (shape[axis]! - 1) * stride;
    if (reach < 0) low += reach;
    else high += reach;
  });
  if (low < 0 || high > data.length)
    refuse("OUT_OF_BOUNDS", kernel, name, `covers elements ${low} to ${high - 1} of an array of ${data.length}`);
  return { shape, strides, span: [low, high] };
}

const typeName = (data: unknown): string => (data as object)?.constructor?.name ?? String(data);

function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

/** Puts bound values into the arrays of the kernel's parameters. */
export function assignParameters(arrays: readonly TileArray[], values: BoundArguments["values"]): void {
  values.forEach((numbers, i) => {
    numbers.forEach((number, at) => {
      arrays[i]![at] = number;
    });
  });
}
