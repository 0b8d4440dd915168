/**
 * @file Device memory as a `GPUBuffer`. f16 and bf16 elements lie two, i8 and bool four to a 32-bit word; buffers are padded, since
 * WebGPU copies and binds whole words.
 */
import { ArgumentError } from "../../support/errors.ts";
import type { Storage } from "../storage.ts";
import { bufferUsage, mapModeRead, roundDown, roundUp } from "./constants.ts";

/** What a storage asks of its device. */
export interface BufferQueue {
  readonly gpuDevice: GPUDevice;
  /** Waits for the outcome of everything enqueued, and throws what went wrong. */
  settle(): Promise<void>;
  assertUsable(): void;
}

export class BufferStorage implements Storage {
  readonly buffer: GPUBuffer;
  readonly byteLength: number;
  readonly alignment: number;
  readonly #device: BufferQueue;
  readonly #owned: boolean;

  /** @param owned Whether the buffer is destroyed with the storage: not if it is the user's. */
  constructor(device: BufferQueue, buffer: GPUBuffer, byteLength: number, owned: boolean) {
    this.#device = device;
    this.buffer = buffer;
    this.byteLength = byteLength;
    this.alignment = [16, 8, 4].find((candidate) => buffer.size % candidate === 0)!; // A user's buffer may be less padded.
    this.#owned = owned;
  }

  async read(byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    this.#device.assertUsable();
    if (byteLength === 0) {
      await this.#device.settle();
      return new ArrayBuffer(0);
    }
    const { gpuDevice } = this.#device;
    const start = roundDown(byteOffset, 4);
    const size = roundUp(byteOffset + byteLength, 4) - start;
    const staging = gpuDevice.createBuffer({
      size,
      usage: bufferUsage.mapRead | bufferUsage.copyDestination,
      label: "read",
    });
    const encoder = gpuDevice.createCommandEncoder();
    encoder.copyBufferToBuffer(this.buffer, start, staging, 0, size);
    gpuDevice.queue.submit([encoder.finish()]);
    // An earlier failure is the cause and is thrown first; a failed mapping is only its consequence.
    const mapped = staging.mapAsync(mapModeRead).then(
      () => undefined,
      (error: unknown) => error,
    );
    await this.#device.settle();
    const problem = await mapped;
    if (problem !== undefined) throw problem;
    const copy = staging.getMappedRange().slice(byteOffset - start, byteOffset - start + byteLength);
    staging.destroy();
    return copy;
  }

  write(byteOffset: number, bytes: Uint8Array): void {
    this.#device.assertUsable();
    const end = byteOffset + bytes.byteLength;
    const { queue } = this.#device.gpuDevice;
    if (byteOffset % 4 === 0 && bytes.byteLength % 4 === 0) {
      queue.writeBuffer(this.buffer, byteOffset, bytes as Uint8Array<ArrayBuffer>);
    } else if (byteOffset % 4 === 0 && end === this.byteLength && roundUp(end, 4) <= this.buffer.size) {
      const padded = new Uint8Array(roundUp(bytes.byteLength, 4)); // The rest of the last word belongs to nobody.
      padded.set(bytes);
      queue.writeBuffer(this.buffer, byteOffset, padded);
    } else {
      throw new ArgumentError(
        "TENSOR_DATA",
        `WebGPU writes whole 32-bit words: bytes ${byteOffset} to ${end} of a larger tensor cannot be written from the host`,
      );
    }
  }

  free(): void {
    if (this.#owned) this.buffer.destroy();
  }
}
