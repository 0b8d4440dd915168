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
import { type Operation, shapeOf, type Value } from "../../ir/index.ts";
import { chooseSwizzle, conversionBetween, type LinearLayout, layoutOfTranspose } from "../../layout/index.ts";
import { findPrefetches, type Prefetch } from "../../passes/index.ts";
import { bytesOf } from "./access.ts";
import {
  type CopyForm,
  type CopyPiece,
  type CopySource,
  copySource,
  isCopyable,
  issueCopy,
  planCopy,
} from "./async-copy.ts";
import { readsStaged, stagedMemory } from "./dot.ts";
import { divisorOf, type Element, floatImmediate, isInteger, operandOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { isRegister, type Register, type SharedBuffer } from "./instruction.ts";
import { addIntegers, multiplyIntegers, subtractIntegers } from "./integers.ts";
import { type Entries, Lookups, lowerSlice } from "./lookups.ts";
import type { Lowering } from "./lowering.ts";
import { UNKNOWN_ROOT } from "./roots.ts";
import { SHARED_ALIGNMENT, type StagedPlace, type StagedTile, sharedStart } from "./shared.ts";

/** A load with its place: in a ring of the pipeline's depth or alone. */
interface Stream {
  readonly prefetch: Prefetch;
  readonly pieces: readonly CopyPiece[];
  /** See CopyForm. */
  readonly bounded: boolean;
  readonly layout: LinearLayout;
  readonly memory: LinearLayout;
  readonly bytes: number;
  readonly kind: StagedTile["dtype"];
  /** Number of the point at which its copies are issued, `distance` turns ahead, and of that before which they must have come. */
  readonly issue: number;
  readonly distance: number;
  readonly wait: number;
  readonly ring: boolean;
  /** In the ring's stage or in the buffer of single tiles. */
  readonly offset: number;
}

export interface LoopRange {
  readonly from: Element;
  readonly to: Element;
  readonly step: Element;
}

/** Bytes that a thread can load in one go without spilling, beside its accumulators. */
const MOST_IN_REGISTERS = 64 * 4;

/** The pipeline of a loop, made before the loop; undefined where nothing can be loaded ahead. */
export function openPipeline(lowering: Lowering, loop: Operation, range: LoopRange): Pipeline | undefined {
  const stages = lowering.options.numStages;
  if (!lowering.emitter.target.asyncCopy || stages < 2) return undefined;
  const candidates = findPrefetches(loop, {
    usersOf: (value) => lowering.uses.get(value) ?? [],
    reads: (user, index) => readsStaged(lowering, user, index),
    changes: (write, load) => mayChange(lowering, write, load),
  });
  const streams = candidates.flatMap((prefetch) => describe(lowering, loop, prefetch, range) ?? []);
  const order = new Map(loop.blocks[0]!.operations.map((operation, i) => [operation, i]));
  const { comfortableSharedMemory, threads, target } = lowering.emitter;
  // A turn's tiles that registers cannot hold either must be copied, if with fewer blocks on a multiprocessor.
  const bytes = streams.reduce((sum, stream) => sum + stream.bytes, 0);
  const rooms = [comfortableSharedMemory, ...(bytes > threads * MOST_IN_REGISTERS ? [target.sharedMemoryLimit] : [])];
  // A tile that passes registers anyway is copied ahead only if there is room for it too.
  for (const room of rooms)
    for (const chosen of [streams, streams.filter(({ prefetch }) => prefetch.direct)]) {
      if (chosen.length === 0) continue;
      const left = room - otherBytes(lowering, loop, chosen);
      const plan = plans(chosen, stages, order).find(({ bytes }) => bytes <= left);
      if (plan) return new Pipeline(lowering, loop, range, plan);
    }
  return undefined;
}

/** Parameters do not overlap where one is written. What orders all memory (a scalar atomic) may make anything visible. */
function mayChange({ roots }: Lowering, { opcode, operands: [target] }: Operation, load: Operation): boolean {
  const written = roots.rootOf(target!);
  const read = roots.rootOf(load.operands[0]!);
  const isFence = (opcode === "atomic_rmw" || opcode === "atomic_cas") && shapeOf(target!.type).length === 0;
  return isFence || written === read || written === UNKNOWN_ROOT || read === UNKNOWN_ROOT;
}

type Order = ReadonlyMap<Operation, number>;

/** Shared memory that the loop needs besides: operands that wait for its dots, and what it exchanges. An estimate from above. */
function otherBytes(lowering: Lowering, loop: Operation, streams: readonly Candidate[]): number {
  let bytes = 0;
  const streamed = new Set(streams.map(({ prefetch }) => prefetch.load.results[0]!));
  const counted = new Set<Value>();
  for (const operation of loop.blocks[0]!.operations) {
    for (const operand of operation.operands) {
      const lowered = lowering.values.get(operand);
      if (lowered?.kind !== "staged" || counted.has(operand)) continue;
      counted.add(operand);
      bytes += bytesOf(lowered.dtype) << lowered.layout.outBits;
    }
    const [value] = operation.operands;
    if (operation.opcode !== "trans" && operation.opcode !== "convert_layout") continue;
    if (streamed.has(value!)) streamed.add(operation.results[0]!);
    if (operation.opcode === "trans" || streamed.has(value!)) continue;
    const [from, to] = [lowering.layoutOf(value!)!, lowering.layoutOf(operation.results[0]!)!];
    if (conversionBetween(from, to).kind === "shared") bytes += bytesOf(value!.type.dtype) << to.outBits;
  }
  return bytes;
}

type Candidate = Pick<Stream, "prefetch" | "pieces" | "bounded" | "layout" | "memory" | "bytes" | "kind">;

function describe(lowering: Lowering, loop: Operation, prefetch: Prefetch, range: LoopRange): Candidate | undefined {
  const { emitter } = lowering;
  const value = prefetch.load.results[0]!;
  const layout = lowering.layoutOf(value)!;
  const kind = value.type.dtype;
  if (!isCopyable(prefetch.load)) return undefined;
  // Exchanging what addresses are made of would take more barriers than the pipeline saves.
  if (prefetch.slice.some((operation) => exchanges(lowering, operation))) return undefined;
  const lookups = new Lookups(lowering, loop.blocks[0]!.parameters[0]!, [prefetch], range.from);
  // Laid out for who reads, so that no reads conflict. What passes registers is read but once: then in vectors of whoever copies, if those are wider.
  const reader = readerLayout(lowering, prefetch);
  const memories = [stagedMemory(kind, layout, reader)];
  if (!prefetch.direct)
    memories.push(
      chooseSwizzle({ writer: layout, reader, elementBytes: bytesOf(kind), whole: true }),
      stagedMemory(kind, layout, layout),
    );
  let best: Pick<Candidate, "pieces" | "bounded" | "memory"> | undefined;
  for (const bounded of [false, true])
    for (const memory of memories) {
      if (best?.pieces.every(({ bytes }) => bytes === emitter.target.maxVectorBytes)) break;
      const source = sourceAt(lowering, loop, prefetch, range.from, lookups.now, { bounded });
      const pieces = source && planCopy(emitter, source, layout, memory);
      if (pieces && !(best && best.pieces.length <= pieces.length)) best = { pieces, bounded, memory };
    }
  if (!best) return undefined;
  const bytes = Math.ceil((bytesOf(kind) << layout.outBits) / SHARED_ALIGNMENT) * SHARED_ALIGNMENT;
  return { prefetch, ...best, layout, bytes, kind };
}

const exchanges = (lowering: Lowering, { opcode, operands: [value], results: [result] }: Operation): boolean =>
  opcode === "convert_layout" &&
  conversionBetween(lowering.layoutOf(value!)!, lowering.layoutOf(result!)!).kind === "shared";

/** The layout in which the first reader wants the loaded tile, with the axes as they are loaded. */
function readerLayout(lowering: Lowering, { load }: Prefetch): LinearLayout {
  let value = load.results[0]!;
  let transposed = false;
  for (;;) {
    const user = lowering.uses.get(value)![0]!;
    if (user.opcode !== "trans" && user.opcode !== "convert_layout") break;
    transposed = transposed !== (user.opcode === "trans");
    value = user.results[0]!;
  }
  const layout = lowering.layoutOf(value)!;
  return transposed ? layoutOfTranspose(layout, [1, 0]) : layout;
}

/** The source of the load's copy when the loop's index is `index`. */
function sourceAt(
  lowering: Lowering,
  loop: Operation,
  { load, slice }: Prefetch,
  index: Element,
  entries: Entries,
  form: CopyForm,
): CopySource | undefined {
  lowerSlice(lowering, [loop.blocks[0]!.parameters[0]!, index], slice, entries);
  return copySource(lowering, load, form);
}

interface Plan {
  readonly stages: number;
  /** Turns between the places of a ring's buffer are so many bytes apart. */
  readonly ringBytes: number;
  readonly singleBytes: number;
  readonly bytes: number;
  readonly streams: readonly Stream[];
  /** The points: each is before the body's operation of this number. */
  readonly points: readonly number[];
}

/** The possible plans, best first. */
function plans(candidates: readonly Candidate[], stages: number, order: Order): Plan[] {
  const list: Plan[] = [];
  for (let depth = stages; depth >= 2; depth--) list.push(makePlan(candidates, depth, order, false));
  list.push(makePlan(candidates, 2, order, true));
  return list;
}

/** `tight`: tiles have one place where that still lets their copy run beside dots. */
function makePlan(candidates: readonly Candidate[], stages: number, order: Order, tight: boolean): Plan {
  const first = ({ prefetch }: Candidate): number => order.get(prefetch.readers[0]!)!;
  const last = ({ prefetch }: Candidate): number => order.get(prefetch.readers.at(-1)!)!;
  const start = Math.min(...candidates.map(first));
  let singles = tight ? candidates : [];
  let points: number[];
  /** The next point after the last reader: in this turn or, beyond the last point, the first of the next. */
  const issueOf = (candidate: Candidate): { issue: number; distance: number } => {
    const next = points.findIndex((point) => point > last(candidate));
    return next === -1 ? { issue: 0, distance: 0 } : { issue: next, distance: 1 };
  };
  const waitOf = (candidate: Candidate): number => points.indexOf(first(candidate));
  for (;;) {
    points = [...new Set([start, ...singles.map(first)])].sort((a, b) => a - b);
    const overlapping = singles.filter((single) => issueOf(single).distance > 0 || waitOf(single) > 0);
    if (overlapping.length === singles.length) break;
    singles = overlapping;
  }
  let [ringBytes, singleBytes] = [0, 0];
  const streams = candidates.map((candidate): Stream => {
    if (singles.includes(candidate)) {
      const offset = singleBytes;
      singleBytes += candidate.bytes;
      return { ...candidate, ...issueOf(candidate), wait: waitOf(candidate), ring: false, offset };
    }
    const offset = ringBytes;
    ringBytes += candidate.bytes;
    return { ...candidate, issue: 0, distance: stages - 1, wait: 0, ring: true, offset };
  });
  return { stages, ringBytes, singleBytes, bytes: stages * ringBytes + singleBytes, streams, points };
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
