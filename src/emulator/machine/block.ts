/**
 * @file A block of threads: its warps run in turn, each until it waits; barriers let them go on.
 */
import { Region } from "../region.ts";
import { staticSpecials } from "../translate/specials.ts";
import { type AccessCount, countSectors, countWavefronts } from "./access-counts.ts";
import { Clocks } from "./clocks.ts";
import { GlobalRaces } from "./global-races.ts";
import type { Launch } from "./launch.ts";
import type { Program } from "./program.ts";
import { LANES } from "./registers.ts";
import { Releases } from "./releases.ts";
import { Shadow } from "./shadow.ts";
import type { BarrierReduction, Flow, Step } from "./step.ts";
import { Warp } from "./warp.ts";

type BarrierFlow = Extract<Flow, { kind: "barrier" }>;
type Index = readonly [number, number, number];

/** Instructions after which the next warp has its turn, so that warps that wait for each other in memory make progress. */
const TURN = 20_000;
const BARRIERS = 16;

interface Barrier {
  /** Threads that must arrive; undefined: all that have not exited. */
  threads: number | undefined;
  readonly arrived: number[];
  readonly waiting: Warp[];
  /** For barriers with a reduction. */
  trueThreads: number;
  allThreads: number;
}

export class Block {
  readonly launch: Launch;
  readonly program: Program;
  readonly shared: Region;
  readonly clocks: Clocks;
  readonly releases: Releases;
  /** Undefined without checks. */
  readonly shadow: Shadow | undefined;
  /** Undefined unless races in global memory are looked for. */
  readonly races: GlobalRaces | undefined;
  /** What accesses to shared and to global memory have cost, by step; empty without checks. */
  readonly sharedCounts = new Map<Step, AccessCount>();
  readonly globalCounts = new Map<Step, AccessCount>();
  blockIndex: Index = [0, 0, 0];
  readonly #warps: Warp[];
  readonly #barriers = new Map<number, Barrier>();

  constructor(launch: Launch, program: Program) {
    const warps = Math.ceil(launch.threads / LANES);
    this.launch = launch;
    this.program = program;
    this.shared = new Region(program.sharedBytes(launch.dynamicSharedMemory));
    this.clocks = new Clocks(warps);
    this.releases = new Releases(this.clocks, warps);
    this.races = launch.checkGlobalRaces ? new GlobalRaces(this, warps, program.globalGranule) : undefined;
    this.shadow = launch.check ? new Shadow(this.shared.byteLength, warps, program.granule, this.clocks) : undefined;
    this.#warps = Array.from({ length: warps }, (_, index) => new Warp(this, index));
  }

  /** Runs the block at an index of the grid; the next call starts afresh. */
  run(blockIndex: Index): void {
    const { launch } = this;
    this.blockIndex = blockIndex;
    this.#barriers.clear();
    this.clocks.restart();
    this.releases.restart(this.shared);
    this.races?.restart();
    this.shadow?.reset();
    // What is not written reads as NaN and as a number out of place.
    this.shared.i32.fill(-1);
    for (const warp of this.#warps) {
      this.#setSpecials(warp);
      warp.start(launch.threads - warp.index * LANES);
    }
    for (;;) {
      let progress = false;
      let finished = true;
      for (const warp of this.#warps) {
        if (warp.state === "ready") {
          warp.run(TURN);
          progress = true;
        }
        if (warp.state !== "finished") finished = false;
      }
      if (finished) return;
      if (!progress) this.#deadlock();
      if (launch.instructions > launch.maxInstructions)
        this.#warps
          .find(({ state }) => state !== "finished")!
          .fault(
            "PTX_INSTRUCTION_LIMIT",
            `the launch has executed ${launch.instructions} warp instructions; the limit is ${launch.maxInstructions} (maxInstructions)`,
          );
    }
  }

  #setSpecials(warp: Warp): void {
    const { launch, program, blockIndex } = this;
    const context = {
      grid: launch.grid,
      block: launch.block,
      blockIndex,
      warp: warp.index,
      warps: this.#warps.length,
      dynamicSharedBytes: launch.dynamicSharedMemory,
      sharedBytes: this.shared.byteLength - program.sharedBase,
    };
    for (const [name, row] of program.frame.specials) {
      const value = staticSpecials.get(name)!;
      for (let lane = 0; lane < LANES; lane++) warp.registers.i[row + lane] = value(context, lane);
    }
  }

  threadIndex(linear: number): Index {
    const [x, y] = this.launch.block;
    return [linear % x, Math.floor(linear / x) % y, Math.floor(linear / (x * y))];
  }

  /** A warp comes to a barrier; whether it goes on at once. */
  arrive(warp: Warp, flow: BarrierFlow, mask: number): boolean {
    const { u, predicates } = warp.registers;
    const lane = 31 - Math.clz32(mask & -mask);
    const number = u[flow.barrier + lane]!;
    if (number >= BARRIERS) warp.fault("PTX_OUT_OF_BOUNDS", `barrier ${number}: there are ${BARRIERS}`);
    const threads = flow.threads === undefined ? undefined : u[flow.threads + lane]!;
    if (threads !== undefined && (threads % LANES !== 0 || threads > this.#warps.length * LANES))
      warp.fault(
        "PTX_BARRIER_DIVERGENCE",
        `a barrier of ${threads} threads: a multiple of ${LANES}, at most those of the block, is needed`,
      );
    let barrier = this.#barriers.get(number);
    if (barrier === undefined) {
      barrier = { threads, arrived: [], waiting: [], trueThreads: 0, allThreads: 0 };
      this.#barriers.set(number, barrier);
    } else if (barrier.threads !== threads)
      warp.fault(
        "PTX_BARRIER_DIVERGENCE",
        `barrier ${number} has arrivals for ${barrier.threads ?? "all"} and for ${threads ?? "all"} threads`,
      );
    barrier.arrived.push(warp.index);
    if (flow.reduce) {
      barrier.trueThreads += countBits(flow.reduce.predicate(predicates) & mask);
      barrier.allThreads += countBits(mask);
    }
    warp.reduction = flow.reduce && { of: flow.reduce, mask };
    if (!flow.arrive) {
      warp.state = "waiting";
      barrier.waiting.push(warp);
    }
    this.#release(number, barrier);
    return warp.state === "ready";
  }

  /** A warp has finished: barriers of all threads no longer wait for it. */
  finished(): void {
    for (const [number, barrier] of this.#barriers) this.#release(number, barrier);
  }

  /** Opens the barrier if all have arrived. */
  #release(number: number, barrier: Barrier): void {
    const live = this.#warps.filter(({ state }) => state !== "finished").length;
    const needed = barrier.threads === undefined ? live : barrier.threads / LANES;
    if (barrier.arrived.length < needed || barrier.arrived.length === 0) return;
    this.#barriers.delete(number);
    const waiting = barrier.waiting.map(({ index }) => index);
    this.clocks.synchronize(barrier.arrived, waiting);
    this.releases.synchronize(barrier.arrived, waiting);
    for (const warp of barrier.waiting) {
      warp.state = "ready";
      if (warp.reduction) finishReduction(warp, warp.reduction, barrier);
    }
  }

  #deadlock(): never {
    const waiting = [...this.#barriers].flatMap(([number, { waiting }]) =>
      waiting.map((warp) => `warp ${warp.index} at barrier ${number} (line ${warp.step.line})`),
    );
    const finished = this.#warps.filter(({ state }) => state === "finished").map(({ index }) => index);
    const gone = finished.length > 0 ? `; finished: warps ${finished.join(", ")}` : "";
    const one = this.#warps.find(({ state }) => state === "waiting")!;
    return one.fault("PTX_DEADLOCK", `no warp of the block can go on: ${waiting.join(", ")}${gone}`);
  }

  /** Counts an access to shared memory by the current instruction of `warp`; `updates`: an atomic. */
  countBanks(warp: Warp, mask: number, offsets: Int32Array, bytes: number, updates = false): void {
    if (this.launch.check) countWavefronts(countOf(this.sharedCounts, warp.step), mask, offsets, bytes, updates);
  }

  /** Counts an access to global memory by the current instruction of `warp`. */
  countSectors(warp: Warp, mask: number, offsets: Int32Array, bytes: number): void {
    if (this.launch.check) countSectors(countOf(this.globalCounts, warp.step), mask, offsets, bytes);
  }
}

function countOf(counts: Map<Step, AccessCount>, step: Step): AccessCount {
  let count = counts.get(step);
  if (count === undefined) {
    count = { least: 0, actual: 0 };
    counts.set(step, count);
  }
  return count;
}

function finishReduction(warp: Warp, { of, mask }: { of: BarrierReduction; mask: number }, barrier: Barrier): void {
  const { trueThreads, allThreads } = barrier;
  const { i, predicates } = warp.registers;
  if (of.kind === "popc") {
    for (let lane = 0; lane < LANES; lane++) if ((mask >>> lane) & 1) i[of.target + lane] = trueThreads;
    return;
  }
  const holds = of.kind === "and" ? trueThreads === allThreads : trueThreads > 0;
  predicates[of.target] = holds ? predicates[of.target]! | mask : predicates[of.target]! & ~mask;
}

function countBits(mask: number): number {
  let count = 0;
  for (let bits = mask; bits !== 0; bits &= bits - 1) count++;
  return count;
}
