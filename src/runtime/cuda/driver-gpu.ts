/**
 * @file A GPU behind the CUDA driver: its primary context, one stream, and the calls. The driver reports the failure of a kernel by a
 * later call; after one that it cannot recover from, every use is refused.
 */
import { DeviceError } from "../../support/errors.ts";
import type { CudaGpu, GpuFunction, GpuMark } from "./gpu.ts";
import type { CudaFunctionName, CudaLibrary, NativeMemory } from "./library.ts";
import { CUDA_NOT_READY, CUDA_SUCCESS, cudaError, isSticky } from "./results.ts";

const attribute = { computeMajor: 75, computeMinor: 76, maxSharedMemoryOptIn: 97 } as const;
/** CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES. */
const MAX_DYNAMIC_SHARED = 8;
/** Dynamic shared memory that needs no opt-in. */
const PLAIN_SHARED_BYTES = 48 * 1024;
/** CU_STREAM_NON_BLOCKING: not ordered with the default stream of other code in the process. */
const NON_BLOCKING = 1;
/** Options of the driver's compiler: buffers for what it says, and their sizes. */
const jit = { infoLog: 3, infoLogBytes: 4, errorLog: 5, errorLogBytes: 6 } as const;
const LOG_BYTES = 16 * 1024;
/** Tags of cuLaunchKernel's `extra`: the parameters as one packed buffer. */
const launchTag = { end: 0n, buffer: 1n, bufferBytes: 2n } as const;
/** Bytes of parameters that a kernel may have. */
const PARAMETER_BYTES = 4096;

const textOf = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes.slice() : bytes.slice(0, end));
};

export class DriverGpu implements CudaGpu {
  readonly name: string;
  readonly computeCapability: readonly [number, number];
  readonly maxSharedMemory: number;
  readonly #library: CudaLibrary;
  readonly #device: number;
  readonly #context: bigint;
  readonly #stream: bigint;
  readonly #modules: bigint[] = [];
  readonly #parameters: NativeMemory;
  readonly #parameterBytes: NativeMemory;
  readonly #logs: { readonly info: NativeMemory; readonly errors: NativeMemory };
  readonly #events = new WeakMap<GpuMark, bigint>();
  #lost: DeviceError | undefined;
  #disposed = false;

  /** @throws DeviceError `NO_DEVICE` where the driver has no device `ordinal`, and what the driver says else. */
  constructor(library: CudaLibrary, ordinal = 0) {
    this.#library = library;
    const opening = "opening the CUDA device";
    this.#call("cuInit", opening, 0);
    const count = this.#out32("cuDeviceGetCount", opening);
    if (ordinal >= count)
      throw new DeviceError("NO_DEVICE", `there is no CUDA device ${ordinal}: the driver finds ${count}`);
    this.#device = this.#out32("cuDeviceGet", opening, ordinal);
    const name = new Uint8Array(256);
    this.#call("cuDeviceGetName", opening, name, name.length, this.#device);
    this.name = textOf(name);
    const ask = (which: number): number => this.#out32("cuDeviceGetAttribute", opening, which, this.#device);
    this.computeCapability = [ask(attribute.computeMajor), ask(attribute.computeMinor)];
    this.maxSharedMemory = ask(attribute.maxSharedMemoryOptIn);
    this.#context = this.#out64("cuDevicePrimaryCtxRetain", opening, this.#device);
    try {
      this.#call("cuCtxSetCurrent", opening, this.#context);
      this.#stream = this.#out64("cuStreamCreate", opening, NON_BLOCKING);
    } catch (error) {
      library.functions.cuDevicePrimaryCtxRelease(this.#device);
      throw error;
    }
    this.#parameters = library.allocate(PARAMETER_BYTES);
    this.#parameterBytes = library.allocate(8);
    this.#logs = { info: library.allocate(LOG_BYTES), errors: library.allocate(LOG_BYTES) };
  }

  /** Calls the driver; a result other than success is thrown. */
  #call(name: CudaFunctionName, what: string, ...values: unknown[]): void {
    const result = this.#library.functions[name](...values);
    if (result !== CUDA_SUCCESS) throw this.#failure(name, result, what);
  }

  #failure(name: CudaFunctionName, result: number, what: string, log?: string): DeviceError {
    const error = cudaError(this.#library, name, result, what, log);
    if (isSticky(result)) this.#lost ??= error;
    return error;
  }

  /** Calls a function whose first argument receives an int. */
  #out32(name: CudaFunctionName, what: string, ...values: unknown[]): number {
    const out = new Int32Array(1);
    this.#call(name, what, out, ...values);
    return out[0]!;
  }

  /** Calls a function whose first argument receives a handle or an address. */
  #out64(name: CudaFunctionName, what: string, ...values: unknown[]): bigint {
    const out = new BigUint64Array(1);
    this.#call(name, what, out, ...values);
    return out[0]!;
  }

  #use(): void {
    if (this.#lost !== undefined) throw this.#lost;
    // Other code in the process may have made another context current.
    this.#call("cuCtxSetCurrent", "using the CUDA device", this.#context);
  }

  allocate(bytes: number): bigint {
    this.#use();
    const what = `allocating ${bytes} bytes`;
    const address = this.#out64("cuMemAlloc", what, Math.max(bytes, 1));
    this.#call("cuMemsetD8Async", what, address, 0, Math.max(bytes, 1), this.#stream);
    return address;
  }

  free(address: bigint): void {
    if (this.#lost !== undefined) return; // The memory went with the context.
    this.#use();
    this.#call("cuMemFree", "freeing memory", address);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#use();
    if (bytes.length === 0) return;
    // The driver has copied pageable memory when it returns.
    this.#call("cuMemcpyHtoDAsync", "writing a tensor", address, bytes, bytes.length, this.#stream);
  }

  async read(address: bigint, byteLength: number): Promise<Uint8Array> {
    await this.settle();
    const bytes = new Uint8Array(byteLength);
    if (byteLength > 0) {
      this.#use();
      this.#call("cuMemcpyDtoHAsync", "reading a tensor", bytes, address, byteLength, this.#stream);
      this.#call("cuStreamSynchronize", "reading a tensor", this.#stream);
    }
    return bytes;
  }

  load(ptx: string, entry: string, sharedBytes: number): GpuFunction {
    this.#use();
    const what = `loading kernel "${entry}"`;
    const module = this.#loadModule(ptx, what);
    this.#modules.push(module);
    const kernel = this.#out64("cuModuleGetFunction", what, module, entry);
    if (sharedBytes > PLAIN_SHARED_BYTES)
      this.#call("cuFuncSetAttribute", what, kernel, MAX_DYNAMIC_SHARED, sharedBytes);
    return ({ grid, block, parameters }) => {
      this.#use();
      this.#parameters.bytes.set(parameters);
      new DataView(this.#parameterBytes.bytes.buffer, this.#parameterBytes.bytes.byteOffset).setBigUint64(
        0,
        BigInt(parameters.length),
        true,
      );
      const [buffer, size] = [this.#parameters.address, this.#parameterBytes.address];
      const extra = BigUint64Array.of(launchTag.buffer, buffer, launchTag.bufferBytes, size, launchTag.end);
      const configuration = [...grid, ...block, sharedBytes, this.#stream, null, extra];
      this.#call("cuLaunchKernel", `launching kernel "${entry}"`, kernel, ...configuration);
    };
  }

  #loadModule(ptx: string, what: string): bigint {
    const { info, errors } = this.#logs;
    info.bytes.fill(0);
    errors.bytes.fill(0);
    const options = Int32Array.of(jit.infoLog, jit.infoLogBytes, jit.errorLog, jit.errorLogBytes);
    const bytes = BigInt(LOG_BYTES);
    const values = BigUint64Array.of(info.address, bytes, errors.address, bytes);
    const module = new BigUint64Array(1);
    const result = this.#library.functions.cuModuleLoadDataEx(module, ptx, options.length, options, values);
    if (result !== CUDA_SUCCESS)
      throw this.#failure("cuModuleLoadDataEx", result, what, `${textOf(errors.bytes)}\n${textOf(info.bytes)}`);
    return module[0]!;
  }

  async settle(): Promise<void> {
    this.#use();
    // Asked again and again, so that the event loop goes on while the GPU works.
    for (;;) {
      const result = this.#library.functions.cuStreamQuery(this.#stream);
      if (result === CUDA_SUCCESS) return;
      if (result !== CUDA_NOT_READY) throw this.#failure("cuStreamQuery", result, "running the launches so far");
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  mark(): GpuMark {
    this.#use();
    const event = this.#out64("cuEventCreate", "timing", 0);
    this.#call("cuEventRecord", "timing", event, this.#stream);
    const mark: GpuMark = {
      since: (earlier) => {
        const milliseconds = new Float32Array(1);
        this.#call("cuEventElapsedTime", "timing", milliseconds, this.#events.get(earlier), event);
        return milliseconds[0]!;
      },
      dispose: () => {
        if (this.#lost === undefined) this.#call("cuEventDestroy", "timing", event); // Else it went with the context.
      },
    };
    this.#events.set(mark, event);
    return mark;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const closing = "closing the CUDA device";
    try {
      if (this.#lost === undefined) {
        this.#use();
        for (const module of this.#modules) this.#call("cuModuleUnload", closing, module);
        this.#call("cuStreamDestroy", closing, this.#stream);
      }
    } finally {
      this.#lost ??= new DeviceError("DEVICE_DISPOSED", "the device was used after it was disposed of");
      this.#call("cuDevicePrimaryCtxRelease", closing, this.#device);
    }
  }
}
