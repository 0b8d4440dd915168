/**
 * @file `runtime`: devices and tensors. `createDevice` finds a device (WebGPU hardware, WebGPU in software, or the interpreter), tensors
 * are strided views on its memory, `launch` compiles, checks and enqueues kernels, and `doctor` says what was found and why; `inspectKernel`
 * says what became of a kernel. Runs in a page and in Node: everything of Node comes through `node/`, by dynamic import. May import every
 * folder but `kernels`, `models` and `cli`.
 */
export type { Grid, LaunchValue, LaunchValues } from "./arguments.ts";
export { CpuDevice, type CpuOptions } from "./cpu/device.ts";
export { createDevice, type DeviceOptions } from "./create.ts";
export { type Assembler, CudaDevice, type CudaDriver, type CudaOptions, createCudaDevice } from "./cuda/index.ts";
export { type Backend, Device, type LaunchOptions, type PrintHandler } from "./device.ts";
export { type DoctorReport, doctor, type PackageReport, renderDoctor } from "./doctor.ts";
export type { HostData, TensorBits, TensorValues } from "./elements.ts";
export * from "./inspect/index.ts";
export type { Optional } from "./node/modules.ts";
export type { Browser } from "./node/programs.ts";
export type { Launchable } from "./specialize.ts";
export type { MemoryUse, Storage } from "./storage.ts";
export type { View } from "./strides.ts";
export { Tensor } from "./tensor.ts";
export type { AdapterDescription, AdapterKind } from "./webgpu/adapter.ts";
export { createWebGpuDevice, WebGpuDevice, type WebGpuOptions } from "./webgpu/device.ts";
export type { LaunchTiming } from "./webgpu/timer.ts";
