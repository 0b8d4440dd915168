/** @file Device time of single launches, through WebGPU's timestamp queries. */
import { DeviceError } from "../../support/errors.ts";
import { bufferUsage, mapModeRead } from "./constants.ts";

/** How long one launch ran on the device. */
export interface LaunchTiming {
  readonly kernel: string;
  readonly milliseconds: number;
}

/** Launches that one timer can hold: WebGPU's query sets have at most 4096 entries. */
const capacity = 2048;

/** `GPUBufferUsage.QUERY_RESOLVE`. */
const queryResolve = 0x200;

export class LaunchTimer {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #kernels: string[] = [];

  /** @throws DeviceError `MISSING_FEATURE` without `timestamp-query`. */
  constructor(device: GPUDevice) {
    if (!device.features.has("timestamp-query")) {
      throw new DeviceError("MISSING_FEATURE", "launches cannot be timed: this device does not have timestamp-query");
    }
    this.#device = device;
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * capacity });
  }

  /** What the compute pass of the next launch writes. */
  next(kernel: string): GPUComputePassTimestampWrites {
    const index = this.#kernels.push(kernel) - 1;
    if (index >= capacity)
      throw new DeviceError("PROFILE_FULL", `at most ${capacity} launches can be timed in one profile`);
    return { querySet: this.#queries, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 };
  }

  /** Waits for the launches and gives their times, in order. */
  async read(): Promise<LaunchTiming[]> {
    const count = this.#kernels.length;
    if (count === 0) return [];
    const size = count * 16;
    const resolved = this.#device.createBuffer({ size, usage: queryResolve | bufferUsage.copySource });
    const staging = this.#device.createBuffer({ size, usage: bufferUsage.mapRead | bufferUsage.copyDestination });
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2 * count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(mapModeRead);
    const nanoseconds = new BigInt64Array(staging.getMappedRange().slice(0));
    staging.destroy();
    resolved.destroy();
    return this.#kernels.map((kernel, index) => ({
      kernel,
      milliseconds: Number(nanoseconds[2 * index + 1]! - nanoseconds[2 * index]!) / 1e6,
    }));
  }

  dispose(): void {
    this.#queries.destroy();
  }
}
