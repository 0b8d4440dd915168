/**
 * @file The asynchronous copies of a warp: data moves only when a thread waits, as late as the program allows, so that what reads too
 * early reads what was there before.
 */
import { LANES } from "./registers.ts";

/** Copies that one instruction starts, one a lane. */
export interface LaneCopies {
  mask: number;
  /** Moves the data of one lane. */
  readonly finish: (lane: number) => void;
}

interface Group {
  mask: number;
  readonly copies: LaneCopies[];
}

export class AsyncCopies {
  #open: LaneCopies[] = [];
  /** Committed, oldest first. */
  #groups: Group[] = [];

  clear(): void {
    this.#open = [];
    this.#groups = [];
  }

  add(copies: LaneCopies): void {
    this.#open.push(copies);
  }

  /** The lanes' copies since their last commit form a group, which may be empty. */
  commit(mask: number): void {
    const copies: LaneCopies[] = [];
    for (const open of this.#open)
      if ((open.mask & mask) !== 0) copies.push({ mask: open.mask & mask, finish: open.finish });
    for (const open of this.#open) open.mask &= ~mask;
    this.#open = this.#open.filter((open) => open.mask !== 0);
    this.#groups.push({ mask, copies });
  }

  /** Finishes all but the last `left` groups of each lane. */
  wait(mask: number, left: number): void {
    const seen = new Uint16Array(LANES);
    for (let at = this.#groups.length - 1; at >= 0; at--) {
      const group = this.#groups[at]!;
      let due = 0;
      for (let lane = 0; lane < LANES; lane++)
        if (((group.mask & mask) >>> lane) & 1 && ++seen[lane]! > left) due |= 1 << lane;
      if (due === 0) continue;
      for (const copies of group.copies) finish(copies, due);
      group.mask &= ~due;
    }
    this.#groups = this.#groups.filter((group) => group.mask !== 0);
  }

  /** Finishes every copy of the lanes, committed or not. */
  waitAll(mask: number): void {
    this.commit(mask);
    this.wait(mask, 0);
  }
}

function finish(copies: LaneCopies, due: number): void {
  for (let lane = 0; lane < LANES; lane++) if (((copies.mask & due) >>> lane) & 1) copies.finish(lane);
  copies.mask &= ~due;
}
