/**
 * @file Checks the arguments of a launch against what the kernel declares, before anything is enqueued, and expands them to the scalars
 * that the compiled code takes. Every error names the kernel, the argument, its shape and the rule. Shared by all backends.
 */
import type { LaunchArgument } from "../codegen/metadata.ts";
import type { DType, ParameterFacts } from "../ir/index.ts";
import { elementBytes } from "../ir/index.ts";
import { LaunchError } from "../support/errors.ts";
import { roundToBf16, roundToF16 } from "../support/float16.ts";
import { evaluateGridExpression } from "../support/grid-expression.ts";
import type { Device } from "./device.ts";
import { extentOf, haveCommonElement } from "./strides.ts";
import { Tensor } from "./tensor.ts";

/** An argument of a launch: a tensor (also where the kernel takes a pointer), or a scalar. i64 takes a bigint or a safe integer. */
export type LaunchValue = Tensor | number | bigint | boolean;

/** The arguments of a launch by parameter name. */
export type LaunchValues = Readonly<Record<string, LaunchValue>>;

/** Checked arguments. */
export interface ResolvedArguments {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Every scalar of the entry by its name: the scalar arguments, `q.shape.0`, `q.stride.0`, ... */
  readonly scalars: Readonly<Record<string, number | bigint | boolean>>;
}

/** The number of programs along x, y and z. */
export type Grid = readonly [number, number, number];

/** Largest 32-bit size, index or stride. */
const largestInt = 2 ** 31 - 1;

/**
 * Checks `values` against the declared arguments of `kernel`.
 * @throws LaunchError with the codes `ARGUMENT_MISSING`, `ARGUMENT_UNKNOWN`, `ARGUMENT_KIND`, `ARGUMENT_DEVICE`, `ARGUMENT_DTYPE`,
 * `ARGUMENT_RANK`, `ARGUMENT_RANGE`, `ARGUMENT_FACT`, `ARGUMENT_EXPANDED`, `ARGUMENT_OVERLAP`.
 */
export function resolveArguments(
  kernel: string,
  declared: readonly LaunchArgument[],
  values: LaunchValues,
  device: Device,
): ResolvedArguments {
  const fail = (code: string, what: string): never => {
    throw new LaunchError(code, `kernel "${kernel}": ${what}`);
  };
  const names = declared.map(({ name }) => name);
  for (const name of Object.keys(values)) {
    if (!names.includes(name))
      fail("ARGUMENT_UNKNOWN", `there is no parameter "${name}"; the parameters are ${names.join(", ")}`);
  }
  const tensors = new Map<string, Tensor>();
  const scalars: Record<string, number | bigint | boolean> = {};
  for (const parameter of declared) {
    const { name, kind, dtype } = parameter;
    const value = values[name];
    if (value === undefined) fail("ARGUMENT_MISSING", `the argument "${name}" (${describe(parameter)}) is missing`);
    else if (kind === "scalar") {
      const problem = value instanceof Tensor ? `is ${value}` : scalarProblem(value, parameter);
      if (problem !== undefined)
        fail(
          value instanceof Tensor ? "ARGUMENT_KIND" : "ARGUMENT_RANGE",
          `the argument "${name}" must be ${describe(parameter)}, but ${problem}`,
        );
      scalars[name] = storedScalar(dtype, value as number | bigint | boolean);
    } else if (!(value instanceof Tensor)) {
      fail("ARGUMENT_KIND", `the argument "${name}" must be ${describe(parameter)}, but is ${String(value)}`);
    } else {
      checkTensor(parameter, value, device, fail);
      tensors.set(name, value);
      if (kind === "tensor") Object.assign(scalars, viewScalars(name, value));
    }
  }
  checkOverlap(declared, tensors, fail);
  return { tensors, scalars };
}

/** Loads may be made before stores to another parameter, so what is written must not be reached through another one. */
function checkOverlap(
  declared: readonly LaunchArgument[],
  tensors: ReadonlyMap<string, Tensor>,
  fail: (code: string, what: string) => never,
): void {
  for (const { name, access } of declared) {
    const written = tensors.get(name);
    if (access === "read" || written === undefined) continue;
    for (const [other, tensor] of tensors) {
      if (other === name || tensor.storage !== written.storage || !haveCommonElement(written, tensor)) continue;
      fail(
        "ARGUMENT_OVERLAP",
        `the arguments "${name}" (${written}) and "${other}" (${tensor}) have elements in common, and "${name}" is written: give one of them memory of its own, or pass one tensor that the kernel reads and writes`,
      );
    }
  }
}

/** A checked scalar as a kernel sees it: rounded to its dtype. */
function storedScalar(dtype: DType, value: number | bigint | boolean): number | bigint | boolean {
  if (dtype === "i64") return BigInt(value);
  if (dtype === "f16") return roundToF16(Number(value));
  if (dtype === "bf16") return roundToBf16(Number(value));
  return dtype === "bool" ? value : dtype === "f32" ? Math.fround(Number(value)) : Number(value);
}

function describe({ kind, dtype, rank }: LaunchArgument): string {
  if (kind === "scalar") return `a scalar of ${dtype}`;
  return kind === "tensor" ? `a tensor of ${dtype} with ${rank} axes` : `a tensor of ${dtype} (passed as a pointer)`;
}

function scalarProblem(value: number | bigint | boolean, { dtype, facts }: LaunchArgument): string | undefined {
  if (dtype === "bool") return typeof value === "boolean" ? undefined : `is ${String(value)}`;
  if (dtype === "f32" || dtype === "f16" || dtype === "bf16")
    return typeof value === "number" ? undefined : `is ${String(value)}`;
  if (typeof value === "boolean" || (typeof value === "number" && !Number.isSafeInteger(value)))
    return `is ${String(value)}`;
  const bits = BigInt(elementBytes[dtype] * 8);
  const [low, high] = dtype === "u32" ? [0n, 1n << bits] : [-(1n << (bits - 1n)), 1n << (bits - 1n)];
  if (BigInt(value) < low || BigInt(value) >= high) return `${value} does not fit`;
  const { divisibleBy = 1 } = facts;
  return BigInt(value) % BigInt(divisibleBy) === 0n
    ? undefined
    : `${value} is not a multiple of ${divisibleBy}, which this kernel was compiled for`;
}

function checkTensor(
  parameter: LaunchArgument,
  tensor: Tensor,
  device: Device,
  fail: (code: string, what: string) => never,
): void {
  const { name, kind, dtype, rank, access, facts } = parameter;
  const what = `the argument "${name}" is ${tensor}`;
  tensor.storage; // Throws if the tensor was disposed of.
  if (tensor.device !== device)
    fail("ARGUMENT_DEVICE", `${what} on the device ${tensor.device.name}, but the launch is on ${device.name}`);
  if (tensor.dtype !== dtype) fail("ARGUMENT_DTYPE", `${what}, but the kernel takes ${dtype}`);
  if (kind === "tensor" && tensor.rank !== rank)
    fail("ARGUMENT_RANK", `${what} with ${tensor.rank} axes, but the kernel takes ${rank}`);
  if (tensor.shape.some((extent) => extent > largestInt))
    fail("ARGUMENT_RANGE", `${what}: an axis has more than 2^31 - 1 elements`);
  if (access !== "read" && tensor.strides.some((stride, axis) => stride === 0 && tensor.shape[axis]! > 1)) {
    fail(
      "ARGUMENT_EXPANDED",
      `${what} with strides [${tensor.strides.join(", ")}]: the kernel writes to it, but its elements overlap (an expanded view)`,
    );
  }
  const broken = brokenFact(tensor, kind, facts);
  if (broken !== undefined)
    fail("ARGUMENT_FACT", `${what} with strides [${tensor.strides.join(", ")}] and offset ${tensor.offset}: ${broken}`);
}

function brokenFact(
  tensor: Tensor,
  kind: LaunchArgument["kind"],
  { alignment = 1, unitStride = false }: ParameterFacts,
): string | undefined {
  const strides = passedStrides(tensor);
  if (unitStride && strides.at(-1) !== 1) return "the kernel was compiled for a last axis with stride 1";
  const bytes = elementBytes[tensor.dtype];
  if (tensor.storage.alignment % alignment !== 0)
    return `the kernel was compiled for memory whose size is a multiple of ${alignment} bytes, this buffer's is one of ${tensor.storage.alignment}`;
  if ((tensor.offset * bytes) % alignment !== 0)
    return `the kernel was compiled for a start at a multiple of ${alignment} bytes`;
  if (kind === "tensor" && rowDistances(tensor).some((stride) => (stride * bytes) % alignment !== 0)) {
    return `the kernel was compiled for strides that are multiples of ${alignment} bytes`;
  }
  return undefined;
}

/** The strides as the kernel gets them. An axis of extent 1 is never stepped along, so its stride may be what suits the facts best. */
export function passedStrides({ shape, strides }: Tensor): number[] {
  return strides.map((stride, axis) => (shape[axis]! > 1 ? stride : axis === shape.length - 1 ? 1 : 0));
}

/** The distances between rows, which vector accesses along the last axis rely on: every stride but a unit one of the last axis. */
function rowDistances(tensor: Tensor): number[] {
  return passedStrides(tensor).filter((stride, axis) => stride !== 1 || axis !== tensor.rank - 1);
}

/**
 * The strongest facts that hold for a tensor, for compiling a kernel to it: the largest power of two up to 16 bytes that divides its
 * start, the distances between rows and the memory's size, and whether the last stride is 1.
 */
export function factsOf(tensor: Tensor): ParameterFacts {
  const strides = passedStrides(tensor);
  const bytes = elementBytes[tensor.dtype];
  const distances = [tensor.offset, ...rowDistances(tensor)].map((elements) => elements * bytes);
  distances.push(tensor.storage.alignment);
  const alignment = [16, 8, 4, 2, 1].find((candidate) => distances.every((distance) => distance % candidate === 0))!;
  return { alignment, unitStride: strides.at(-1) === 1 };
}

function viewScalars(name: string, tensor: Tensor): Record<string, number> {
  const strides = passedStrides(tensor);
  return Object.fromEntries([
    ...tensor.shape.map((extent, axis) => [`${name}.shape.${axis}`, extent] as const),
    ...strides.map((stride, axis) => [`${name}.stride.${axis}`, stride] as const),
  ]);
}

/** Refuses tensors whose addresses do not fit in 32 bits, for targets that compute addresses so. */
export function checkAddresses32(kernel: string, tensors: ReadonlyMap<string, Tensor>): void {
  for (const [name, tensor] of tensors) {
    if (tensor.offset + extentOf(tensor) > largestInt) {
      throw new LaunchError(
        "TENSOR_TOO_LARGE",
        `kernel "${kernel}": the argument "${name}" is ${tensor}, which spans ${extentOf(tensor)} elements: this target addresses less than 2^31`,
      );
    }
  }
}

/**
 * The number of programs: as the launch gives it, else by the kernel's expressions.
 * @throws LaunchError `GRID_MISSING`, `GRID_INVALID`, `GRID_EXPRESSION`.
 */
export function resolveGrid(
  kernel: string,
  given: readonly number[] | undefined,
  expressions: readonly [string, string, string] | null,
  scalars: ResolvedArguments["scalars"],
): Grid {
  if (given === undefined && expressions === null) {
    throw new LaunchError(
      "GRID_MISSING",
      `kernel "${kernel}" does not say its grid: give the launch { grid: [x, y, z] }`,
    );
  }
  const numbers = Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, Number(value)]));
  const sizes = given ?? expressions!.map((expression) => evaluateGridExpression(expression, numbers));
  const grid = [sizes[0] ?? 1, sizes[1] ?? 1, sizes[2] ?? 1] as const;
  if (sizes.length > 3 || !grid.every((extent) => Number.isInteger(extent) && extent >= 0 && extent <= largestInt)) {
    throw new LaunchError(
      "GRID_INVALID",
      `kernel "${kernel}": the grid [${sizes.join(", ")}] is not up to three integers from 0 to 2^31 - 1`,
    );
  }
  return grid;
}
