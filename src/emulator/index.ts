/**
 * @file `emulator`: runs PTX text without a GPU, for tests, CI and users without hardware. It sees nothing but the text (it imports
 * `support` only), executes it warp by warp, and reports what a GPU would leave undefined: accesses out of bounds, misaligned or to
 * uninitialised shared memory, asynchronous copies that were not waited for, races, barriers that not all threads reach.
 */
export { type FaultPlace, PtxError, type PtxErrorCode, PtxFault, type PtxFaultCode } from "./errors.ts";
export {
  EmulatedGpu,
  type EmulatedGpuOptions,
  type GlobalAccessCount,
  type LaunchConfiguration,
  type LaunchReport,
  type PtxPlace,
  type SharedAccessCount,
} from "./gpu.ts";
export type { PtxEntry, PtxModule, PtxParameter } from "./module.ts";
