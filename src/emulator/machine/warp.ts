/**
 * @file A warp: 32 lanes with one course. Where lanes part at a branch, one side waits on a stack until the other arrives at the place
 * where both meet again (the immediate post-dominator), as GPUs before Volta did it. So lanes of one warp never wait for each other.
 */
import { type FaultPlace, PtxFault, type PtxFaultCode } from "../errors.ts";
import { Region } from "../region.ts";
import { AsyncCopies } from "./async-copies.ts";
import type { Block } from "./block.ts";
import { LANES, Registers } from "./registers.ts";
import type { BarrierReduction, Flow, Step } from "./step.ts";

export type WarpState = "ready" | "waiting" | "finished";

/** Lanes that go on at `next` until they reach `meeting`. */
interface Course {
  next: number;
  mask: number;
  readonly meeting: number;
  /** Stands at a barrier until lanes that parted from these have exited. */
  stuck?: boolean;
}

export class Warp {
  readonly block: Block;
  readonly index: number;
  readonly registers: Registers;
  /** The carry of each lane, for add.cc and its kin. */
  readonly carries = new Uint8Array(LANES);
  /** Local memory: that of lane l starts at l · localBytes. */
  readonly local: Region;
  readonly copies = new AsyncCopies();
  /** The instruction that is being executed. */
  step!: Step;
  state: WarpState = "ready";
  /** Lanes with a thread that has not exited. */
  live = 0;
  /** Of a waiting warp: what it makes of the barrier's predicates. */
  reduction: { of: BarrierReduction; mask: number } | undefined;
  #courses: Course[] = [];

  constructor(block: Block, index: number) {
    const { program } = block;
    this.block = block;
    this.index = index;
    this.registers = new Registers(program.frame.words, program.frame.predicates);
    this.local = new Region(program.localBytes * LANES);
    for (const { row, low, high } of program.frame.constants)
      for (let lane = 0; lane < LANES; lane++)
        if (high === undefined) this.registers.u[row + lane] = low;
        else {
          this.registers.u[row + 2 * lane] = low;
          this.registers.u[row + 2 * lane + 1] = high;
        }
  }

  start(threads: number): void {
    this.live = threads >= LANES ? -1 : (1 << threads) - 1;
    this.state = "ready";
    this.copies.clear();
    this.#courses = [{ next: 0, mask: this.live, meeting: this.block.program.steps.length }];
  }

  /** Executes until the warp waits at a barrier, has finished, or has executed `limit` instructions. */
  run(limit: number): void {
    const { steps } = this.block.program;
    const { predicates } = this.registers;
    const { launch } = this.block;
    let course = this.#courses.at(-1)!;
    for (let executed = 0; executed < limit; executed++) {
      const step = steps[course.next]!;
      this.step = step;
      let { mask } = course;
      if (step.guard >= 0) mask &= step.negated ? ~predicates[step.guard]! : predicates[step.guard]!;
      launch.instructions++;
      if (step.flow === undefined) {
        if (mask !== 0) step.operation!(this, mask);
        course.next++;
      } else if (!this.#follow(step.flow, course, mask)) return;
      else course = this.#courses.at(-1)!;
      while (course.next === course.meeting && this.#courses.length > 1) {
        this.#courses.pop();
        course = this.#courses.at(-1)!;
      }
    }
  }

  /** Whether the warp goes on. */
  #follow(flow: Flow, course: Course, mask: number): boolean {
    switch (flow.kind) {
      case "branch":
        if (mask === 0) course.next++;
        else if (mask === course.mask) course.next = flow.target;
        else if (flow.uniform) this.fault("PTX_BRANCH_DIVERGENCE", "lanes disagree on a branch that is marked .uni");
        else this.#branch(course, [[flow.target, mask]]);
        return true;
      case "table": {
        const { u } = this.registers;
        const groups = new Map<number, number>();
        for (let lane = 0; lane < LANES; lane++) {
          if (!((mask >>> lane) & 1)) continue;
          const chosen = flow.targets[u[flow.row + lane]!];
          if (chosen === undefined)
            this.fault(
              "PTX_OUT_OF_BOUNDS",
              `branch table of ${flow.targets.length} targets: index ${u[flow.row + lane]}`,
              lane,
            );
          groups.set(chosen!, (groups.get(chosen!) ?? 0) | (1 << lane));
        }
        this.#branch(course, [...groups]);
        return true;
      }
      case "exit":
        return this.#exit(course, mask);
      case "barrier":
        if (mask !== 0 && mask !== this.live) {
          if (this.#letOthersExit(course)) return true;
          this.fault(
            "PTX_BARRIER_DIVERGENCE",
            `only some lanes of the warp reach the barrier (${hex(mask)} of ${hex(this.live)})`,
          );
        }
        course.next++;
        return mask === 0 || this.block.arrive(this, flow, mask);
    }
  }

  /** Lanes that parted from these may be about to exit: they run first. Whether there are any. */
  #letOthersExit(course: Course): boolean {
    course.stuck = true;
    for (let at = this.#courses.length - 2; at >= 0; at--) {
      const other = this.#courses[at]!;
      if (other.meeting !== course.meeting) return false;
      if (other.stuck) continue;
      this.#courses.splice(at, 1);
      this.#courses.push(other);
      return true;
    }
    return false;
  }

  /** Lanes go to targets; those that are in no group go on. */
  #branch(course: Course, groups: readonly (readonly [target: number, mask: number])[]): void {
    let staying = course.mask;
    for (const [, mask] of groups) staying &= ~mask;
    const all: (readonly [number, number])[] = [[course.next + 1, staying], ...groups];
    let parts = all.filter(([, mask]) => mask !== 0);
    // Lanes that go to the end of the program do not wait there for the others.
    if (parts.length > 1) {
      for (const [next, mask] of parts) if (this.#endsAt(next)) this.#drop(mask);
      parts = parts.filter(([next]) => !this.#endsAt(next));
      if (parts.length === 0) return;
    }
    const [first] = parts;
    if (parts.length === 1) {
      course.next = first![0];
      return;
    }
    const meeting = this.step.reconvergence;
    // The course becomes that of all lanes from the meeting place on, unless it ends there anyway.
    if (course.meeting === meeting) this.#courses.pop();
    else course.next = meeting;
    for (const [next, mask] of parts) if (next !== meeting) this.#courses.push({ next, mask, meeting });
    if (this.#courses.length === 0) throw new Error("a warp without a course");
  }

  #endsAt(next: number): boolean {
    const { flow, guard } = this.block.program.steps[next]!;
    return flow?.kind === "exit" && guard < 0;
  }

  /** Lanes have exited. */
  #drop(mask: number): void {
    this.live &= ~mask;
    for (const course of this.#courses) course.mask &= ~mask;
    this.#courses = this.#courses.filter((course) => course.mask !== 0);
  }

  #exit(course: Course, mask: number): boolean {
    course.next++;
    if (mask !== 0) this.#drop(mask);
    if (this.#courses.length > 0) return true;
    this.state = "finished";
    this.block.finished();
    return false;
  }

  /** Throws a fault at the current instruction. */
  fault(code: PtxFaultCode, message: string, lane?: number, address?: number, other?: FaultPlace): never {
    const { step, block } = this;
    const thread = lane === undefined ? undefined : block.threadIndex(this.index * LANES + lane);
    const place = {
      line: step.line,
      instruction: step.text,
      block: block.blockIndex,
      warp: this.index,
      ...(step.source !== undefined && { source: step.source }),
      ...(thread && { thread }),
      ...(address !== undefined && { address: BigInt(address) }),
      ...(other && { other }),
    };
    throw new PtxFault(code, message, place, block.launch.prints);
  }
}

const hex = (mask: number): string => `0x${(mask >>> 0).toString(16)}`;
