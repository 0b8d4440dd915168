/** @file Looks for NVIDIA's CUDA driver and its GPUs, without opening one. */
import type { Optional } from "../node/modules.ts";
import { requestedAdapter } from "../webgpu/adapter.ts";
import { loadCudaLibrary } from "./library.ts";
import { CUDA_SUCCESS, cudaError } from "./results.ts";

export interface CudaDriver {
  /** The newest CUDA that the driver serves, for example "13.0". */
  readonly version: string;
  readonly deviceCount: number;
}

/** Loads the driver library and asks it for its version and devices. */
export async function cudaDriver(): Promise<Optional<CudaDriver>> {
  const library = await loadCudaLibrary();
  if ("reason" in library) return library;
  const { functions } = library.value;
  const [version, count] = [new Int32Array(1), new Int32Array(1)];
  for (const [name, result] of [
    ["cuInit", functions.cuInit(0)],
    ["cuDriverGetVersion", functions.cuDriverGetVersion(version)],
    ["cuDeviceGetCount", functions.cuDeviceGetCount(count)],
  ] as const) {
    if (result !== CUDA_SUCCESS)
      return { reason: cudaError(library.value, name, result, "the CUDA driver is there but does not start").message };
  }
  const number = version[0]!;
  return {
    value: { version: `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`, deviceCount: count[0]! },
  };
}

/** Whether `auto` takes CUDA: there is a GPU, and the environment does not ask for a WebGPU adapter. */
export const prefersCuda = (driver: Optional<CudaDriver>): boolean =>
  "value" in driver && driver.value.deviceCount > 0 && requestedAdapter() === undefined;
