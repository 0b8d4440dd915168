/**
 * @file What a pipeline copies ahead in a loop (pipeline.ts), and where to: which loads have a copy and of what pieces, whether there is room in
 * shared memory for rings of several turns, and the points of a turn at which copies are issued and waited for.
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
  NARROWEST,
  planCopy,
} from "./async-copy.ts";
import { readsStaged, stagedMemory } from "./dot.ts";
import type { Element } from "./element.ts";
import { type Entries, Lookups, lowerSlice } from "./lookups.ts";
import type { Lowering } from "./lowering.ts";
import { UNKNOWN_ROOT } from "./roots.ts";
import { SHARED_ALIGNMENT, type StagedTile } from "./shared.ts";

/** A load with its place: in a ring of the pipeline's depth or alone. */
export interface Stream {
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

/** So many of the narrowest copies of a tile are made by a thread, where what it copies is read back to registers. */
const MOST_NARROW_PIECES = 16;

/** Bytes that a thread can load in one go without spilling, beside its accumulators. */
const MOST_IN_REGISTERS = 64 * 4;

/** What is copied ahead in a loop, and where to; undefined where nothing can be. */
export function planPipeline(lowering: Lowering, loop: Operation, range: LoopRange): Plan | undefined {
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
      if (plan) return plan;
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
  // A tile that goes to registers is better loaded there than copied ahead in little pieces from all over memory.
  if (!prefetch.direct && best.pieces.filter((piece) => piece.bytes <= NARROWEST).length > MOST_NARROW_PIECES)
    return undefined;
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
export function sourceAt(
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

export interface Plan {
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
