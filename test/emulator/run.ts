/**
 * @file Runs compiled kernels in the package's own emulator: arrays go to device memory and come back.
 */
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { EmulatedGpu, type LaunchReport } from "../../src/emulator/index.ts";
import type { Arguments } from "../../src/interpreter/index.ts";
import { elementBytes } from "../../src/ir/index.ts";
import { packParameters } from "../../src/runtime/cuda/parameters.ts";

/** Strides of a tensor without gaps. */
export const rowMajor = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => shape.slice(axis + 1).reduce((product, extent) => product * extent, 1));

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** Places tensors in device memory, launches, and copies them back. Tensors that share an array share memory. */
export function runEmulated(
  { metadata, source }: CompiledKernel,
  launch: { arguments: Arguments; grid: readonly number[] },
  gpu = new EmulatedGpu(),
): LaunchReport {
  const placed = new Map<ArrayBufferView, bigint>();
  const addresses = new Map<string, bigint>();
  const scalars: Record<string, number | bigint | boolean> = {};
  for (const { name, kind, dtype } of metadata.params) {
    const [owner, what, axis] = name.split(".") as [string, string?, string?];
    const argument = launch.arguments[owner]!;
    if (typeof argument !== "object") {
      scalars[name] = argument;
      continue;
    }
    const { data, offset = 0, shape = [], strides = rowMajor(shape) } = argument;
    if (kind !== "pointer") {
      scalars[name] = (what === "shape" ? shape : strides)[Number(axis)]!;
      continue;
    }
    let address = placed.get(data);
    if (address === undefined) {
      address = gpu.allocate(data.byteLength, owner);
      gpu.write(address, bytesOf(data));
      placed.set(data, address);
    }
    addresses.set(name, address + BigInt(offset * elementBytes[dtype]));
  }
  const [x = 1, y = 1, z = 1] = launch.grid;
  const report = gpu.launch(gpu.loadModule(source), metadata.entry, {
    grid: [x, y, z],
    block: metadata.block as [number, number, number],
    dynamicSharedMemory: metadata.sharedMemory.dynamic,
    parameters: packParameters(metadata.params, addresses, scalars),
  });
  for (const [data, address] of placed) {
    bytesOf(data).set(gpu.read(address, data.byteLength));
    gpu.free(address);
  }
  return report;
}
