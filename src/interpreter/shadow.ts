/**
 * @file What the checks remember about each element of a buffer: whether it was ever written, and which program of this launch read
 * or wrote it. Exists only for buffers marked as not initialised, and when races are looked for.
 */
import type { StorageArray } from "./arrays.ts";

/** Hears of a problem: its code, the tile element that has it, and what it is. */
export type Found = (code: string, tileElement: number, what: string) => never;

const nobody = -1;
const several = -2;

/** One per array in memory, shared by all arguments that lie in it. Elements are numbered as in the array. */
export class Shadow {
  /** One byte an element: 0 until the element is written. */
  readonly written: Uint8Array | undefined;
  /** Last writer and reader of each element in this launch: a program's number, `nobody` or `several`. */
  readonly #writer: Int32Array | undefined;
  readonly #reader: Int32Array | undefined;
  /** Elements touched by atomics: programs may meet there. */
  readonly #atomic: Uint8Array | undefined;

  constructor(length: number, written: Uint8Array | undefined, races: boolean) {
    this.written = written;
    if (!races) return;
    this.#writer = new Int32Array(length).fill(nobody);
    this.#reader = new Int32Array(length).fill(nobody);
    this.#atomic = new Uint8Array(length);
  }

  /** Notes a read of the elements (negative or NaN: none) by `program`; `found` hears of the first problem and the tile element that has it. */
  read(elements: Float64Array, program: number, found: Found): void {
    const reader = this.#reader;
    for (let i = 0; i < elements.length; i++) {
      const element = elements[i]!;
      if (!(element >= 0)) continue;
      if (this.written?.[element] === 0)
        found("UNDEFINED_VALUE", i, `reads element ${element}, which has never been written`);
      if (!reader) continue;
      const writer = this.#writer![element]!;
      if (writer !== nobody && writer !== program && this.#atomic![element] === 0)
        found("RACE", i, `reads element ${element}, which another program of this launch has written`);
      reader[element] = reader[element] === nobody || reader[element] === program ? program : several;
    }
  }

  /** Notes a store into `data` done by `scatter`. */
  write(elements: Float64Array, data: StorageArray, program: number, scatter: () => void, found: Found): void {
    const writer = this.#writer;
    const before = writer ? Array.from(elements, (element) => (element >= 0 ? data[element] : 0)) : [];
    scatter();
    for (let i = 0; i < elements.length; i++) {
      const element = elements[i]!;
      if (!(element >= 0)) continue;
      if (this.written) this.written[element] = 1;
      if (!writer || this.#atomic![element] !== 0) continue;
      const changed = !Object.is(before[i], data[element]);
      if (writer[element] !== nobody && writer[element] !== program && changed)
        found("RACE", i, `writes element ${element} with another value than another program of this launch`);
      const reader = this.#reader![element]!;
      if (reader !== nobody && reader !== program && changed)
        found("RACE", i, `changes element ${element}, which another program of this launch has read`);
      writer[element] = program;
    }
  }

  /** Notes an atomic access. */
  atomic(elements: Float64Array, found: Found): void {
    for (let i = 0; i < elements.length; i++) {
      const element = elements[i]!;
      if (!(element >= 0)) continue;
      if (this.written?.[element] === 0)
        found("UNDEFINED_VALUE", i, `combines with element ${element}, which has never been written`);
      if (this.#atomic) this.#atomic[element] = 1;
    }
  }
}
