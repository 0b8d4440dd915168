/**
 * @file Time in a block: a vector clock for each warp, advanced by barriers and by bar.warp.sync. An access is ordered before what another
 * warp does if that warp has synchronised with the time of the access. Times only grow, from block to block too, so a time names its block.
 */
export class Clocks {
  readonly #warps: number;
  /** `#times[w · warps + v]`: the time of warp v up to which warp w has synchronised with it; for v = w, its own time. */
  readonly #times: Uint32Array;
  /** When the lanes of each warp last met: what they did since is in no order among them. */
  readonly #met: Uint32Array;
  /** The first time of this block. */
  start = 0;

  constructor(warps: number) {
    this.#warps = warps;
    this.#times = new Uint32Array(warps * warps);
    this.#met = new Uint32Array(warps);
  }

  /** A new block begins, after all that was. */
  restart(): void {
    let latest = 0;
    for (const time of this.#times) latest = Math.max(latest, time);
    this.start = latest + 1;
    this.#times.fill(latest);
    this.#met.fill(this.start);
    for (let warp = 0; warp < this.#warps; warp++) this.#times[warp * (this.#warps + 1)] = this.start;
  }

  /** The time of a warp. */
  now(warp: number): number {
    return this.#times[warp * (this.#warps + 1)]!;
  }

  /** Whether what warp `other` did at `time` of this block comes before what `warp` does now. */
  isBefore(warp: number, other: number, time: number): boolean {
    return time <= this.#times[warp * this.#warps + other]!;
  }

  /** Whether the lanes of a warp have met since its `time`. */
  haveMet(warp: number, time: number): boolean {
    return time < this.#met[warp]!;
  }

  /** What each warp did up to these times comes before what `warp` does now. */
  of(warp: number): Uint32Array {
    return this.#times.subarray(warp * this.#warps, (warp + 1) * this.#warps);
  }

  /** What a warp does from now on is later than what it did, though its lanes have not met. */
  advance(warp: number): void {
    this.#times[warp * (this.#warps + 1)]!++;
  }

  /** Lanes of a warp have met. */
  meet(warp: number): void {
    this.advance(warp);
    this.#met[warp] = this.now(warp);
  }

  /** What came before these times comes before what `warp` does from now on. */
  join(warp: number, times: Uint32Array): void {
    const own = this.of(warp);
    for (let other = 0; other < own.length; other++) if (times[other]! > own[other]!) own[other] = times[other]!;
  }

  /** A barrier: what `arrived` warps did before it comes before what `waiting` warps do after it. */
  synchronize(arrived: readonly number[], waiting: readonly number[]): void {
    const joined = new Uint32Array(this.#warps);
    for (const warp of arrived) {
      const times = this.of(warp);
      for (let other = 0; other < times.length; other++)
        if (times[other]! > joined[other]!) joined[other] = times[other]!;
    }
    for (const warp of waiting) this.join(warp, joined);
    for (const warp of arrived) this.meet(warp);
  }
}
