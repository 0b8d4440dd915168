/**
 * @file Runs compiled kernels in the package's own emulator: arrays go to device memory and come back.
 */
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { EmulatedGpu, type LaunchReport } from "../../src/emulator/index.ts";
import type { Arguments, TensorArgument } from "../../src/interpreter/index.ts";
import { elementBytes } from "../../src/ir/index.ts";

/** Strides of a tensor without gaps. */
export const rowMajor = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => shape.slice(axis + 1).reduce((product, extent) => product * extent, 1));

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** Packs scalars and addresses at the offsets that the entry gives, launches, and copies tensors back. */
export function runEmulated(
  { metadata, source }: CompiledKernel,
  launch: { arguments: Arguments; grid: readonly number[] },
  gpu = new EmulatedGpu(),
): LaunchReport {
  const module = gpu.loadModule(source);
  const entry = module.entries.get(metadata.entry)!;
  const parameters = new Uint8Array(entry.parameterBytes);
  const view = new DataView(parameters.buffer);
  const placed = new Map<ArrayBufferView, bigint>();
  metadata.params.forEach(({ name, kind, dtype }, index) => {
    const [owner, what, axis] = name.split(".");
    const argument = launch.arguments[owner!]!;
    const { offset, size } = entry.parameters[index]!;
    if (kind === "pointer") {
      const { data, offset: element = 0 } = argument as TensorArgument;
      let address = placed.get(data);
      if (address === undefined) {
        address = gpu.allocate(data.byteLength, owner);
        gpu.write(address, bytesOf(data));
        placed.set(data, address);
      }
      view.setBigUint64(offset, address + BigInt(element * elementBytes[dtype]), true);
    } else if (what !== undefined) {
      const { shape = [], strides = rowMajor(shape) } = argument as TensorArgument;
      const value = BigInt((what === "shape" ? shape : strides)[Number(axis)]!);
      if (size === 8) view.setBigInt64(offset, value, true);
      else view.setInt32(offset, Number(value), true);
    } else if (dtype === "f32") view.setFloat32(offset, Number(argument), true);
    else if (size === 8) view.setBigInt64(offset, BigInt(argument as number), true);
    else if (size === 4) view.setInt32(offset, Number(argument), true);
    else if (size === 2) view.setUint16(offset, Number(argument), true);
    else view.setUint8(offset, Number(argument));
  });
  const [x = 1, y = 1, z = 1] = launch.grid;
  const report = gpu.launch(module, metadata.entry, {
    grid: [x, y, z],
    block: metadata.block as [number, number, number],
    dynamicSharedMemory: metadata.sharedMemory.dynamic,
    parameters,
  });
  for (const [data, address] of placed) {
    bytesOf(data).set(gpu.read(address, data.byteLength));
    gpu.free(address);
  }
  return report;
}
