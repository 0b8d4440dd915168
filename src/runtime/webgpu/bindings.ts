/**
 * @file From checked arguments to what a WGSL module binds: for each tensor the part of its buffer that it covers, and the bytes of the
 * uniform block. Pure but for the buffers it is handed, so that limits and aliasing are checked before anything is enqueued. Tensors that
 * share a binding (a device with few storage buffers) are given one range.
 */
import type { LaunchMetadata, WgslBindings } from "../../codegen/metadata.ts";
import type { DType } from "../../ir/index.ts";
import { elementBytes, isFloat } from "../../ir/index.ts";
import { LaunchError } from "../../support/errors.ts";
import type { ResolvedArguments } from "../arguments.ts";
import { extentOf } from "../strides.ts";
import type { Tensor } from "../tensor.ts";
import { bufferGranularity, roundDown, roundUp } from "./constants.ts";
import type { BufferStorage } from "./storage.ts";

/** The limits that a binding has to respect. */
export type BindingLimits = Pick<GPUSupportedLimits, "minStorageBufferOffsetAlignment" | "maxStorageBufferBindingSize">;

/** A part of a buffer, and where in it the tensor starts, in elements. */
export interface BoundRange {
  readonly buffer: GPUBuffer;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly elementOffset: number;
}

type Buffers = WgslBindings["buffers"];

/**
 * The range to bind for each tensor. WebGPU wants ranges aligned, so a range begins at or before the tensor, and the kernel is told
 * the element at which it starts.
 * @throws LaunchError `BINDING_TOO_LARGE`, `ALIASED_BUFFER`.
 */
export function boundRanges(
  metadata: LaunchMetadata,
  buffers: Buffers,
  { tensors }: ResolvedArguments,
  limits: BindingLimits,
): Map<string, BoundRange> {
  const ranges = new Map<string, BoundRange>();
  for (const { parameter } of buffers) {
    const tensor = tensors.get(parameter);
    if (tensor === undefined) continue; // The debug buffer.
    // A pointer argument may be followed anywhere in its memory; a tensor argument is not.
    const whole = metadata.arguments.find(({ name }) => name === parameter)?.kind === "pointer";
    const range = rangeOf(tensor, whole, limits.minStorageBufferOffsetAlignment);
    if (range.byteLength > limits.maxStorageBufferBindingSize) {
      throw new LaunchError(
        "BINDING_TOO_LARGE",
        `kernel "${metadata.name}": the argument "${parameter}" is ${tensor}, ${range.byteLength} bytes, but this device binds at most ${limits.maxStorageBufferBindingSize} (maxStorageBufferBindingSize)`,
      );
    }
    ranges.set(parameter, range);
  }
  checkAliasing(metadata.name, buffers, ranges, tensors);
  return ranges;
}

function rangeOf(tensor: Tensor, whole: boolean, alignment: number): BoundRange {
  const { buffer } = tensor.storage as BufferStorage;
  const bytes = elementBytes[tensor.dtype];
  const first = tensor.offset * bytes;
  const last = first + extentOf(tensor) * bytes;
  // An empty view at the very end of its buffer has nothing to bind: any range does.
  const start = whole || first >= buffer.size ? 0 : roundDown(first, alignment);
  const end = whole ? buffer.size : Math.min(roundUp(Math.max(last, start + 1), bufferGranularity), buffer.size);
  return { buffer, byteOffset: start, byteLength: roundDown(end - start, 4), elementOffset: (first - start) / bytes };
}

/** Tensors to be copied into one buffer, because they share a binding but not their memory. */
export interface Gathering {
  readonly byteLength: number;
  readonly parts: readonly {
    readonly parameter: string;
    readonly from: BoundRange;
    /** Where the copy of `from` begins, and the element at which the tensor then starts. */
    readonly byteOffset: number;
    readonly elementOffset: number;
  }[];
}

/**
 * What to copy before tensors that share a binding can be bound. Those that lie in one buffer already need no copy: their ranges are
 * widened to the one that covers them all.
 * @throws LaunchError `BINDING_TOO_LARGE`.
 */
export function shareRanges(
  metadata: LaunchMetadata,
  buffers: Buffers,
  ranges: Map<string, BoundRange>,
  limits: BindingLimits,
): Gathering[] {
  // Kernels count elements in 32 bits, and an element may be one byte.
  const limit = Math.min(limits.maxStorageBufferBindingSize, 2 ** 31 - 1);
  const gatherings: Gathering[] = [];
  for (const binding of new Set(buffers.map((buffer) => buffer.binding))) {
    const sharing = buffers.filter((buffer) => buffer.binding === binding && ranges.has(buffer.parameter));
    if (sharing.length < 2) continue;
    const own = sharing.map(({ parameter }) => ({ parameter, from: ranges.get(parameter)! }));
    const { buffer } = own[0]!.from;
    const together = own.every(({ from }) => from.buffer === buffer);
    const start = together ? Math.min(...own.map(({ from }) => from.byteOffset)) : 0;
    let byteLength = 0;
    const parts = own.map(({ parameter, from }) => {
      const byteOffset = together ? from.byteOffset - start : byteLength;
      const end = byteOffset + from.byteLength;
      byteLength = together ? Math.max(byteLength, end) : roundUp(end, bufferGranularity);
      const { dtype } = metadata.arguments.find(({ name }) => name === parameter)!;
      return { parameter, from, byteOffset, elementOffset: byteOffset / elementBytes[dtype] + from.elementOffset };
    });
    if (byteLength > limit) {
      throw new LaunchError(
        "BINDING_TOO_LARGE",
        `kernel "${metadata.name}": the arguments ${own.map(({ parameter }) => `"${parameter}"`).join(", ")} share a binding, since this device binds few buffers, and need ${byteLength} bytes together, but a binding holds at most ${limit}: ask for a device with a larger maxStorageBuffersPerShaderStage`,
      );
    }
    if (!together) gatherings.push({ byteLength, parts });
    else
      for (const { parameter, elementOffset } of parts)
        ranges.set(parameter, { buffer, byteOffset: start, byteLength, elementOffset });
  }
  return gatherings;
}

/** WebGPU refuses a buffer that is written through one binding and used through another; here the arguments are named. */
function checkAliasing(
  kernel: string,
  buffers: Buffers,
  ranges: ReadonlyMap<string, BoundRange>,
  tensors: ReadonlyMap<string, Tensor>,
): void {
  const bound = buffers.filter(({ parameter }) => ranges.has(parameter));
  for (const [index, a] of bound.entries()) {
    for (const b of bound.slice(index + 1)) {
      const [left, right] = [ranges.get(a.parameter)!, ranges.get(b.parameter)!];
      if (left.buffer !== right.buffer || (a.access === "read" && b.access === "read")) continue;
      const bothWritten = a.access === "read_write" && b.access === "read_write";
      const apart =
        left.byteOffset + left.byteLength <= right.byteOffset || right.byteOffset + right.byteLength <= left.byteOffset;
      if (bothWritten && apart) continue;
      throw new LaunchError(
        "ALIASED_BUFFER",
        `kernel "${kernel}": the arguments "${a.parameter}" (${tensors.get(a.parameter)}) and "${b.parameter}" (${tensors.get(b.parameter)}) share memory, and ${bothWritten ? "both are" : `"${a.access === "read_write" ? a.parameter : b.parameter}" is`} written: WebGPU forbids it; give one of them memory of its own`,
      );
    }
  }
}

/** The bytes of the uniform block. A parameter that the kernel never touches is not bound: its offset is 0. */
export function packUniform(
  kernel: string,
  uniform: NonNullable<WgslBindings["uniform"]>,
  { tensors, scalars }: ResolvedArguments,
  ranges: ReadonlyMap<string, BoundRange>,
): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(uniform.size));
  for (const { name, offset, dtype } of uniform.fields) {
    const of = name.endsWith(".offset") ? name.slice(0, -".offset".length) : undefined;
    const value =
      scalars[name] ?? (of !== undefined && tensors.has(of) ? (ranges.get(of)?.elementOffset ?? 0) : undefined);
    if (value === undefined) {
      throw new LaunchError("UNIFORM_FIELD", `kernel "${kernel}": nothing to pass for the uniform field "${name}"`);
    }
    writeScalar(view, offset, dtype, value);
  }
  return view.buffer;
}

/** Fields are whole words: i64 takes two, every float an f32, every other integer and bool 32 bits. */
function writeScalar(view: DataView, offset: number, dtype: DType, value: number | bigint | boolean): void {
  if (isFloat(dtype)) view.setFloat32(offset, Number(value), true);
  else if (dtype === "i64") view.setBigInt64(offset, BigInt(value), true);
  else if (dtype === "u32") view.setUint32(offset, Number(value), true);
  else view.setInt32(offset, Number(value), true);
}
