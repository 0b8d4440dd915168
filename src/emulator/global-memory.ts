/**
 * @file The memory of the emulated device: allocations at addresses above 2^32 that are never used twice, with gaps between them, so
 * that a truncated address, a use after free and the first byte past an end are all found.
 */
import { DeviceError } from "../support/index.ts";
import { Region } from "./region.ts";

const FIRST_ADDRESS = 0x10_0000_0000;
const ALIGNMENT = 256;
/** Unmapped bytes after each allocation, at least. */
const GAP = 4096;

/** A piece of global memory under one label. */
export interface Allocation {
  readonly region: Region;
  readonly base: number;
  readonly end: number;
  readonly label: string;
  readonly readOnly: boolean;
  /** False once freed. */
  live: boolean;
}

export class GlobalMemory {
  readonly #capacity: number;
  #used = 0;
  #next = FIRST_ADDRESS;
  /** Ascending by address. */
  readonly #live: Allocation[] = [];
  /** Labels of what was freed, for messages; the bytes are gone. */
  readonly #freed: { base: number; end: number; label: string }[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  allocate(bytes: number, label: string, readOnly = false): Allocation {
    if (!Number.isSafeInteger(bytes) || bytes < 0)
      throw new DeviceError("INVALID_ALLOCATION", `allocate: ${bytes} bytes; a non-negative integer is needed`);
    if (this.#used + bytes > this.#capacity)
      throw new DeviceError(
        "OUT_OF_MEMORY",
        `the emulated device is out of memory: ${bytes} bytes for ${label}, ${this.#capacity - this.#used} of ${this.#capacity} free (memoryBytes)`,
      );
    const base = this.#next;
    this.#next = Math.ceil((base + bytes + GAP) / ALIGNMENT) * ALIGNMENT;
    this.#used += bytes;
    const allocation = { region: new Region(bytes), base, end: base + bytes, label, readOnly, live: true };
    this.#live.push(allocation);
    return allocation;
  }

  free(address: bigint): void {
    const index = this.#indexOf(Number(address));
    const found = this.#live[index];
    if (found === undefined || BigInt(found.base) !== address)
      throw new DeviceError(
        "INVALID_ADDRESS",
        `free: ${this.describe(Number(address))} is not the start of an allocation`,
      );
    found.live = false;
    this.#live.splice(index, 1);
    this.#used -= found.end - found.base;
    this.#freed.push({ base: found.base, end: found.end, label: found.label });
  }

  /** The allocation that holds all `bytes` bytes from `address`. */
  find(address: number, bytes: number): Allocation | undefined {
    const found = this.#live[this.#indexOf(address)];
    return found !== undefined && address + bytes <= found.end ? found : undefined;
  }

  /** The address of a live allocation's first byte. */
  baseOf(region: Region): number {
    return this.#live.find((allocation) => allocation.region === region)!.base;
  }

  write(address: bigint, bytes: Uint8Array): void {
    const { region, base } = this.#hostAccess("write", address, bytes.length);
    region.u8.set(bytes, Number(address) - base);
  }

  read(address: bigint, byteLength: number): Uint8Array {
    const { region, base } = this.#hostAccess("read", address, byteLength);
    const from = Number(address) - base;
    return region.u8.slice(from, from + byteLength);
  }

  /** The address with what is known of its surroundings. */
  describe(address: number): string {
    const text = `0x${address.toString(16)}`;
    const at = (base: number, label: string) => `${text} (byte ${address - base} of ${label})`;
    const before = this.#live[this.#indexOf(address)];
    if (before && address < before.end) return at(before.base, before.label);
    const gone = this.#freed.find(({ base, end }) => address >= base && address < end);
    if (gone) return `${at(gone.base, gone.label)}, which was freed`;
    if (before && address < before.end + GAP)
      return `${text} (${address - before.end} bytes past the end of ${before.label}, which has ${before.end - before.base})`;
    const after = this.#live[this.#indexOf(address) + 1];
    if (after && address >= after.base - GAP) return `${text} (${after.base - address} bytes before ${after.label})`;
    return `${text} (in no allocation)`;
  }

  #hostAccess(what: string, address: bigint, bytes: number): Allocation {
    const found = this.find(Number(address), bytes);
    if (!found)
      throw new DeviceError(
        "INVALID_ADDRESS",
        `${what} of ${bytes} bytes at ${this.describe(Number(address))} does not lie within an allocation`,
      );
    return found;
  }

  /** Index of the last allocation that starts at or before the address; -1 if there is none. */
  #indexOf(address: number): number {
    let [low, high] = [0, this.#live.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#live[middle]!.base <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
