/**
 * @file `runtime/cuda`: kernels as PTX on NVIDIA GPUs. `createCudaDevice` opens one through the driver library (koffi; nothing is loaded
 * before it is asked for) or emulates it; `assembler.ts` finds and runs ptxas, `sass/` reads what it makes. May import what `runtime` may.
 */
export { type Assembled, type Assembler, assemblePtx, ptxas } from "./assembler.ts";
export { CudaDevice, type CudaOptions, createCudaDevice } from "./device.ts";
export { type CudaDriver, cudaDriver, prefersCuda } from "./driver.ts";
