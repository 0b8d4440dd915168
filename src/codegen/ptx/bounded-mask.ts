/**
 * @file How many elements the bound in a mask leaves from each one on (src/passes/mask-bound.ts): what a copy of several elements needs to know. So
 * a gather with a bound that nobody knows to be a multiple of anything is still copied in wide pieces.
 */
import type { Value } from "../../ir/index.ts";
import { boundedMask } from "../../passes/index.ts";
import { boolAnd } from "./bools.ts";
import { type Element, isInteger, isSum, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { subtractIntegers } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { Tile } from "./tile.ts";

/** For each register of the mask's layout. */
export interface MaskElements {
  /** What the mask asks besides the bound; undefined for nothing. */
  readonly masks: readonly Element[] | undefined;
  /** The bound minus what is compared with it (see `distance`): that many elements exist from this one on, if it grows by 1 from each to the next. */
  readonly remaining: readonly Element[];
}

/** Undefined where the mask has no bound. */
export function boundedElements(lowering: Lowering, mask: Value): MaskElements | undefined {
  const { emitter, values } = lowering;
  const parts = boundedMask(mask);
  if (!parts) return undefined;
  const { compare, spread } = parts;
  const rest = parts.rest.map((part) => lowering.tile(part).elements(emitter));
  const [compared, bound] = compare.operands.map((value) => lowering.tile(value).elements(emitter));
  const difference = compared!.map((element, i) => distance(emitter, bound![i]!, element));
  // The difference goes the way of the comparison's result.
  const way = [compare, ...spread].map(({ results }) => results[0]!);
  const saved = way.map((value) => values.get(value));
  values.set(way[0]!, Tile.ofElements("i32", lowering.layoutOf(way[0]!), difference));
  for (const operation of spread) lowering.lowerOperation(operation);
  const remaining = lowering.tile(way.at(-1)!).elements(emitter);
  way.forEach((value, i) => {
    if (saved[i]) values.set(value, saved[i]);
    else values.delete(value);
  });
  const all = (register: number): Element =>
    rest.reduce<Element>((both, list) => boolAnd(emitter, both, list[register]!), true);
  return { masks: rest.length === 0 ? undefined : remaining.map((_, register) => all(register)), remaining };
}

/** Farther than any copy reaches, and so near that neither a tile's offsets nor bytes for elements pass the largest integer. */
const FAR = 2 ** 28;

/** How far `element` is below `bound`: exactly where that is near, else at least FAR above or below. (A bound may be the largest integer.) */
function distance(emitter: Emitter, bound: Element, element: Element): Element {
  const offset = isInteger(element) ? element : isSum(element) ? element.offset : 0;
  const base = registerOf(emitter, isInteger(element) ? 0 : isSum(element) ? element.base : element, "i32");
  const limit = registerOf(emitter, bound, "i32");
  // Right as an unsigned number from the smaller to the larger of the two.
  const difference = emitter.pure("b32", "sub.s32", [limit, base]);
  const [above, below] = [
    emitter.pure("b32", "min.u32", [difference, FAR]),
    emitter.pure("b32", "max.u32", [difference, 2 ** 32 - FAR]),
  ];
  const near = emitter.pure("b32", "selp.b32", [above, below, emitter.pure("pred", "setp.ge.s32", [limit, base])]);
  return subtractIntegers(emitter, near, offset, "i32");
}
