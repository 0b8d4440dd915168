/**
 * @file Looks for NVIDIA's CUDA driver and for the assembler `ptxas`. Only looks: the CUDA backend that launches through the driver
 * is not built yet.
 */
import type { Optional } from "../node/modules.ts";
import { isNode, messageOf } from "../node/modules.ts";
import { koffi } from "../node/vulkan.ts";

export interface CudaDriver {
  /** The newest CUDA that the driver serves, for example "13.0". */
  readonly version: string;
  readonly deviceCount: number;
}

const libraryName = (): string => (process.platform === "win32" ? "nvcuda.dll" : "libcuda.so.1");

/** Loads the driver library and asks it for its version and devices. */
export async function cudaDriver(): Promise<Optional<CudaDriver>> {
  if (!isNode) return { reason: "a page cannot reach the CUDA driver" };
  const ffi = await koffi();
  if ("reason" in ffi) return { reason: `the CUDA driver cannot be called: ${ffi.reason}` };
  let library: ReturnType<typeof ffi.value.load>;
  try {
    library = ffi.value.load(libraryName());
  } catch (error) {
    return { reason: `no CUDA driver: ${libraryName()}: ${messageOf(error)}` };
  }
  const call = (definition: string, ...values: unknown[]): void => {
    const status = library.func(definition)(...values);
    if (status !== 0) throw new Error(`${definition} returned ${String(status)}`);
  };
  try {
    const version: [number] = [0];
    const deviceCount: [number] = [0];
    call("int cuInit(unsigned int flags)", 0);
    call("int cuDriverGetVersion(_Out_ int *version)", version);
    call("int cuDeviceGetCount(_Out_ int *count)", deviceCount);
    const [number] = version;
    return {
      value: {
        version: `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`,
        deviceCount: deviceCount[0],
      },
    };
  } catch (error) {
    return { reason: `the CUDA driver is there but does not start: ${messageOf(error)}` };
  }
}
