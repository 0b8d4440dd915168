/**
 * @file One access of a tile of addresses: bounds are checked, addresses become element indices of a region's array, region by region
 * (nearly always one), and the shadow hears of it.
 */
import type { Operation } from "../ir/index.ts";
import type { Machine } from "./machine.ts";
import { boundsProblem, type Region, regionIndex } from "./memory.ts";
import type { Found } from "./shadow.ts";

export class Access {
  readonly #machine: Machine;
  readonly #operation: Operation;
  readonly #verb: string;
  /** Index in the region's data of each tile element; negative or NaN where it is not accessed. */
  readonly elements: Float64Array;

  /** Whether addresses were left out because they lie in a region that comes later. */
  #others = false;

  constructor(machine: Machine, operation: Operation, length: number, verb: "reads" | "writes") {
    this.#machine = machine;
    this.#operation = operation;
    this.#verb = verb;
    this.elements = new Float64Array(length);
  }

  /** Calls `visit` for each region that the addresses where `mask` is true lie in, with `elements` set for it. */
  forEachRegion(addresses: Float64Array, mask: Uint8Array | undefined, visit: (region: Region) => void): void {
    const first = this.#select(addresses, mask, []);
    if (!first) return;
    visit(first);
    for (const done = [first]; this.#others; ) {
      const next = this.#select(addresses, mask, done)!;
      visit(next);
      done.push(next);
    }
  }

  /** Sets `elements` for the first region that is not done, and `others` if more remain; undefined if nothing is accessed. */
  #select(addresses: Float64Array, mask: Uint8Array | undefined, done: readonly Region[]): Region | undefined {
    const { elements } = this;
    this.#others = false;
    let region: Region | undefined;
    let base = 0;
    let low = 0;
    let high = 0;
    for (let i = 0; i < elements.length; i++) {
      elements[i] = -1;
      if (mask !== undefined && mask[i] === 0) continue;
      let element = addresses[i]! - base;
      if (!(element >= low && element < high)) {
        const here = this.#locate(addresses[i]!, i);
        if (done.includes(here)) continue;
        if (region !== undefined) {
          this.#others = true;
          continue;
        }
        region = here;
        base = here.base;
        low = here.low;
        high = here.high;
        element = addresses[i]! - base;
      }
      elements[i] = element;
    }
    return region;
  }

  #locate(address: number, tileElement: number): Region {
    const problem = this.problem(address);
    if (problem) this.fail("OUT_OF_BOUNDS", tileElement, problem);
    return this.#machine.regions[regionIndex(address)]!;
  }

  /** Why an address may not be accessed, or undefined. */
  problem(address: number): string | undefined {
    return boundsProblem(this.#machine.regions, address, this.#verb);
  }

  /** Tells the shadow that `elements` of the region are read. */
  noteRead(region: Region): void {
    region.shadow?.read(this.elements, this.#machine.programNumber, this.#found(region));
  }

  /** Runs `scatter` and tells the shadow that `elements` of the region were written. */
  noteWrite(region: Region, scatter: () => void): void {
    if (!region.shadow) scatter();
    else region.shadow.write(this.elements, region.data, this.#machine.programNumber, scatter, this.#found(region));
  }

  noteAtomic(region: Region): void {
    region.shadow?.atomic(this.elements, this.#found(region));
  }

  #found(region: Region): Found {
    return (code, tileElement, what) => this.fail(code, tileElement, `${what}, of "${region.name}"`);
  }

  fail(code: string, tileElement: number | undefined, what: string): never {
    return this.#machine.fail(code, this.#operation, tileElement, what);
  }
}
