/**
 * @file Races in global memory: two accesses of one granule by different threads of a launch, at least one a write and at least one weak, that
 * nothing orders. Threads of a warp are ordered by bar.warp.sync, those of a block by barriers, all others by what they release and acquire only. Blocks
 * run one after the other, which orders nothing.
 *
 * Of each granule the last write and the last read of each warp of the running block are known, and of earlier blocks the last read; so among
 * blocks that order themselves by releases a race may be missed, but none is reported that is not there.
 */
import type { Region } from "../region.ts";
import type { Block } from "./block.ts";
import { isStrong, laneOf, PAGE, Page, Readers, Records, SEVERAL_WARPS, warpOf, whoOf } from "./race-records.ts";
import { LANES } from "./registers.ts";
import { SEVERAL_LANES, type Strength } from "./shadow.ts";
import type { Warp } from "./warp.ts";

const PAGE_SHIFT = Math.log2(PAGE);

/** An access that was made before. */
interface Earlier {
  readonly time: number;
  readonly who: number;
  readonly line: number;
}

/** A write to what another thread has written in no order: a race unless it leaves the bits as they are. */
export interface Suspect extends Earlier {
  readonly lane: number;
  /** Offset of the granule. */
  readonly offset: number;
}

export class GlobalRaces {
  /** Bytes of a granule: of the narrowest access to global memory, at most 4. */
  readonly granule: number;
  readonly #shift: number;
  readonly #block: Block;
  readonly #warps: number;
  readonly #pages = new Map<Region, (Page | undefined)[]>();
  /** When each block began. */
  readonly #starts: number[] = [];

  constructor(block: Block, warps: number, granule: number) {
    this.granule = granule;
    this.#shift = Math.log2(granule);
    this.#block = block;
    this.#warps = warps;
  }

  /** The next block begins. */
  restart(): void {
    this.#starts.push(this.#block.clocks.start);
  }

  #pagesOf(region: Region): (Page | undefined)[] {
    let pages = this.#pages.get(region);
    if (pages === undefined) {
      pages = [];
      this.#pages.set(region, pages);
    }
    return pages;
  }

  /** Each lane of `mask` reads `bytes` bytes at its offset. */
  read(warp: Warp, region: Region, mask: number, offsets: Int32Array, bytes: number, strength: Strength): void {
    const { line } = warp.step;
    for (let lane = 0; lane < LANES; lane++)
      if ((mask >>> lane) & 1) this.readLane(warp, region, lane, offsets[lane]!, bytes, strength, line);
  }

  readLane(
    warp: Warp,
    region: Region,
    lane: number,
    offset: number,
    bytes: number,
    strength: Strength,
    line: number,
  ): void {
    const { clocks } = this.#block;
    const { index } = warp;
    const now = clocks.now(index);
    const strong = strength === "strong";
    const own = whoOf(index, lane, strong);
    const pages = this.#pagesOf(region);
    const first = offset >> this.#shift;
    const last = (offset + bytes - 1) >> this.#shift;
    pages[first >> PAGE_SHIFT] ??= new Page();
    const page = pages[first >> PAGE_SHIFT]!;
    page.reads ??= new Records();
    const { reads, writes } = page;
    for (let granule = first; granule <= last; granule++) {
      const at = granule & (PAGE - 1);
      if (
        writes !== undefined &&
        writes.times[at] !== 0 &&
        this.#conflicts(warp, lane, region, granule, writes, at, strong)
      )
        this.#fault(warp, lane, region, granule, "read of", "wrote", earlierOf(writes, at), line);
      const time = reads.times[at]!;
      const who = reads.who[at]!;
      if (time === now && who === own) continue;
      if (time < clocks.start) {
        if (time !== 0) {
          page.earlierReads ??= new Records();
          page.earlierReads.set(at, time, who & ~SEVERAL_WARPS, reads.lines[at]!);
        }
        reads.set(at, now, own, line);
        continue;
      }
      if ((who & SEVERAL_WARPS) === 0) {
        const other = warpOf(who);
        if (other === index || clocks.isBefore(index, other, time)) {
          const mixed = other === index && laneOf(who) !== lane && !clocks.haveMet(index, time);
          reads.set(at, now, mixed ? mixedOf(index, strong && isStrong(who)) : own, line);
          continue;
        }
        this.#setReader(page, other, at, earlierOf(reads, at));
      }
      const earlier = this.#readerOf(page, index, at);
      const mixed = earlier !== undefined && laneOf(earlier.who) !== lane && !clocks.haveMet(index, earlier.time);
      const mine = mixed ? mixedOf(index, strong && isStrong(earlier.who)) : own;
      this.#setReader(page, index, at, { time: now, who: mine, line });
      reads.set(at, now, own | SEVERAL_WARPS, line);
    }
  }

  /** A copy has read its bytes at some time since it began: what was written since then is in no order with it. */
  finishCopy(
    warp: Warp,
    region: Region,
    lane: number,
    offset: number,
    bytes: number,
    line: number,
    began: Uint32Array,
  ): void {
    const { clocks } = this.#block;
    const last = (offset + bytes - 1) >> this.#shift;
    for (let granule = offset >> this.#shift; granule <= last; granule++) {
      const writes = this.#pagesOf(region)[granule >> PAGE_SHIFT]?.writes;
      const at = granule & (PAGE - 1);
      const time = writes === undefined ? 0 : writes.times[at]!;
      if (time >= clocks.start && time > began[warpOf(writes!.who[at]!)]!)
        this.#fault(warp, lane, region, granule, "read of", "wrote", earlierOf(writes!, at), line);
    }
    this.readLane(warp, region, lane, offset, bytes, "weak", line);
  }

  /** Each lane of `mask` writes `bytes` bytes at its offset. What must not change what is there. */
  write(
    warp: Warp,
    region: Region,
    mask: number,
    offsets: Int32Array,
    bytes: number,
    strength: Strength,
  ): readonly Suspect[] | undefined {
    const { clocks } = this.#block;
    const { index, step } = warp;
    const now = clocks.now(index);
    const strong = strength === "strong";
    const pages = this.#pagesOf(region);
    let suspects: Suspect[] | undefined;
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      const own = whoOf(index, lane, strong);
      const first = offsets[lane]! >> this.#shift;
      const last = (offsets[lane]! + bytes - 1) >> this.#shift;
      pages[first >> PAGE_SHIFT] ??= new Page();
      const page = pages[first >> PAGE_SHIFT]!;
      page.writes ??= new Records();
      const { reads, writes, earlierReads } = page;
      for (let granule = first; granule <= last; granule++) {
        const at = granule & (PAGE - 1);
        if (writes.times[at] !== 0 && this.#conflicts(warp, lane, region, granule, writes, at, strong)) {
          suspects ??= [];
          suspects.push({ lane, offset: granule << this.#shift, ...earlierOf(writes, at) });
        }
        if (reads !== undefined && reads.times[at] !== 0) {
          if (earlierReads !== undefined && earlierReads.times[at] !== 0)
            this.#checkRead(warp, lane, region, granule, earlierReads, at, strong);
          if (reads.who[at]! & SEVERAL_WARPS && reads.times[at]! >= clocks.start)
            for (let other = 0; other < this.#warps; other++) {
              if (this.#readerOf(page, other, at) !== undefined)
                this.#checkRead(warp, lane, region, granule, page.readers!, at * this.#warps + other, strong);
            }
          else this.#checkRead(warp, lane, region, granule, reads, at, strong);
        }
        writes.set(at, now, own, step.line);
      }
    }
    return suspects;
  }

  #checkRead(
    warp: Warp,
    lane: number,
    region: Region,
    granule: number,
    reads: Records | Readers,
    at: number,
    strong: boolean,
  ): void {
    if (this.#conflicts(warp, lane, region, granule, reads, at, strong))
      this.#fault(warp, lane, region, granule, "write to", "read", earlierOf(reads, at), warp.step.line);
  }

  /** Whether an access is in no order with the earlier one at `at`. */
  #conflicts(
    { index }: Warp,
    lane: number,
    region: Region,
    granule: number,
    records: Records | Readers,
    at: number,
    strong: boolean,
  ): boolean {
    const { clocks, releases } = this.#block;
    const time = records.times[at]!;
    const who = records.who[at]!;
    const other = warpOf(who);
    if (strong && isStrong(who)) return false;
    if (time < clocks.start) {
      if (releases.isBefore(index, this.#blockAt(time), other, time)) return false;
    } else if (other === index) return laneOf(who) !== lane && !clocks.haveMet(index, time);
    else if (clocks.isBefore(index, other, time)) return false;
    return !(isStrong(who) && releases.hasSeen(index, region, granule << this.#shift));
  }

  /** The last read of a granule by a warp of the running block. */
  #readerOf({ readers }: Page, warp: number, at: number): Earlier | undefined {
    const place = at * this.#warps + warp;
    return readers !== undefined && readers.times[place]! >= this.#block.clocks.start
      ? earlierOf(readers, place)
      : undefined;
  }

  #setReader(page: Page, warp: number, at: number, { time, who, line }: Earlier): void {
    page.readers ??= new Readers(this.#warps);
    const place = at * this.#warps + warp;
    page.readers.times[place] = time;
    page.readers.who[place] = who;
    page.readers.lines[place] = line;
  }

  /** The number of the block that ran at a time. */
  #blockAt(time: number): number {
    let [low, high] = [0, this.#starts.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The bits that a suspect found were others than those that it left. */
  faultOf(warp: Warp, region: Region, { lane, offset, ...earlier }: Suspect): never {
    return this.#fault(
      warp,
      lane,
      region,
      offset >> this.#shift,
      "write to",
      "wrote other bits to",
      earlier,
      warp.step.line,
    );
  }

  #fault(
    warp: Warp,
    lane: number,
    region: Region,
    granule: number,
    what: string,
    did: string,
    { time, who, line: otherLine }: Earlier,
    line: number,
  ): never {
    const block = this.#block;
    const { launch, program } = block;
    const [other, itsLane] = [warpOf(who), laneOf(who)];
    const inOther = time < block.clocks.start;
    const order = this.#blockAt(time);
    const [x, y] = launch.grid;
    const index = [order % x, Math.floor(order / x) % y, Math.floor(order / (x * y))] as const;
    const step = program.steps.find((one) => one.line === otherLine);
    const thread = itsLane === SEVERAL_LANES ? undefined : block.threadIndex(other * LANES + itsLane);
    const whose = thread === undefined ? `several threads of warp ${other}` : `thread (${thread.join(", ")})`;
    const began =
      line === warp.step.line ? "" : ` by the copy that PTX line ${line} began and that only now is waited for`;
    let why = "with no barrier in between";
    if (inOther) why = "and blocks are in no order, unless one releases and the other acquires (by fences and atomics)";
    else if (began !== "") why = "while the copy was under way";
    else if (other === warp.index) why = "with no bar.warp.sync (__syncwarp) in between";
    const address = launch.addressOf(region, granule << this.#shift);
    const from = step?.source === undefined ? "" : `, from ${step.source}`;
    const place = `${what} global memory at ${launch.describe(address)}${began}`;
    const they = `${whose} of block (${index.join(", ")}) ${did} it (PTX line ${otherLine}: ${step?.text}${from})`;
    warp.fault("PTX_GLOBAL_RACE", `${place}: ${they}, ${why}`, lane, address, {
      line: otherLine,
      instruction: step?.text ?? "",
      ...(step?.source !== undefined && { source: step.source }),
      block: index,
      warp: other,
      ...(thread && { thread }),
    });
  }
}

const earlierOf = ({ times, who, lines }: Records | Readers, at: number): Earlier => ({
  time: times[at]!,
  who: who[at]! & ~SEVERAL_WARPS,
  line: lines[at]!,
});

const mixedOf = (warp: number, strong: boolean): number => whoOf(warp, SEVERAL_LANES, strong);
