/**
 * @file Layouts repeat: where the upper half of an axis is the lower half again, one input bit further on, the lower half says everything.
 * For pictures and descriptions of large tiles.
 */
import { shiftOf } from "./dims.ts";
import type { LinearLayout } from "./linear-layout.ts";

/** `distance` further along an axis is the same place with `step` added to one input. */
export interface Repetition {
  /** Of `layout.outs`. */
  readonly axis: number;
  readonly distance: number;
  /** "register", "warp", "offset", ... */
  readonly input: string;
  readonly step: number;
}

/** The repetition of the upper half of an axis of the given extent, if it is one. */
export function repetitionAt(layout: LinearLayout, axis: number, extent: number): Repetition | undefined {
  const distance = extent / 2;
  const bit = 1 << (shiftOf(layout.outs, axis) + Math.log2(distance));
  const touching = layout.columns.flatMap((column, index) => ((column & bit) !== 0 ? [index] : []));
  const [index] = touching;
  if (touching.length !== 1 || layout.columns[index!] !== bit) return undefined;
  for (let dim = layout.ins.length - 1, shift = 0; dim >= 0; shift += layout.ins[dim--].bits)
    if (index! < shift + layout.ins[dim].bits)
      return { axis, distance, input: layout.ins[dim].name, step: 1 << (index! - shift) };
  return undefined;
}
