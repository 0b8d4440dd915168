/**
 * @file A storage is a stretch of device memory; tensors are strided views on one. Each backend has its own kind. It is counted: it is
 * freed when the last tensor on it is disposed of.
 */
export interface Storage {
  readonly byteLength: number;
  /** The largest power of two, up to 16, that divides the memory's start and its size: how widely it may be accessed up to its end. */
  readonly alignment: number;
  /** The bytes `[byteOffset, byteOffset + byteLength)` as they are after every launch enqueued so far. */
  read(byteOffset: number, byteLength: number): Promise<ArrayBuffer>;
  /** Writes after every launch enqueued so far. `bytes` is copied at once. */
  write(byteOffset: number, bytes: Uint8Array): void;
  /** Gives the memory back. Called once, by the last tensor. */
  free(): void;
}

/** Bytes of the tensors on a device. */
export interface MemoryUse {
  /** Now. */
  readonly current: number;
  /** The most at any time since the device was opened, or since `Device.resetPeakMemory`. */
  readonly peak: number;
}

/** A storage with the number of tensors that use it. */
export class SharedStorage {
  readonly storage: Storage;
  readonly #onFree: () => void;
  #users = 0;

  /** @param onFree Called once the storage is freed. */
  constructor(storage: Storage, onFree: () => void = () => {}) {
    this.storage = storage;
    this.#onFree = onFree;
  }

  acquire(): this {
    this.#users++;
    return this;
  }

  release(): void {
    this.#users--;
    if (this.#users > 0) return;
    this.storage.free();
    this.#onFree();
  }
}
