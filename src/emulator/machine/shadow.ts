/**
 * @file What is known of each granule of shared memory: who wrote it last and when, who has read it since, whether a copy into it is under
 * way. A granule is as wide as the narrowest access of the kernel, so that neighbours are never mixed up.
 */
import type { PtxFaultCode } from "../errors.ts";
import type { Clocks } from "./clocks.ts";
import type { Warp } from "./warp.ts";

/** In place of a lane: the access belongs to several lanes of the warp. */
export const SEVERAL_LANES = 32;
const LANE_BITS = 6;
/** At the start of a block; it leaves as many for the block itself. */
const LAST_CLOCK = 2 ** 24;

/** How an access takes part in races: strong ones (atomic, volatile, relaxed and stronger) not with each other. */
export type Strength = "weak" | "strong";

export class Shadow {
  readonly #shift: number;
  readonly #warps: number;
  readonly #clocks: Clocks;
  /** Time (from `#origin`) and lane of the last write of each granule; below `#start`, it is from before this block. */
  readonly #writes: Uint32Array;
  readonly #writers: Uint8Array;
  readonly #strong: Uint8Array;
  readonly #lines: Uint32Array;
  /** 1 while an asynchronous copy into the granule has not been waited for. */
  readonly #pending: Uint8Array;
  /** Time and lane of each warp's last read of each granule. */
  readonly #reads: Uint32Array;
  #origin = 0;
  #start = 0;

  constructor(bytes: number, warps: number, granule: number, clocks: Clocks) {
    this.#shift = Math.log2(granule);
    this.#warps = warps;
    this.#clocks = clocks;
    const granules = Math.ceil(bytes / granule);
    this.#writes = new Uint32Array(granules);
    this.#writers = new Uint8Array(granules);
    this.#strong = new Uint8Array(granules);
    this.#lines = new Uint32Array(granules);
    this.#pending = new Uint8Array(granules);
    this.#reads = new Uint32Array(granules * warps);
  }

  /** A new block, whose time has begun: all is uninitialised. */
  reset(): void {
    const { start } = this.#clocks;
    if (start - this.#origin > LAST_CLOCK) {
      this.#writes.fill(0);
      this.#reads.fill(0);
      this.#origin = start - 1;
    }
    this.#pending.fill(0);
    this.#start = (start - this.#origin) << LANE_BITS;
  }

  #stamp(warp: Warp, lane: number): number {
    return ((this.#clocks.now(warp.index) - this.#origin) << LANE_BITS) | lane;
  }

  #timeOf(stamp: number): number {
    return (stamp >>> LANE_BITS) + this.#origin;
  }

  read(warp: Warp, lane: number, offset: number, bytes: number, strength: Strength): void {
    const { index } = warp;
    const clocks = this.#clocks;
    const stamp = this.#stamp(warp, lane);
    const last = (offset + bytes - 1) >> this.#shift;
    for (let granule = offset >> this.#shift; granule <= last; granule++) {
      if (this.#pending[granule]) this.#fault(warp, "PTX_COPY_NOT_AWAITED", "read of", granule, lane);
      const write = this.#writes[granule]!;
      if (write < this.#start) this.#fault(warp, "PTX_UNINITIALISED_SHARED", "read of", granule, lane);
      const writer = this.#writers[granule]!;
      if (writer !== index) {
        if (!clocks.isBefore(index, writer, this.#timeOf(write)) && !(strength === "strong" && this.#strong[granule]))
          this.#fault(warp, "PTX_SHARED_RACE", "read of", granule, lane, writer);
      } else if ((write & 63) !== lane && strength === "weak" && !clocks.haveMet(index, this.#timeOf(write)))
        this.#fault(warp, "PTX_WARP_HAZARD", "read of", granule, lane, writer);
      if (strength === "strong") continue;
      const at = granule * this.#warps + index;
      const read = this.#reads[at]!;
      const mixed = read >= this.#start && (read & 63) !== lane && !clocks.haveMet(index, this.#timeOf(read));
      this.#reads[at] = mixed ? this.#stamp(warp, SEVERAL_LANES) : stamp;
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
    const stamp = this.#stamp(warp, lane);
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
    const clocks = this.#clocks;
    const last = (offset + bytes - 1) >> this.#shift;
    for (let granule = offset >> this.#shift; granule <= last; granule++) {
      if (this.#pending[granule]) this.#fault(warp, "PTX_COPY_NOT_AWAITED", "write to", granule, lane);
      const write = this.#writes[granule]!;
      const bothStrong = strength === "strong" && this.#strong[granule] === 1;
      if (write >= this.#start && !bothStrong) {
        const writer = this.#writers[granule]!;
        if (writer !== index) {
          if (!clocks.isBefore(index, writer, this.#timeOf(write)))
            this.#fault(warp, "PTX_SHARED_RACE", "write to", granule, lane, writer);
        } else if (
          (write & 63) !== lane &&
          // Lanes that write to one place by one instruction are judged by the instruction.
          this.#lines[granule] !== step.line &&
          !clocks.haveMet(index, this.#timeOf(write))
        )
          this.#fault(warp, "PTX_WARP_HAZARD", "write to", granule, lane, writer);
      }
      for (let reader = 0; reader < count; reader++) {
        const read = this.#reads[granule * count + reader]!;
        if (read < this.#start) continue;
        if (reader !== index) {
          if (!clocks.isBefore(index, reader, this.#timeOf(read)))
            this.#fault(warp, "PTX_SHARED_RACE", "write to", granule, lane, reader, true);
        } else if ((read & 63) !== lane && !clocks.haveMet(index, this.#timeOf(read)))
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
