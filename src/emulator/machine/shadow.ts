/**
 * @file What is known of each granule of shared memory: who wrote it last and when, who has read it since, whether a copy into it is under
 * way. Time is a vector clock for each warp, advanced by barriers and by bar.warp.sync: an access is ordered before another warp's if
 * that warp has synchronised with the time of the access. A granule is as wide as the narrowest access of the kernel, so that neighbours are
 * never mixed up.
 */
import type { PtxFaultCode } from "../errors.ts";
import type { Warp } from "./warp.ts";

/** In place of a lane: the access belongs to several lanes of the warp. */
export const SEVERAL_LANES = 32;
const LANE_BITS = 6;
const LAST_CLOCK = 2 ** 25;

/** How an access takes part in races: strong ones (atomic, volatile, relaxed and stronger) not with each other. */
export type Strength = "weak" | "strong";

export class Shadow {
  readonly #shift: number;
  readonly #warps: number;
  /** Clock and lane of the last write of each granule; below `#start`, it is from before this block. */
  readonly #writes: Uint32Array;
  readonly #writers: Uint8Array;
  readonly #strong: Uint8Array;
  readonly #lines: Uint32Array;
  /** 1 while an asynchronous copy into the granule has not been waited for. */
  readonly #pending: Uint8Array;
  /** Clock and lane of each warp's last read of each granule. */
  readonly #reads: Uint32Array;
  /** `#clocks[w · warps + v]`: the time of warp v up to which warp w has synchronised with it; for v = w, its own time. */
  readonly #clocks: Uint32Array;
  #start = 0;
  #base = 0;

  constructor(bytes: number, warps: number, granule: number) {
    this.#shift = Math.log2(granule);
    this.#warps = warps;
    const granules = Math.ceil(bytes / granule);
    this.#writes = new Uint32Array(granules);
    this.#writers = new Uint8Array(granules);
    this.#strong = new Uint8Array(granules);
    this.#lines = new Uint32Array(granules);
    this.#pending = new Uint8Array(granules);
    this.#reads = new Uint32Array(granules * warps);
    this.#clocks = new Uint32Array(warps * warps);
  }

  /** A new block: all is uninitialised. */
  reset(): void {
    for (const clock of this.#clocks) this.#base = Math.max(this.#base, clock);
    this.#base++;
    if (this.#base > LAST_CLOCK) {
      this.#writes.fill(0);
      this.#reads.fill(0);
      this.#base = 2;
    }
    this.#pending.fill(0);
    this.#clocks.fill(this.#base - 1);
    for (let warp = 0; warp < this.#warps; warp++) this.#clocks[warp * (this.#warps + 1)] = this.#base;
    this.#start = this.#base << LANE_BITS;
  }

  /** Lanes of a warp have met: what they did before is ordered. */
  synchronizeWarp(warp: number): void {
    this.#clocks[warp * (this.#warps + 1)]!++;
  }

  /** A barrier: what `arrived` warps did before it comes before what `waiting` warps do after it. */
  synchronize(arrived: readonly number[], waiting: readonly number[]): void {
    const count = this.#warps;
    const joined = new Uint32Array(count);
    for (const warp of arrived)
      for (let other = 0; other < count; other++)
        joined[other] = Math.max(joined[other]!, this.#clocks[warp * count + other]!);
    for (const warp of waiting)
      for (let other = 0; other < count; other++)
        this.#clocks[warp * count + other] = Math.max(joined[other]!, this.#clocks[warp * count + other]!);
    for (const warp of arrived) this.synchronizeWarp(warp);
  }

  read(warp: Warp, lane: number, offset: number, bytes: number, strength: Strength): void {
    const { index } = warp;
    const count = this.#warps;
    const own = this.#clocks[index * (count + 1)]!;
    const last = (offset + bytes - 1) >> this.#shift;
    for (let granule = offset >> this.#shift; granule <= last; granule++) {
      if (this.#pending[granule]) this.#fault(warp, "PTX_COPY_NOT_AWAITED", "read of", granule, lane);
      const write = this.#writes[granule]!;
      if (write < this.#start) this.#fault(warp, "PTX_UNINITIALISED_SHARED", "read of", granule, lane);
      const writer = this.#writers[granule]!;
      if (writer !== index) {
        if (
          write >>> LANE_BITS > this.#clocks[index * count + writer]! &&
          !(strength === "strong" && this.#strong[granule])
        )
          this.#fault(warp, "PTX_SHARED_RACE", "read of", granule, lane, writer);
      } else if (write >>> LANE_BITS === own && (write & 63) !== lane && strength === "weak")
        this.#fault(warp, "PTX_WARP_HAZARD", "read of", granule, lane, writer);
      if (strength === "strong") continue;
      const at = granule * count + index;
      const read = this.#reads[at]!;
      const mixed = read >>> LANE_BITS === own && (read & 63) !== lane;
      this.#reads[at] = (own << LANE_BITS) | (mixed ? SEVERAL_LANES : lane);
    }
  }

  write(warp: Warp, lane: number, offset: number, bytes: number, strength: Strength): void {
    this.#checkWrite(warp, lane, offset, bytes, strength);
    this.#record(warp, lane, offset, bytes, strength);
  }

  /** An asynchronous copy that may write from now on. */
  beginCopy(warp: Warp, lane: number, offset: number, bytes: number): void {
    this.#checkWrite(warp, lane, offset, bytes, "weak");
    const last = (offset + bytes - 1) >> this.#shift;
    for (let granule = offset >> this.#shift; granule <= last; granule++) {
      this.#pending[granule] = 1;
      this.#lines[granule] = warp.step.line;
    }
  }

  /** The copy has been waited for by the thread that started it. */
  endCopy(warp: Warp, lane: number, offset: number, bytes: number, line: number): void {
    const last = (offset + bytes - 1) >> this.#shift;
    for (let granule = offset >> this.#shift; granule <= last; granule++) this.#pending[granule] = 0;
    this.#record(warp, lane, offset, bytes, "weak", line);
  }

  #record(warp: Warp, lane: number, offset: number, bytes: number, strength: Strength, line = warp.step.line): void {
    const stamp = (this.#clocks[warp.index * (this.#warps + 1)]! << LANE_BITS) | lane;
    const last = (offset + bytes - 1) >> this.#shift;
    for (let granule = offset >> this.#shift; granule <= last; granule++) {
      this.#writes[granule] = stamp;
      this.#writers[granule] = warp.index;
      this.#strong[granule] = strength === "strong" ? 1 : 0;
      this.#lines[granule] = line;
    }
  }

  #checkWrite(warp: Warp, lane: number, offset: number, bytes: number, strength: Strength): void {
    const { index, step } = warp;
    const count = this.#warps;
    const own = this.#clocks[index * (count + 1)]!;
    const last = (offset + bytes - 1) >> this.#shift;
    for (let granule = offset >> this.#shift; granule <= last; granule++) {
      if (this.#pending[granule]) this.#fault(warp, "PTX_COPY_NOT_AWAITED", "write to", granule, lane);
      const write = this.#writes[granule]!;
      const bothStrong = strength === "strong" && this.#strong[granule] === 1;
      if (write >= this.#start && !bothStrong) {
        const writer = this.#writers[granule]!;
        if (writer !== index) {
          if (write >>> LANE_BITS > this.#clocks[index * count + writer]!)
            this.#fault(warp, "PTX_SHARED_RACE", "write to", granule, lane, writer);
        } else if (write >>> LANE_BITS === own && (write & 63) !== lane && this.#lines[granule] !== step.line)
          // Lanes that write to one place by one instruction are judged by the instruction.
          this.#fault(warp, "PTX_WARP_HAZARD", "write to", granule, lane, writer);
      }
      for (let reader = 0; reader < count; reader++) {
        const read = this.#reads[granule * count + reader]!;
        if (read < this.#start) continue;
        if (reader !== index) {
          if (read >>> LANE_BITS > this.#clocks[index * count + reader]!)
            this.#fault(warp, "PTX_SHARED_RACE", "write to", granule, lane, reader, true);
        } else if (read >>> LANE_BITS === own && (read & 63) !== lane)
          this.#fault(warp, "PTX_WARP_HAZARD", "write to", granule, lane, reader, true);
      }
    }
  }

  #fault(
    warp: Warp,
    code: PtxFaultCode,
    what: string,
    granule: number,
    lane: number,
    other = 0,
    afterRead = false,
  ): never {
    const offset = granule << this.#shift;
    const place = `${what} shared memory at ${warp.block.program.describeShared(offset)}`;
    const did = afterRead ? "read it" : `wrote it (line ${this.#lines[granule]})`;
    const messages: Partial<Record<PtxFaultCode, string>> = {
      PTX_COPY_NOT_AWAITED: `${place} into which cp.async copies (line ${this.#lines[granule]}): the thread that started the copy has not waited for it (cp.async.wait_group)`,
      PTX_UNINITIALISED_SHARED: `${place}, which nobody has written (or not yet, if a barrier is missing)`,
      PTX_SHARED_RACE: `${place}: warp ${other} ${did} with no barrier in between`,
      PTX_WARP_HAZARD: `${place}: another lane of the warp ${did} with no bar.warp.sync (__syncwarp) in between`,
    };
    warp.fault(code, messages[code]!, lane === SEVERAL_LANES ? undefined : lane, offset);
  }
}
