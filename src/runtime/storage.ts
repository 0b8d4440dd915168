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

/** A storage with the number of tensors that use it. */
export class SharedStorage {
  readonly storage: Storage;
  #users = 0;

  constructor(storage: Storage) {
    this.storage = storage;
  }

  acquire(): this {
    this.#users++;
    return this;
  }

  release(): void {
    this.#users--;
    if (this.#users === 0) this.storage.free();
  }
}
