/**
 * @file What the CUDA device asks of a GPU, whether it is reached through the driver or emulated. Everything is enqueued in order on one
 * stream; only `settle` and `read` wait.
 */

/** A function of a loaded module, ready to be launched. */
export type GpuFunction = (launch: {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  /** The packed kernel parameters. */
  readonly parameters: Uint8Array;
}) => void;

export interface CudaGpu {
  readonly name: string;
  readonly computeCapability: readonly [major: number, minor: number];
  /** Bytes of shared memory that a block may have with an opt-in. */
  readonly maxSharedMemory: number;
  /** Zeroed memory, at an address that is a multiple of 256. */
  allocate(bytes: number): bigint;
  free(address: bigint): void;
  /** Copies `bytes` at once; they arrive after everything enqueued so far. */
  write(address: bigint, bytes: Uint8Array): void;
  read(address: bigint, byteLength: number): Promise<Uint8Array>;
  /** Loads PTX. `sharedBytes` of dynamic shared memory go with every launch of the function. */
  load(ptx: string, entry: string, sharedBytes: number): GpuFunction;
  /** Waits for everything enqueued, and throws what went wrong. */
  settle(): Promise<void>;
  /** Marks this moment on the stream. */
  mark(): GpuMark;
  dispose(): void;
}

/** A moment on the stream. */
export interface GpuMark {
  /** Milliseconds from `earlier` to this, after a `settle`. */
  since(earlier: GpuMark): number;
  dispose(): void;
}
