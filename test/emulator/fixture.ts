/**
 * @file Launches the nvcc-compiled fixtures: arrays as pointers, numbers as 32-bit integers.
 */
import { readFileSync } from "node:fs";
import { EmulatedGpu, type LaunchReport } from "../../src/emulator/index.ts";

type Values =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** The text of `fixtures/<name>.ptx`. */
export const readFixture = (name: string): string =>
  readFileSync(new URL(`./fixtures/${name}.ptx`, import.meta.url), "utf8");

/** Runs an entry of `fixtures/<file>.ptx` with one block, or as many as `blocks` says; arrays are updated in place. */
export function launchFixture(
  file: string,
  entry: string,
  options: { threads: number; blocks?: number; dynamicSharedMemory?: number },
  ...given: (Values | number)[]
): LaunchReport {
  const gpu = new EmulatedGpu();
  const module = gpu.loadModule(readFixture(file));
  const { parameters: layout, parameterBytes } = module.entries.get(entry)!;
  const parameters = new Uint8Array(parameterBytes);
  const view = new DataView(parameters.buffer);
  const placed = given.flatMap((value, index) => {
    const { offset, name } = layout[index]!;
    if (typeof value === "number") {
      view.setInt32(offset, value, true);
      return [];
    }
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    const address = gpu.allocate(bytes.length, name);
    gpu.write(address, bytes);
    view.setBigUint64(offset, address, true);
    return [{ address, bytes }];
  });
  const { threads, blocks = 1, dynamicSharedMemory = 0 } = options;
  const report = gpu.launch(module, entry, {
    grid: [blocks, 1, 1],
    block: [threads, 1, 1],
    dynamicSharedMemory,
    parameters,
  });
  for (const { address, bytes } of placed) bytes.set(gpu.read(address, bytes.length));
  return report;
}
