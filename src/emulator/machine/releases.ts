/**
 * @file What fences and atomics order, after PTX's memory model. A release of a place in memory (`.release`, or a fence and then a strong write) tells
 * whoever acquires it (`.acquire`, or a strong read and then a fence) what came before. Blocks run one after the other, so a block that acquires
 * finds what all earlier ones have released. Lanes of a warp count as one, and a barrier hands on what its warps had fenced and seen.
 */
import type { Region } from "../region.ts";
import type { Clocks } from "./clocks.ts";

/** Who may take part: threads of one block, or of the whole launch. */
export type Scope = "block" | "launch";

/** An access that other threads may make at the same time: volatile, relaxed and stronger, atomic. */
export interface StrongAccess {
  readonly reads: boolean;
  readonly writes: boolean;
  readonly acquires: boolean;
  readonly releases: boolean;
  readonly scope: Scope;
}

/** A place in memory to which strong accesses go. */
class Place {
  /** By block: the times of its warps that it has released here for all blocks. */
  readonly released = new Map<number, Uint32Array>();
  /** What the block that runs has released here. */
  own: { readonly block: number; readonly times: Uint32Array } | undefined;
  /** What those who released had acquired elsewhere: of blocks before the given one. */
  readonly through = new Map<Place, number>();
}

/** What a warp of the running block has fenced and knows. */
class Knowledge {
  readonly fenced: Readonly<Record<Scope, Uint32Array>>;
  /** Read strongly; a fence acquires it. */
  readonly seen = new Set<Place>();
  /** Acquired: what blocks before the given one have released there is known. */
  readonly acquired = new Map<Place, number>();

  constructor(warps: number) {
    this.fenced = { block: new Uint32Array(warps), launch: new Uint32Array(warps) };
  }

  add(other: Knowledge): void {
    for (const scope of ["block", "launch"] as const) raise(this.fenced[scope], other.fenced[scope]);
    for (const place of other.seen) this.seen.add(place);
    for (const [place, before] of other.acquired) this.learn(place, before);
  }

  learn(place: Place, before: number): void {
    this.acquired.set(place, Math.max(this.acquired.get(place) ?? 0, before));
  }
}

export class Releases {
  readonly #clocks: Clocks;
  readonly #warps: number;
  readonly #places = new Map<Region, Map<number, Place>>();
  /** Of each warp; empty while the block has neither fenced nor accessed anything strongly. */
  #known: Knowledge[] = [];
  #block = -1;

  constructor(clocks: Clocks, warps: number) {
    this.#clocks = clocks;
    this.#warps = warps;
  }

  /** The next block begins; `shared` is its shared memory, in which nothing is left of the block before. */
  restart(shared: Region): void {
    this.#block++;
    this.#known = [];
    this.#places.delete(shared);
  }

  #of(warp: number): Knowledge {
    if (this.#known.length === 0) this.#known = Array.from({ length: this.#warps }, () => new Knowledge(this.#warps));
    return this.#known[warp]!;
  }

  /** The place of `bytes` bytes: both words of an access of 8 bytes. */
  #place(region: Region, offset: number, bytes: number): Place {
    let places = this.#places.get(region);
    if (places === undefined) {
      places = new Map();
      this.#places.set(region, places);
    }
    const word = offset >> 2;
    const place = places.get(word) ?? new Place();
    places.set(word, place);
    if (bytes === 8) places.set(word + 1, place);
    return place;
  }

  fence(warp: number, scope: Scope): void {
    const known = this.#of(warp);
    const times = this.#clocks.of(warp);
    raise(known.fenced.block, times);
    if (scope === "launch") raise(known.fenced.launch, times);
    for (const place of known.seen) this.#acquire(warp, place, scope);
    if (scope === "launch") known.seen.clear();
    this.#clocks.advance(warp);
  }

  /** A strong access to `bytes` bytes at an offset into a region. */
  access(warp: number, region: Region, offset: number, bytes: number, how: StrongAccess): void {
    const { reads, writes, acquires, releases, scope } = how;
    const known = this.#of(warp);
    const place = this.#place(region, offset, bytes);
    if (acquires) this.#acquire(warp, place, scope);
    else if (reads) known.seen.add(place);
    if (!writes) return;
    if (releases) this.#release(warp, place, this.#clocks.of(warp), this.#clocks.of(warp), scope);
    else this.#release(warp, place, known.fenced.block, known.fenced.launch, scope);
    if (releases) this.#clocks.advance(warp);
  }

  #acquire(warp: number, place: Place, scope: Scope): void {
    const known = this.#of(warp);
    if (place.own?.block === this.#block) this.#clocks.join(warp, place.own.times);
    for (const [other, before] of place.through) known.learn(other, before);
    if (scope === "launch") known.learn(place, this.#block);
  }

  #release(warp: number, place: Place, inBlock: Uint32Array, inLaunch: Uint32Array, scope: Scope): void {
    if (place.own?.block !== this.#block) place.own = { block: this.#block, times: new Uint32Array(this.#warps) };
    raise(place.own.times, inBlock);
    for (const [other, before] of this.#of(warp).acquired)
      place.through.set(other, Math.max(place.through.get(other) ?? 0, before));
    if (scope === "block") return;
    const released = place.released.get(this.#block);
    if (released === undefined) place.released.set(this.#block, inLaunch.slice());
    else raise(released, inLaunch);
  }

  /** A barrier of the block, as in `Clocks`. */
  synchronize(arrived: readonly number[], waiting: readonly number[]): void {
    if (this.#known.length === 0) return;
    const joined = new Knowledge(this.#warps);
    for (const warp of arrived) joined.add(this.#known[warp]!);
    for (const warp of waiting) this.#known[warp]!.add(joined);
  }

  /** Whether what a warp of an earlier block did at `time` comes before what `warp` does now. */
  isBefore(warp: number, block: number, other: number, time: number): boolean {
    if (this.#known.length === 0) return false;
    for (const [place, before] of this.#known[warp]!.acquired)
      if (block < before && (place.released.get(block)?.[other] ?? 0) >= time) return true;
    return false;
  }

  /** Whether `warp` has read strongly what strong writes left at the place: they come before what it does now. */
  hasSeen(warp: number, region: Region, offset: number): boolean {
    if (this.#known.length === 0) return false;
    const place = this.#places.get(region)?.get(offset >> 2);
    const { seen, acquired } = this.#known[warp]!;
    return place !== undefined && (seen.has(place) || acquired.has(place));
  }
}

/** The later of both, in place. */
function raise(times: Uint32Array, others: Uint32Array): void {
  for (let warp = 0; warp < times.length; warp++) if (others[warp]! > times[warp]!) times[warp] = others[warp]!;
}
