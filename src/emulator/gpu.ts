/**
 * @file The emulated device: memory, modules and launches.
 */

import { PtxError } from "./errors.ts";
import { GlobalMemory } from "./global-memory.ts";
import type { PtxModule } from "./module.ts";

export interface EmulatedGpuOptions {
  /** Capacity of the device's memory; 8 GiB unless told. Host memory is taken only as allocations are made. */
  readonly memoryBytes?: number;
  /** Look for races, uninitialised shared memory and copies not waited for, and count bank conflicts. Default true. */
  readonly check?: boolean;
}

export interface LaunchConfiguration {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  /** Bytes of `.extern .shared` memory. Default 0. */
  readonly dynamicSharedMemory?: number;
  /** The packed kernel parameter buffer: each parameter at the offset that the entry gives. */
  readonly parameters: Uint8Array;
}

/** Accesses to shared memory by one instruction. */
export interface SharedAccessCount {
  /** Line of the PTX text, from 1. */
  readonly line: number;
  readonly instruction: string;
  /** Requests of at most 128 bytes: the least number of wavefronts. */
  readonly accesses: number;
  /** Wavefronts with bank conflicts counted: equal to `accesses` where there are none. */
  readonly wavefronts: number;
}

export interface LaunchReport {
  /** Warp instructions executed. */
  readonly instructions: number;
  /** What the kernel printed, a string each call. */
  readonly prints: readonly string[];
  readonly warnings: readonly string[];
  /** By line; empty without `check`. */
  readonly sharedAccesses: readonly SharedAccessCount[];
}

export class EmulatedGpu {
  readonly #memory: GlobalMemory;
  readonly check: boolean;

  constructor({ memoryBytes = 8 * 2 ** 30, check = true }: EmulatedGpuOptions = {}) {
    this.#memory = new GlobalMemory(memoryBytes);
    this.check = check;
  }

  /** A device address: 256-byte aligned, never 0. The bytes are zero. */
  allocate(bytes: number, label = "an unnamed allocation"): bigint {
    return BigInt(this.#memory.allocate(bytes, label).base);
  }

  /** Throws `DeviceError` unless `address` is the start of a live allocation. */
  free(address: bigint): void {
    this.#memory.free(address);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#memory.write(address, bytes);
  }

  read(address: bigint, byteLength: number): Uint8Array {
    return this.#memory.read(address, byteLength);
  }

  loadModule(_ptx: string): PtxModule {
    throw new PtxError("PTX_UNSUPPORTED", 1, "the emulator does not execute yet");
  }

  launch(_module: PtxModule, entry: string, _launch: LaunchConfiguration): LaunchReport {
    throw new PtxError("PTX_UNSUPPORTED", 1, `the emulator does not execute yet: ${entry}`);
  }
}
