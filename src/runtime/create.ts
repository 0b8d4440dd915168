/**
 * @file `createDevice`: the way to a device. `auto` takes a hardware WebGPU adapter, else a software one, else the interpreter; a
 * backend that is named is taken or refused with the reason, never replaced.
 */
import { ArgumentError, DeviceError } from "../support/errors.ts";
import type { CpuOptions } from "./cpu/device.ts";
import { CpuDevice } from "./cpu/device.ts";
import { cudaDriver } from "./cuda/driver.ts";
import type { Backend, Device } from "./device.ts";
import type { WebGpuDevice, WebGpuOptions } from "./webgpu/device.ts";
import { createWebGpuDevice } from "./webgpu/device.ts";

/** What `createDevice` takes: each backend's own options count only where that backend is taken. */
export interface DeviceOptions extends WebGpuOptions, CpuOptions {
  /** Default: `"auto"`. */
  readonly backend?: Backend | "auto";
}

/**
 * Opens a device.
 * @throws DeviceError `NO_ADAPTER`, `NO_DEVICE`, `NOT_BUILT`; ArgumentError `BACKEND`.
 */
export function createDevice(options: DeviceOptions & { readonly backend: "webgpu" }): Promise<WebGpuDevice>;
export function createDevice(options: DeviceOptions & { readonly backend: "cpu" }): Promise<CpuDevice>;
export function createDevice(options?: DeviceOptions): Promise<Device>;
export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  const { backend = "auto" } = options;
  switch (backend) {
    case "webgpu":
      return createWebGpuDevice(options);
    case "cpu":
      return new CpuDevice(options);
    case "auto":
      return createAutomatically(options);
    case "cuda": {
      const driver = await cudaDriver();
      const found = "reason" in driver ? driver.reason : `this machine has a driver for CUDA ${driver.value.version}`;
      throw new DeviceError(
        "NOT_BUILT",
        `the backend "cuda" is not built yet (${found}). PTX can be compiled: tilewright compile --target sm_80; "webgpu" and "cpu" run kernels`,
      );
    }
    case "wasm":
      throw new DeviceError("NOT_BUILT", 'the backend "wasm" is not built yet: "webgpu" and "cpu" run kernels');
    default:
      throw new ArgumentError(
        "BACKEND",
        `backend ${JSON.stringify(backend)} is unknown: use auto, cuda, webgpu, wasm or cpu`,
      );
  }
}

async function createAutomatically(options: DeviceOptions): Promise<Device> {
  try {
    return await createWebGpuDevice(options);
  } catch (error) {
    // Only where nothing was asked for in particular may something else be given.
    const asked = options.adapter !== undefined || options.device !== undefined;
    if (asked || !(error instanceof DeviceError) || error.code !== "NO_ADAPTER") throw error;
    return new CpuDevice(options);
  }
}
