/**
 * @file From the index of a thread to the elements it holds: linear maps over the bits of `tid`, computed once at the head of the kernel.
 */
import {
  axisName,
  idleThreads,
  LANE,
  type LinearLayout,
  registerParts,
  threadBases,
  WARP,
} from "../../layout/index.ts";
import { divisorOf, type Element, lowBit, operandOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { type Guard, type Operand, type Register, symbol } from "./instruction.ts";
import { addIntegers } from "./integers.ts";

export const threadIndex = (emitter: Emitter): Register => emitter.pure("b32", "mov.u32", [symbol("%tid.x")]);

/** The image of each bit of the thread index, lowest first, given in units of `unit` (a power of two). */
export function threadColumns(layout: LinearLayout): number[] {
  return [...layout.basesOf(LANE), ...layout.basesOf(WARP)];
}

/**
 * The XOR of those columns whose bit of the thread index is set. Bits that move by the same distance are moved together: two
 * instructions for each distance.
 */
export function linearOfThread(emitter: Emitter, columns: readonly number[]): Element {
  return emitter.ofThread(columns.join(), () => [makeLinearOfThread(emitter, columns)])[0]!;
}

function makeLinearOfThread(emitter: Emitter, columns: readonly number[]): Element {
  const moves = new Map<number, number>();
  let seen = 0;
  let overlap = false;
  columns.forEach((column, bit) => {
    for (let rest = column; rest !== 0; rest &= rest - 1) {
      const to = 31 - Math.clz32(rest & -rest);
      moves.set(to - bit, (moves.get(to - bit) ?? 0) | (1 << bit));
    }
    overlap ||= (seen & column) !== 0;
    seen |= column;
  });
  if (seen === 0) return 0;
  const lowest = seen & -seen;
  const every = emitter.threads - 1;
  let total: Register | undefined;
  for (const [distance, mask] of moves) {
    let part = threadIndex(emitter);
    const moved = distance < 0 ? every >>> -distance : every << distance;
    const wanted = distance < 0 ? mask >>> -distance : mask << distance;
    const divisor = wanted & -wanted;
    if (distance > 0) part = emitter.pure("b32", "shl.b32", [part, distance], divisor);
    if (distance < 0) part = emitter.pure("b32", "shr.u32", [part, -distance], divisor);
    if (wanted !== moved) part = emitter.pure("b32", "and.b32", [part, wanted], divisor);
    total = total ? emitter.pure("b32", overlap ? "xor.b32" : "or.b32", [total, part], lowest) : part;
  }
  return total!;
}

/** The coordinate along `axis` of the element in each register of the thread. */
export function coordinatesAlong(emitter: Emitter, layout: LinearLayout, axis: number): readonly Element[] {
  return emitter.ofThread(`${axis}${layout.key}`, () => makeCoordinates(emitter, layout, axis));
}

function makeCoordinates(emitter: Emitter, layout: LinearLayout, axis: number): Element[] {
  const along = layout.sublayout(
    layout.ins.map(({ name }) => name),
    [axisName(axis)],
  );
  const thread = linearOfThread(emitter, threadColumns(along));
  const moving = threadBases(along).reduce((bits, { basis }) => bits | basis, 0);
  return registerParts(along).map((part) => exclusiveOr(emitter, thread, part, moving));
}

/** `thread ^ part`, where the bits of `thread` lie in `moving`: a sum as far as they do not meet. */
export function exclusiveOr(emitter: Emitter, thread: Element, part: number, moving: number): Element {
  const both = part & moving;
  const base: Element =
    both === 0
      ? thread
      : emitter.pure(
          "b32",
          "xor.b32",
          [operandOf(emitter, thread, "i32"), both],
          Math.min(divisorOf(thread), lowBit(both)),
        );
  return addIntegers(emitter, base, part & ~moving, "i32");
}

/** True in the one thread that stands for all threads which hold the same elements; undefined where there are no copies. */
export function ownerGuard(emitter: Emitter, layout: LinearLayout | undefined): Guard | undefined {
  let mask = 0;
  if (!layout) mask = emitter.threads - 1;
  else
    for (const { input, mask: bits } of idleThreads(layout))
      mask |= input === LANE ? bits : bits << layout.bitsOf(LANE);
  return threadBitsClear(emitter, mask);
}

/** True in threads in whose index the bits of `mask` are 0. */
export function threadBitsClear(emitter: Emitter, mask: number): Guard | undefined {
  if (mask === 0) return undefined;
  const index: Operand = threadIndex(emitter);
  const bits = mask === emitter.threads - 1 ? index : emitter.pure("b32", "and.b32", [index, mask]);
  return { predicate: emitter.pure("pred", "setp.eq.s32", [bits, 0]) };
}
