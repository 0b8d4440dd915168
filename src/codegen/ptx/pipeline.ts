/**
 * @file Software pipelining: the loads of a loop that feed dots (src/passes/prefetch.ts) are copied to shared memory while earlier turns
 * compute. A dot takes its fragments from there; what computes with the tile first reads it back to registers.
 *
 * A *ring* keeps a tile for each of `stages` turns; its copy is issued `stages - 1` turns ahead. Where shared memory has no room for
 * that, a tile that is not read throughout the turn has one place only, and its next copy is issued in the middle of the turn, as soon
 * as its last reader is done.
 *
 * Copies are issued at *points* of the turn: before the first dot, and before the first reader of each single tile. At a point the
 * threads wait for the copies that are read from there on and meet at a barrier, after which those copies are seen by all, and whatever
 * was read before the point may be overwritten; then the next copies are issued, as one group. A ring alone has one point, so one
 * barrier, a turn. What the copies need of memory to know their addresses is loaded one turn before (lookups.ts).
 */
import type { Operation } from "../../ir/index.ts";
import type { Prefetch } from "../../passes/index.ts";
import { type CopySource, issueCopy } from "./async-copy.ts";
import { divisorOf, type Element, floatImmediate, isInteger, operandOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { isRegister, type Register, type SharedBuffer } from "./instruction.ts";
import { addIntegers, multiplyIntegers, subtractIntegers } from "./integers.ts";
import { Lookups } from "./lookups.ts";
import type { Lowering } from "./lowering.ts";
import { type LoopRange, type Plan, planPipeline, type Stream, sourceAt } from "./pipeline-plan.ts";
import { SHARED_ALIGNMENT, type StagedPlace, sharedStart } from "./shared.ts";

/** The pipeline of a loop, made before the loop; undefined where nothing can be loaded ahead. */
export function openPipeline(lowering: Lowering, loop: Operation, range: LoopRange): Pipeline | undefined {
  const plan = planPipeline(lowering, loop, range);
  return plan && new Pipeline(lowering, loop, range, plan);
}

/** The code of a loop's pipeline: before the loop, at the points, at the end of a turn. */
export class Pipeline {
  readonly #lowering: Lowering;
  readonly #loop: Operation;
  readonly #range: LoopRange;
  readonly #plan: Plan;
  readonly #ring: SharedBuffer;
  readonly #single: SharedBuffer;
  /** Of the copies before the loop, which wait for the reads of an earlier run of the loop; and of the loop's accesses, which the points part. */
  readonly #filled: number;
  readonly #group: number;
  /** The start of shared memory plus the distance to the stage that is read, and to the one that is filled. */
  #reading: Register | undefined;
  #filling: Register | undefined;
  /** Of loads whose window moves evenly: where the next copy's begins. */
  readonly #origins = new Map<Stream, Register>();
  /** What the copies of each point and distance look up, for the next copy. */
  readonly #lookups = new Map<string, Lookups>();

  constructor(lowering: Lowering, loop: Operation, range: LoopRange, plan: Plan) {
    const { emitter } = lowering;
    this.#lowering = lowering;
    this.#loop = loop;
    this.#range = range;
    this.#plan = plan;
    this.#ring = emitter.sharedBuffer("ring", plan.stages * plan.ringBytes);
    this.#single = emitter.sharedBuffer("tiles", plan.singleBytes);
    this.#filled = emitter.accessGroup();
    this.#group = emitter.accessGroup();
    const groups = new Map<string, Prefetch[]>();
    for (const stream of plan.streams) {
      const key = lookupKey(stream);
      groups.set(key, [...(groups.get(key) ?? []), stream.prefetch]);
    }
    for (const [key, prefetches] of groups)
      this.#lookups.set(key, new Lookups(lowering, loop.blocks[0]!.parameters[0]!, prefetches, range.from));
    emitter.log?.pipeline(
      loop,
      plan.stages,
      plan.streams.map(({ prefetch, kind, layout, memory, ring, offset, distance, pieces }) => ({
        load: prefetch.load,
        kind,
        layout,
        memory,
        place: { buffer: ring ? this.#ring : this.#single, offset },
        places: ring ? plan.stages : 1,
        turnsAhead: distance,
        bytes: Math.max(...pieces.map(({ bytes }) => bytes)),
      })),
    );
  }

  /** Fills the stages of the first turns; before the loop. */
  fill(): void {
    const { emitter } = this.#lowering;
    const { from } = this.#range;
    const { streams, stages, ringBytes } = this.#plan;
    const farthest = Math.max(...streams.map(({ distance }) => distance));
    let started = false;
    for (const lookups of this.#lookups.values()) lookups.clear();
    // Turns before the first, which issue only what belongs to turns of the loop.
    for (let turn = -farthest; turn < 0; turn++)
      for (const point of this.#committing()) {
        const due = streams.filter(({ issue, distance }) => issue === point && turn + distance >= 0);
        for (const stream of due) {
          const ahead = turn + stream.distance;
          const index = this.#indexAt(from, ahead);
          const condition = this.#exists(from, ahead);
          const offset = stream.offset + (stream.ring ? ahead * ringBytes : 0);
          if (isFirst(stream, due)) this.#lookups.get(lookupKey(stream))!.load(index, condition);
          const next = this.#issue(stream, index, condition, { offset, group: this.#filled });
          if (next) this.#origins.set(stream, next);
        }
        started ||= due.length > 0;
        if (started) emitter.emit("cp.async.commit_group", []);
      }
    for (const stream of streams) {
      this.#carry(stream);
      const [index, exists] = [this.#indexAt(from, stream.distance), this.#exists(from, stream.distance)];
      if (isFirst(stream, streams)) this.#lookups.get(lookupKey(stream))!.load(index, exists);
    }
    if (ringBytes === 0) return;
    const depth = emitter.depth + 1;
    const divisor = SHARED_ALIGNMENT;
    this.#reading = emitter.register("b32", { name: emitter.uniqueName("stage"), depth, divisor });
    const start = sharedStart(emitter);
    emitter.emit("mov.b32", [this.#reading, start]);
    // The last stage is the first that is free.
    this.#filling = emitter.register("b32", { name: emitter.uniqueName("free"), depth, divisor });
    emitter.emit("add.s32", [this.#filling, start, (stages - 1) * ringBytes]);
  }

  /** The index so many turns after another one. */
  #indexAt(index: Element, turns: number): Element {
    const { emitter } = this.#lowering;
    return addIntegers(emitter, index, multiplyIntegers(emitter, this.#range.step, turns, "i32"), "i32");
  }

  /** Whether that turn exists. Not index + turns < to, which may pass the largest integer. */
  #exists(index: Element, turns: number): Element {
    const { emitter } = this.#lowering;
    const { to, step } = this.#range;
    const left = subtractIntegers(emitter, to, index, "i32");
    return isBelow(emitter, multiplyIntegers(emitter, step, turns, "i32"), left);
  }

  /** From here on the turns of the loop advance the stream's origin: that costs less than an address made anew. */
  #carry(stream: Stream): void {
    const { emitter } = this.#lowering;
    const { from } = this.#range;
    if (!stream.prefetch.motion) return;
    const source = this.#sourceOf(stream, from);
    const first = this.#origins.get(stream) ?? source.origin;
    if (first === undefined) return;
    const start = registerOf(emitter, first, "pointer");
    const divisor = Math.min(start.divisor, divisorOf(source.next!));
    const name = emitter.uniqueName(stream.prefetch.load.results[0]!.name ?? "source");
    const register = emitter.register("b64", { name, depth: emitter.depth + 1, divisor });
    emitter.emit("mov.b64", [register, start]);
    this.#origins.set(stream, register);
  }

  /** Gives the loads of the body their places and arranges for the points; `index` is the loop's index in the body. */
  enter(index: Register): void {
    const { emitter, staged, before } = this.#lowering;
    const { streams, points } = this.#plan;
    const operations = this.#loop.blocks[0]!.operations;
    for (const { prefetch, layout, memory, kind, ring, offset } of streams) {
      const place = ring
        ? { buffer: this.#ring, offset, start: this.#reading!, group: this.#group }
        : { buffer: this.#single, offset, group: this.#group };
      staged.set(prefetch.load, { kind: "staged", dtype: kind, layout, memory, place });
    }
    this.#skipUnused();
    points.forEach((at, point) => {
      before.set(operations[at]!, () => {
        const pending = this.#pendingAt(point);
        if (pending !== undefined) emitter.emit("cp.async.wait_group", [pending]);
        emitter.push(emitter.barrier());
        this.#issueAt(point, index);
      });
    });
  }

  /** Nothing is lowered at its own place that only the copies need. */
  #skipUnused(): void {
    const { skipped, staged, uses } = this.#lowering;
    const needed = new Set(this.#plan.streams.flatMap(({ prefetch }) => prefetch.slice));
    for (const operation of [...this.#loop.blocks[0]!.operations].reverse()) {
      if (!needed.has(operation)) continue;
      const users = operation.results.flatMap((result) => uses.get(result) ?? []);
      if (users.every((user) => staged.has(user) || skipped.has(user))) skipped.add(operation);
    }
  }

  /** At the end of a turn. */
  advance(): void {
    if (!this.#reading) return;
    const { emitter } = this.#lowering;
    const { stages, ringBytes } = this.#plan;
    emitter.emit("mov.b32", [this.#filling!, this.#reading]);
    const next = emitter.op("b32", "add.s32", this.#reading, ringBytes);
    const start = sharedStart(emitter);
    const end = emitter.pure("b32", "add.s32", [start, stages * ringBytes]);
    const wrapped = emitter.op("pred", "setp.eq.s32", next, end);
    emitter.emit("selp.b32", [this.#reading, start, next, wrapped]);
  }

  /** After the loop: nothing may come to memory that others use from now on. Barriers of the last turn say nothing of copies that were still under way. */
  drain(): void {
    for (const place of [this.#ring, this.#single])
      if (place.bytes > 0)
        this.#lowering.emitter.emit("cp.async.wait_group", [0], {
          access: { kind: "write", place, group: this.#group },
        });
  }

  /**
   * The condition of the copies in the middle of a turn, made to wait for the turn's last reduction: otherwise ptxas moves sums behind the
   * dots that follow, and all that they add up stays in registers beside the accumulators, until those spill. (Accesses to
   * shared memory keep their order, so the dots' loads come after the copies.) A square is never less than 0.
   */
  #afterReduction(condition: Element): Element {
    const { emitter, reduced } = this.#lowering;
    if (reduced?.scope !== emitter.scope || reduced.tile.kind !== "f32") return condition;
    const results = reduced.tile.elements(emitter).filter(isRegister);
    if (results.length === 0) return condition;
    const total = results.reduce((a, b) => emitter.op("f32", "add.f32", a, b));
    const square = emitter.op("f32", "mul.f32", total, total);
    return emitter.op("pred", "setp.geu.and.f32", square, floatImmediate(0), registerOf(emitter, condition, "bool"));
  }

  /** The points that issue something, so that each makes one group of copies a turn. */
  #committing(): number[] {
    const { streams, points } = this.#plan;
    return points.map((_, point) => point).filter((point) => streams.some(({ issue }) => issue === point));
  }

  /** How many of the groups issued last need not have come at a point; undefined where nothing is waited for. */
  #pendingAt(point: number): number | undefined {
    const committing = this.#committing();
    const earlier = committing.filter((other) => other < point).length;
    const pending = this.#plan.streams
      .filter(({ wait }) => wait === point)
      .map(({ issue, distance }) => distance * committing.length + earlier - committing.indexOf(issue) - 1);
    return pending.length === 0 ? undefined : Math.min(...pending);
  }

  #issueAt(point: number, index: Register): void {
    const { emitter, values } = this.#lowering;
    const due = this.#plan.streams.filter(({ issue }) => issue === point);
    if (due.length === 0) return;
    const own = [
      this.#loop.blocks[0]!.parameters[0]!,
      ...due.flatMap(({ prefetch }) => prefetch.slice.flatMap(({ results }) => results)),
    ];
    const saved = own.map((value) => values.get(value));
    const conditions = new Map<number, Element>();
    for (const stream of due) {
      const { distance } = stream;
      let condition = conditions.get(distance);
      if (condition === undefined) {
        condition = distance === 0 ? true : this.#exists(index, distance);
        if (point > 0) condition = this.#afterReduction(condition);
        conditions.set(distance, condition);
      }
      const { offset, ring } = stream;
      const place = { offset, group: this.#group, ...(ring && { start: this.#filling! }) };
      const next = this.#issue(stream, this.#indexAt(index, distance), condition, place);
      if (next) emitter.emit("mov.b64", [this.#origins.get(stream)!, next]);
    }
    emitter.emit("cp.async.commit_group", []);
    for (const stream of due) {
      const next = stream.distance + 1;
      if (isFirst(stream, due))
        this.#lookups.get(lookupKey(stream))!.load(this.#indexAt(index, next), this.#exists(index, next));
    }
    own.forEach((value, i) => {
      if (saved[i]) values.set(value, saved[i]);
    });
  }

  /** Gives the origin of the next copy where it is known from this one's. */
  #issue(stream: Stream, index: Element, condition: Element, at: Omit<StagedPlace, "buffer">): Register | undefined {
    const { emitter } = this.#lowering;
    const { ring, pieces, layout, memory } = stream;
    const source = this.#sourceOf(stream, index);
    const place = { ...at, buffer: ring ? this.#ring : this.#single };
    issueCopy(emitter, source, { pieces, layout, memory, place }, condition);
    return source.next === undefined ? undefined : registerOf(emitter, source.next, "pointer");
  }

  #sourceOf(stream: Stream, index: Element): CopySource {
    const { prefetch, pieces, bounded } = stream;
    const { step } = this.#range;
    const registers = pieces.map(({ register }) => register);
    const origin = this.#origins.get(stream);
    const distances = isInteger(step) ? prefetch.motion?.map((growth) => growth * Number(step)) : undefined;
    const motion = distances && { distances, ...(origin && { origin }) };
    const { now } = this.#lookups.get(lookupKey(stream))!;
    return sourceAt(this.#lowering, this.#loop, prefetch, index, now, { registers, motion, bounded })!;
  }
}

/** The same for copies that are issued together, for the same turn. */
const lookupKey = ({ issue, distance }: Stream): string => `${issue},${distance}`;
const isFirst = (stream: Stream, streams: readonly Stream[]): boolean =>
  streams.find((other) => lookupKey(other) === lookupKey(stream)) === stream;

/** Whether a < b. */
function isBelow(emitter: Emitter, a: Element, b: Element): Element {
  if (isInteger(a) && isInteger(b)) return a < b;
  if (isInteger(a)) return emitter.pure("pred", "setp.gt.s32", [registerOf(emitter, b, "i32"), a]);
  return emitter.pure("pred", "setp.lt.s32", [registerOf(emitter, a, "i32"), operandOf(emitter, b, "i32")]);
}
