/**
 * @file `createDevice`: the way to a device. `auto` takes a CUDA GPU, else a hardware WebGPU adapter, else a software one, else the interpreter; a
 * backend that is named is taken or refused with the reason, never replaced.
 */
import { ArgumentError, DeviceError } from "../support/errors.ts";
import { type NamesOf, refuseUnknownNames } from "../support/names.ts";
import type { CpuOptions } from "./cpu/device.ts";
import { CpuDevice } from "./cpu/device.ts";
import type { CudaDevice, CudaOptions } from "./cuda/index.ts";
import { createCudaDevice, cudaDriver, prefersCuda } from "./cuda/index.ts";
import type { Backend, Device } from "./device.ts";
import type { WebGpuDevice, WebGpuOptions } from "./webgpu/device.ts";
import { createWebGpuDevice } from "./webgpu/device.ts";

/** What `createDevice` takes: each backend's own options count only where that backend is taken. */
export interface DeviceOptions extends WebGpuOptions, CpuOptions, CudaOptions {
  /** Default: `"auto"`. */
  readonly backend?: Backend | "auto";
}

const optionNames: NamesOf<DeviceOptions> = {
  backend: true,
  onPrint: true,
  adapter: true,
  device: true,
  features: true,
  limits: true,
  checks: true,
  emulate: true,
  ordinal: true,
  onReport: true,
};

/**
 * Opens a device.
 * @throws DeviceError `NO_ADAPTER`, `NO_DRIVER`, `NO_DEVICE`, `DEVICE_TOO_OLD`, `NOT_BUILT`; ArgumentError `BACKEND`, `ARGUMENT_UNKNOWN`.
 */
export function createDevice(options: DeviceOptions & { readonly backend: "webgpu" }): Promise<WebGpuDevice>;
export function createDevice(options: DeviceOptions & { readonly backend: "cuda" }): Promise<CudaDevice>;
export function createDevice(options: DeviceOptions & { readonly backend: "cpu" }): Promise<CpuDevice>;
export function createDevice(options?: DeviceOptions): Promise<Device>;
export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  refuseUnknownNames("createDevice", options, optionNames);
  const { backend = "auto" } = options;
  switch (backend) {
    case "webgpu":
      return createWebGpuDevice(options);
    case "cpu":
      return new CpuDevice(options);
    case "auto":
      return createAutomatically(options);
    case "cuda":
      return createCudaDevice(options);
    case "wasm":
      throw new DeviceError("NOT_BUILT", 'the backend "wasm" is not built yet: "cuda", "webgpu" and "cpu" run kernels');
    default:
      throw new ArgumentError(
        "BACKEND",
        `backend ${JSON.stringify(backend)} is unknown: use auto, cuda, webgpu, wasm or cpu`,
      );
  }
}

async function createAutomatically(options: DeviceOptions): Promise<Device> {
  // Only where nothing of WebGPU was asked for in particular may something else be given.
  const asked = options.adapter !== undefined || options.device !== undefined;
  if (!asked && prefersCuda(await cudaDriver())) return createCudaDevice(options);
  try {
    return await createWebGpuDevice(options);
  } catch (error) {
    if (asked || !(error instanceof DeviceError) || error.code !== "NO_ADAPTER") throw error;
    return new CpuDevice(options);
  }
}
