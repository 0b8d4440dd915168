/**
 * @file What a code generator asks of a layout: which elements each register holds, how wide a memory access may be and which
 * registers it moves, and which threads hold nothing but copies.
 */
import { REGISTER } from "./dims.ts";
import { applyColumns, imagesOf } from "./gf2.ts";
import type { LinearLayout } from "./linear-layout.ts";

/**
 * The constant part of each register's element, as packed (row-major) outputs: register `r` of a thread holds the element
 * `threadPart ^ registerParts(layout)[r]`, where `threadPart` is the XOR of `threadBases`.
 */
export const registerParts = (layout: LinearLayout): number[] => imagesOf(layout.basesOf(REGISTER));

/** One bit of a thread's position and the packed output that it adds (by XOR) when it is set. */
export interface ThreadBasis {
  /** `lane`, `warp` or `thread`. */
  readonly input: string;
  readonly bit: number;
  readonly basis: number;
}

/** The bits of a thread's position that matter, fastest first. */
export function threadBases(layout: LinearLayout): ThreadBasis[] {
  const found: ThreadBasis[] = [];
  for (let index = layout.ins.length - 1; index >= 0; index--) {
    const input = layout.ins[index].name;
    if (input === REGISTER) continue;
    layout.basesOf(input).forEach((basis, bit) => {
      if (basis !== 0) found.push({ input, bit, basis });
    });
  }
  return found;
}

/** What limits a vector access besides the layout; an absent fact limits nothing. */
export interface AccessFacts {
  /** Bytes of one element. */
  readonly elementBytes: number;
  /** The widest access of the target, in bytes; 16 by default. */
  readonly maxBytes?: number;
  /** Elements along the axis that lie next to each other in memory, in aligned runs. */
  readonly contiguity?: number;
  /** The bytes that divide the address of the first element of every such run. */
  readonly divisibility?: number;
  /** Elements along the axis that share one value of the mask, in aligned runs. */
  readonly maskConstancy?: number;
}

/**
 * The most elements along `axis` (an index or a name of an output dimension) that one access can move: a power of two. Each
 * thread must hold aligned groups of that many, in an order that is the same in all threads.
 */
export function vectorWidth(layout: LinearLayout, axis: number | string, facts: AccessFacts): number {
  const { elementBytes, maxBytes = 16, contiguity, divisibility, maskConstancy } = facts;
  const limit = Math.min(
    maxBytes / elementBytes,
    contiguity ?? Number.POSITIVE_INFINITY,
    (divisibility ?? Number.POSITIVE_INFINITY) / elementBytes,
    maskConstancy ?? Number.POSITIVE_INFINITY,
  );
  const mask = maskOfAxis(layout, axis);
  const unit = mask & -mask;
  const registers = layout.spanOf(REGISTER);
  const threads = threadBases(layout).reduce((bits, { basis }) => bits | basis, 0);
  let width = 1;
  while (width * 2 <= limit && ((unit * width) & mask & ~threads) !== 0 && registers.contains(unit * width)) width *= 2;
  return width;
}

/**
 * The registers that each access of `width` elements along `axis` moves, in the order of their addresses. Every register is in one
 * group. `width` must be at most `vectorWidth`.
 */
export function vectorGroups(layout: LinearLayout, axis: number | string, width: number): number[][] {
  const mask = maskOfAxis(layout, axis);
  const unit = mask & -mask;
  const bases = layout.basesOf(REGISTER);
  const solver = layout.spanOf(REGISTER);
  /** The registers that stand for one step of 1, 2, 4, ... elements along the axis. */
  const steps: number[] = [];
  for (let step = 1; step < width; step *= 2) steps.push(solver.solve(unit * step)!);
  const done = new Uint8Array(1 << bases.length);
  const groups: number[][] = [];
  for (let register = 0; register < done.length; register++) {
    if (done[register]) continue;
    const position = ((applyColumns(bases, register) & mask) / unit) & (width - 1);
    const group = Array.from({ length: width }, (_, i) => register ^ applyColumns(steps, i ^ position));
    for (const member of group) done[member] = 1;
    groups.push(group);
  }
  return groups;
}

/** The registers that are no copies of others of the same thread. With the masks of `idleThreads`, each element has one owner. */
export function registersWithoutCopies(layout: LinearLayout): number[] {
  const redundant = layout.freeVariableMasks()[REGISTER] ?? 0;
  return Array.from({ length: layout.sizeOf(REGISTER) }, (_, register) => register).filter(
    (r) => (r & redundant) === 0,
  );
}

/**
 * Which threads hold only copies: those with `(position & mask) !== 0` for one of the dimensions returned (`lane`, `warp` or
 * `thread`; those without redundancy are left out). The others hold every element once, in `registersWithoutCopies`.
 */
export function idleThreads(layout: LinearLayout): { input: string; mask: number }[] {
  return Object.entries(layout.freeVariableMasks())
    .filter(([input, mask]) => input !== REGISTER && mask !== 0)
    .map(([input, mask]) => ({ input, mask }));
}

function maskOfAxis(layout: LinearLayout, axis: number | string): number {
  return layout.maskOfOut(typeof axis === "string" ? axis : layout.outs[axis].name);
}
