/**
 * @file The functions of the CUDA driver library that are used here, called through koffi. Handles and device addresses are 64-bit
 * numbers; what a function gives back it writes into a typed array. Nothing here decides anything: a test can stand in for all of it.
 */
import type { Optional } from "../node/modules.ts";
import { isNode, messageOf } from "../node/modules.ts";
import { koffi } from "../node/vulkan.ts";

/** The C signatures, with the `_v2` entry points where the ABI changed. */
const signatures = {
  cuInit: "int cuInit(unsigned int flags)",
  cuDriverGetVersion: "int cuDriverGetVersion(void *version)",
  cuGetErrorName: "int cuGetErrorName(int error, _Out_ const char **name)",
  cuGetErrorString: "int cuGetErrorString(int error, _Out_ const char **text)",
  cuDeviceGetCount: "int cuDeviceGetCount(void *count)",
  cuDeviceGet: "int cuDeviceGet(void *device, int ordinal)",
  cuDeviceGetName: "int cuDeviceGetName(void *name, int length, int device)",
  cuDeviceGetAttribute: "int cuDeviceGetAttribute(void *value, int attribute, int device)",
  cuDevicePrimaryCtxRetain: "int cuDevicePrimaryCtxRetain(void *context, int device)",
  cuDevicePrimaryCtxRelease: "int cuDevicePrimaryCtxRelease_v2(int device)",
  cuCtxSetCurrent: "int cuCtxSetCurrent(uint64_t context)",
  cuModuleLoadDataEx:
    "int cuModuleLoadDataEx(void *module, const char *image, unsigned int count, void *options, void *values)",
  cuModuleUnload: "int cuModuleUnload(uint64_t module)",
  cuModuleGetFunction: "int cuModuleGetFunction(void *function, uint64_t module, const char *name)",
  cuFuncSetAttribute: "int cuFuncSetAttribute(uint64_t function, int attribute, int value)",
  cuMemAlloc: "int cuMemAlloc_v2(void *address, size_t bytes)",
  cuMemFree: "int cuMemFree_v2(uint64_t address)",
  cuMemsetD8Async: "int cuMemsetD8Async(uint64_t address, unsigned char value, size_t bytes, uint64_t stream)",
  cuMemcpyHtoDAsync: "int cuMemcpyHtoDAsync_v2(uint64_t to, void *from, size_t bytes, uint64_t stream)",
  cuMemcpyDtoHAsync: "int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, uint64_t stream)",
  cuStreamCreate: "int cuStreamCreate(void *stream, unsigned int flags)",
  cuStreamQuery: "int cuStreamQuery(uint64_t stream)",
  cuStreamSynchronize: "int cuStreamSynchronize(uint64_t stream)",
  cuStreamDestroy: "int cuStreamDestroy_v2(uint64_t stream)",
  cuEventCreate: "int cuEventCreate(void *event, unsigned int flags)",
  cuEventRecord: "int cuEventRecord(uint64_t event, uint64_t stream)",
  cuEventElapsedTime: "int cuEventElapsedTime(void *milliseconds, uint64_t start, uint64_t end)",
  cuEventDestroy: "int cuEventDestroy_v2(uint64_t event)",
  cuLaunchKernel:
    "int cuLaunchKernel(uint64_t function, unsigned int gridX, unsigned int gridY, unsigned int gridZ, unsigned int blockX, unsigned int blockY, unsigned int blockZ, unsigned int sharedBytes, uint64_t stream, void *parameters, void *extra)",
} as const;

export type CudaFunctionName = keyof typeof signatures;
/** Gives a CUresult: 0 where all went well. */
export type CudaFunction = (...values: unknown[]) => number;

/** Memory outside of JavaScript's, for what the driver takes by address. */
export interface NativeMemory {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

export interface CudaLibrary {
  readonly functions: Readonly<Record<CudaFunctionName, CudaFunction>>;
  /** Zeroed memory that lives as long as the library. */
  allocate(bytes: number): NativeMemory;
}

const defaultName = (): string => (process.platform === "win32" ? "nvcuda.dll" : "libcuda.so.1");

/** Loads the driver library; that there is none is an answer, not an error. */
export async function loadCudaLibrary(name: string = isNode ? defaultName() : ""): Promise<Optional<CudaLibrary>> {
  if (!isNode) return { reason: "a page cannot reach the CUDA driver" };
  const found = await koffi();
  if ("reason" in found) return { reason: `the CUDA driver cannot be called: ${found.reason}` };
  const ffi = found.value;
  try {
    const library = ffi.load(name);
    const functions = Object.fromEntries(
      Object.entries(signatures).map(([key, signature]) => [key, library.func(signature) as CudaFunction]),
    ) as Record<CudaFunctionName, CudaFunction>;
    const allocate = (bytes: number): NativeMemory => {
      const pointer = ffi.alloc("uint8_t", bytes);
      const memory = new Uint8Array(ffi.view(pointer, bytes)).fill(0);
      return { address: BigInt(ffi.address(pointer)), bytes: memory };
    };
    return { value: { functions, allocate } };
  } catch (error) {
    return { reason: `no CUDA driver: ${name}: ${messageOf(error)}` };
  }
}
