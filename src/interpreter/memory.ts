/**
 * @file Memory as a kernel sees it. Each tensor or pointer argument is a region; an address is the number
 * `region * 2^42 + element`, exact in a double, so that a tile of addresses is a Float64Array that may point anywhere. Element
 * offsets may leave a region and come back (a pointer before a tensor's start); only an access outside is an error.
 */
import type { StorageArray } from "./arrays.ts";
import type { Shadow } from "./shadow.ts";

const regionSpan = 2 ** 42;

/** The memory that accesses through one argument may touch. */
export interface Region {
  readonly name: string;
  readonly data: StorageArray;
  /** Accesses must satisfy low <= element < high. */
  readonly low: number;
  readonly high: number;
  /** Address of element 0 of `data`. */
  readonly base: number;
  /** What is tracked about each element, where something is. */
  readonly shadow: Shadow | undefined;
}

/** The address of element 0 of the region numbered `index`. */
export const regionBase = (index: number): number => (index + 1) * regionSpan;

/** The number of the region that an address belongs to. */
export const regionIndex = (address: number): number => Math.floor((address + regionSpan / 2) / regionSpan) - 1;

/** Offsets of this size or more would lead from one region into the next. */
export const maxOffset = regionSpan / 2;

/** Why an access is out of bounds, or undefined. */
export function boundsProblem(regions: readonly Region[], address: number, verb: string): string | undefined {
  const region = regions[regionIndex(address)];
  if (!region) return `${verb} an address that belongs to no argument`;
  const element = address - region.base;
  if (element >= region.low && element < region.high) return undefined;
  const extent =
    region.high > region.low ? `elements ${region.low} to ${region.high - 1} may be accessed` : "which is empty";
  return `${verb} element ${element} of "${region.name}", of whose buffer ${extent}`;
}
