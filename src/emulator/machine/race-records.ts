/**
 * @file Who has read and written each granule of global memory during a launch: in pages, which are made when they are first touched.
 */
/** Granules of a page; a power of two. */
export const PAGE = 1024;

const LANE = 63;
const WARP_SHIFT = 6;
const WARP = 31;
const STRONG = 1 << 11;
/** Warps of the block have read the granule in no order: the times of all stand in `Page.readers`. */
export const SEVERAL_WARPS = 1 << 12;

/** A warp, one of its lanes or `SEVERAL_LANES`, and whether the access was a strong one, as one number. */
export const whoOf = (warp: number, lane: number, strong: boolean): number =>
  (strong ? STRONG : 0) | (warp << WARP_SHIFT) | lane;
export const warpOf = (who: number): number => (who >> WARP_SHIFT) & WARP;
export const laneOf = (who: number): number => who & LANE;
export const isStrong = (who: number): boolean => (who & STRONG) !== 0;

/** The last access of a kind to each granule; time 0: none. */
export class Records {
  readonly times = new Uint32Array(PAGE);
  readonly who = new Uint16Array(PAGE);
  /** Lines of the PTX. */
  readonly lines = new Uint32Array(PAGE);

  set(granule: number, time: number, who: number, line: number): void {
    this.times[granule] = time;
    this.who[granule] = who;
    this.lines[granule] = line;
  }
}

/** The last read of each granule by each warp of the block that runs. */
export class Readers {
  readonly times: Uint32Array;
  readonly who: Uint16Array;
  readonly lines: Uint32Array;

  constructor(warps: number) {
    this.times = new Uint32Array(PAGE * warps);
    this.who = new Uint16Array(PAGE * warps);
    this.lines = new Uint32Array(PAGE * warps);
  }
}

export class Page {
  writes: Records | undefined;
  /** The last read, by the block that ran last. */
  reads: Records | undefined;
  /** The last read by a block before that of `reads`. */
  earlierReads: Records | undefined;
  readers: Readers | undefined;
}
