/** @file From the driver's result codes to errors that say what to do. */
import { DeviceError } from "../../support/errors.ts";
import type { CudaLibrary } from "./library.ts";

export const CUDA_SUCCESS = 0;
export const CUDA_NOT_READY = 600;

interface Meaning {
  readonly code: string;
  readonly advice: string;
}

const meanings: Readonly<Record<number, Meaning>> = {
  2: { code: "OUT_OF_MEMORY", advice: "the device is out of memory: dispose of tensors, or use smaller ones" },
  3: { code: "NO_DEVICE", advice: "the driver has not started: look at nvidia-smi" },
  100: { code: "NO_DEVICE", advice: "the driver finds no CUDA device: look at nvidia-smi and CUDA_VISIBLE_DEVICES" },
  200: { code: "PTX_REFUSED", advice: "the driver does not take this code" },
  209: { code: "PTX_REFUSED", advice: "the device is older than the target of the PTX" },
  218: { code: "PTX_REFUSED", advice: "the driver's compiler refuses the PTX" },
  222: { code: "DRIVER_TOO_OLD", advice: "the driver is older than the PTX version: update it" },
  700: {
    code: "ILLEGAL_ADDRESS",
    advice: "a kernel accessed memory that is not its own: run it with { emulate: true } or on cpu to see where",
  },
  701: { code: "LAUNCH_RESOURCES", advice: "the block needs more registers than the device has: use fewer warps" },
  702: { code: "LAUNCH_TIMEOUT", advice: "a kernel ran longer than the display driver allows" },
  715: { code: "LAUNCH_FAILED", advice: "a kernel stopped by itself: a failed tl.assert prints its message above" },
  719: { code: "LAUNCH_FAILED", advice: "a kernel stopped: a failed tl.assert prints its message above" },
};

/** After these nothing works in the process's context any more. */
const sticky = new Set([700, 702, 710, 714, 715, 716, 717, 718, 719]);
export const isSticky = (result: number): boolean => sticky.has(result);

/** The error for `result`, of `call` while `what` was done. `log` is what the driver's compiler wrote. */
export function cudaError(
  { functions }: CudaLibrary,
  call: string,
  result: number,
  what: string,
  log = "",
): DeviceError {
  const [name, text]: [[string | null], [string | null]] = [[null], [null]];
  functions.cuGetErrorName(result, name);
  functions.cuGetErrorString(result, text);
  const known = meanings[result] ?? { code: "CUDA", advice: text[0] ?? "an error that the driver does not explain" };
  const lost = isSticky(result) ? "; the device is lost: make a new one in a new process" : "";
  const lines = log.trim() ? `\n${log.trim()}` : "";
  return new DeviceError(
    known.code,
    `${what}: ${known.advice}${lost} (${call} returned ${result}, ${name[0] ?? "no name"}: ${text[0] ?? ""})${lines}`,
  );
}
