/**
 * @file Places in the register file of a warp: registers as they are met, a row for each constant and each special register, so that
 * every operand is a row.
 */
import { LANES, SCRATCH_WORDS } from "../machine/registers.ts";
import type { RegisterName } from "../syntax/index.ts";

export interface ConstantRow {
  readonly row: number;
  readonly low: number;
  /** Undefined for a constant of up to 32 bits. */
  readonly high: number | undefined;
}

export class Frame {
  words: number = SCRATCH_WORDS;
  predicates = 0;
  readonly constants: ConstantRow[] = [];
  /** Row by name of special register. */
  readonly specials = new Map<string, number>();
  readonly #rows = new Map<RegisterName, number>();
  readonly #constantRows = new Map<string, number>();
  /** Registers that some instruction assigns. */
  readonly #assigned = new Set<RegisterName>();

  row(register: RegisterName): number {
    let row = this.#rows.get(register);
    if (row === undefined) {
      row = register.type.bits === 1 ? this.predicates++ : this.#take(register.type.bits);
      this.#rows.set(register, row);
    }
    return row;
  }

  assign(register: RegisterName): number {
    this.#assigned.add(register);
    return this.row(register);
  }

  /** Registers that are read and never assigned. */
  neverAssigned(): string[] {
    return [...this.#rows.keys()].filter((register) => !this.#assigned.has(register)).map(({ name }) => name);
  }

  /** A row that holds the low 32, or all 64, bits of the value in each lane. */
  constant(value: bigint, bits: number): number {
    const unsigned = BigInt.asUintN(bits === 64 ? 64 : 32, value);
    const key = `${bits === 64 ? 64 : 32} ${unsigned}`;
    let row = this.#constantRows.get(key);
    if (row === undefined) {
      row = this.#take(bits);
      this.#constantRows.set(key, row);
      this.constants.push({
        row,
        low: Number(unsigned & 0xffffffffn),
        high: bits === 64 ? Number(unsigned >> 32n) : undefined,
      });
    }
    return row;
  }

  special(name: string): number {
    let row = this.specials.get(name);
    if (row === undefined) {
      row = this.#take(32);
      this.specials.set(name, row);
    }
    return row;
  }

  #take(bits: number): number {
    const row = bits === 64 ? this.words + (this.words % (2 * LANES)) : this.words;
    this.words = row + (bits === 64 ? 2 * LANES : LANES);
    return row;
  }
}
