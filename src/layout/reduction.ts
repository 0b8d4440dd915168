/**
 * @file How a reduction along an axis combines what the threads hold: first the registers of each thread, then lanes that share a row,
 * by exchange with a partner, then warps. Copies of an element are never combined with one another, so that a sum counts each
 * element once; at the end every thread that held part of a row holds the row's result (`layoutOfReduce`).
 */
import { LANE, type LayoutDim, REGISTER, shiftOf, unpackCoordinates } from "./dims.ts";
import { Span } from "./gf2.ts";
import type { LinearLayout } from "./linear-layout.ts";
import { layoutOfReduce, registersOfReduce } from "./slice.ts";

export interface ReductionPlan {
  /** `layoutOfReduce(layout, axis)`. */
  readonly result: LinearLayout;
  /** For each register of the result the registers of the source that a thread combines into it, in ascending order. */
  readonly accumulate: readonly (readonly number[])[];
  /** Exchanges within a thread (rare), in order. */
  readonly inThread: readonly ReductionStep[];
  /** Exchanges within a warp, to be done after those within the thread, in order. */
  readonly inWarp: readonly ReductionStep[];
  /** Exchanges across warps (or across threads, where there are no lanes), last, in order. */
  readonly acrossWarps: readonly ReductionStep[];
}

/**
 * Every place combines its value with that of its partner: the place whose position is this one's XOR the values here, by input
 * dimension of the result's layout (absent ones are 0). Both partners end with the same value.
 */
export type ReductionStep = Readonly<Record<string, number>>;

/** The plan for reducing a tile in `layout` along `axis`. */
export function planReduction(layout: LinearLayout, axis: number): ReductionPlan {
  const result = layoutOfReduce(layout, axis);
  const target = registersOfReduce(layout, axis);

  // Differences between elements that a place has combined so far; only the axis differs in them. A register that adds none is a copy.
  const combined = new Span();
  const onAxis = layout.maskOfOut(layout.outs[axis].name);
  const kept: number[] = [];
  let copies = 0;
  layout.basesOf(REGISTER).forEach((basis, bit) => {
    if ((basis & ~onAxis) !== 0) kept.push(basis);
    else if (!combined.insert(basis)) copies |= 1 << bit;
  });
  const accumulate: number[][] = Array.from({ length: result.sizeOf(REGISTER) }, () => []);
  target.forEach((into, register) => {
    if ((register & copies) === 0) accumulate[into].push(register);
  });

  // Moves between places that hold parts of the same row: dependencies among the bases of the result, fast dimensions first.
  const rows = new Span();
  const steps: Record<"inThread" | "inWarp" | "acrossWarps", ReductionStep[]> = {
    inThread: [],
    inWarp: [],
    acrossWarps: [],
  };
  const elements = elementsOfPlaces(result.ins, layout, kept);
  result.columns.forEach((column, place) => {
    const others = rows.solve(column);
    if (others === undefined) {
      rows.insert(column, 1 << place);
      return;
    }
    const move = others | (1 << place);
    let difference = 0;
    for (let rest = move; rest !== 0; rest &= rest - 1) difference ^= elements[31 - Math.clz32(rest & -rest)];
    // Places whose elements differ by what both have combined already are copies.
    if (!combined.insert(difference)) return;
    const values = unpackCoordinates(result.ins, move);
    const step = Object.fromEntries(
      result.ins.map(({ name }, i) => [name, values[i]]).filter(([, value]) => value !== 0),
    );
    const inputs = Object.keys(step);
    if (inputs.every((name) => name === REGISTER)) steps.inThread.push(step);
    else if (inputs.every((name) => name === REGISTER || name === LANE)) steps.inWarp.push(step);
    else steps.acrossWarps.push(step);
  });
  return { result, accumulate, ...steps };
}

/** For each input bit of the result the source's basis: that of the register bit that was kept, or of the same bit of the thread. */
function elementsOfPlaces(ins: readonly LayoutDim[], layout: LinearLayout, kept: readonly number[]): number[] {
  const elements: number[] = [];
  ins.forEach(({ name }, index) => {
    const bases = name === REGISTER ? kept : layout.basesOf(name);
    bases.forEach((basis, bit) => {
      elements[shiftOf(ins, index) + bit] = basis;
    });
  });
  return elements;
}
