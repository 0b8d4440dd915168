/**
 * @file The asynchronous copies of a warp: data moves only when a thread waits, as late as the program allows, so that what reads too
 * early reads what was there before.
 */
import type { Region } from "../region.ts";
import type { Block } from "./block.ts";
import { LANES, MAX_WARPS } from "./registers.ts";
import type { Warp } from "./warp.ts";

/** Copies that one instruction starts, one a lane. */
export class LaneCopies {
  mask = 0;
  /** Bytes that each lane writes. */
  bytes = 0;
  /** Line of the instruction. */
  line = 0;
  /** Places in shared memory. */
  readonly targets = new Int32Array(LANES);
  /** Bytes that are read; the others are zero. */
  readonly lengths = new Uint8Array(LANES);
  readonly sources = new Int32Array(LANES);
  readonly regions: Region[] = [];
  /** What came before the copies: the times of the block's warps, as in `Clocks`. */
  readonly began = new Uint32Array(MAX_WARPS);

  /** Moves the data of one lane. */
  finish(warp: Warp, lane: number): void {
    const { bytes, line } = this;
    const { shared, shadow, races }: Block = warp.block;
    const [target, source, length] = [this.targets[lane]!, this.sources[lane]!, this.lengths[lane]!];
    for (let byte = 0; byte < bytes; byte++)
      shared.u8[target + byte] = byte < length ? this.regions[lane]!.u8[source + byte]! : 0;
    shadow?.endCopy(warp, lane, target, bytes, line);
    if (length > 0) races?.finishCopy(warp, this.regions[lane]!, lane, source, length, line, this.began);
  }

  /** Becomes the copies of `mask` among those of `other`. */
  take(other: LaneCopies, mask: number): void {
    this.mask = mask;
    this.bytes = other.bytes;
    this.line = other.line;
    this.targets.set(other.targets);
    this.lengths.set(other.lengths);
    this.sources.set(other.sources);
    this.began.set(other.began);
    this.regions.splice(0, LANES, ...other.regions);
  }
}

interface Group {
  mask: number;
  readonly copies: LaneCopies[];
}

const seen = new Uint16Array(LANES);

export class AsyncCopies {
  #open: LaneCopies[] = [];
  /** Committed, oldest first. */
  #groups: Group[] = [];
  /** Finished, to be used again. */
  readonly #free: LaneCopies[] = [];

  clear(): void {
    this.#open = [];
    this.#groups = [];
  }

  /** New copies, for the instruction to fill in. */
  start(): LaneCopies {
    const copies = this.#free.pop() ?? new LaneCopies();
    this.#open.push(copies);
    return copies;
  }

  /** The lanes' copies since their last commit form a group, which may be empty. */
  commit(mask: number): void {
    const copies: LaneCopies[] = [];
    const open: LaneCopies[] = [];
    for (const one of this.#open)
      if ((one.mask & ~mask) === 0) copies.push(one);
      else {
        open.push(one);
        if ((one.mask & mask) === 0) continue;
        const part = this.#free.pop() ?? new LaneCopies();
        part.take(one, one.mask & mask);
        one.mask &= ~mask;
        copies.push(part);
      }
    this.#open = open;
    this.#groups.push({ mask, copies });
  }

  /** Finishes all but the last `left` groups of each lane. */
  wait(warp: Warp, mask: number, left: number): void {
    seen.fill(0);
    let finished = false;
    for (let at = this.#groups.length - 1; at >= 0; at--) {
      const group = this.#groups[at]!;
      let due = 0;
      for (let lane = 0; lane < LANES; lane++)
        if (((group.mask & mask) >>> lane) & 1 && ++seen[lane]! > left) due |= 1 << lane;
      if (due === 0) continue;
      for (const copies of group.copies) this.#finish(warp, copies, due);
      group.mask &= ~due;
      if (group.mask === 0) finished = true;
    }
    if (finished) this.#groups = this.#groups.filter((group) => group.mask !== 0);
  }

  /** Finishes every copy of the lanes, committed or not. */
  waitAll(warp: Warp, mask: number): void {
    this.commit(mask);
    this.wait(warp, mask, 0);
  }

  #finish(warp: Warp, copies: LaneCopies, due: number): void {
    if ((copies.mask & due) === 0) return;
    for (let lane = 0; lane < LANES; lane++) if (((copies.mask & due) >>> lane) & 1) copies.finish(warp, lane);
    copies.mask &= ~due;
    if (copies.mask === 0) this.#free.push(copies);
  }
}
