/**
 * @file Masks of the form `row mask and column < bound`, taken apart: where a load moves several elements at once, it need not ask for each whether it
 * exists if it is known how many do.
 */
import { type Operation, shapeOf, type Value } from "../ir/index.ts";

/** A mask in two parts, of which both must hold. */
export interface BoundedMask {
  /** An i32 comparison `lt` with a bound that all elements share. */
  readonly compare: Operation;
  /** The operations that bring its result to the mask's shape, in order. */
  readonly spread: readonly Operation[];
  /** What else must hold. */
  readonly rest: readonly Value[];
}

/**
 * Undefined where no part of the mask is such a comparison. Of several one that tells elements along the last axis apart, since that is where loads move
 * several at once.
 */
export function boundedMask(mask: Value): BoundedMask | undefined {
  const found = bounds(mask);
  return found.find(({ spread }) => alongLastAxis(spread)) ?? found[0];
}

function bounds(mask: Value): BoundedMask[] {
  const parts = conjuncts(mask);
  return parts.flatMap((part): BoundedMask | [] => {
    const spread: Operation[] = [];
    let { definition } = part;
    while (definition && isSpread(definition)) {
      spread.unshift(definition);
      ({ definition } = definition.operands[0]!);
    }
    if (definition?.opcode !== "compare" || definition.attributes.predicate !== "lt") return [];
    const [compared, bound] = definition.operands;
    if (compared!.type.dtype !== "i32" || !isUniform(bound!)) return [];
    return { compare: definition, spread, rest: parts.filter((other) => other !== part) };
  });
}

/** Whether what these operations spread differs along the last axis of their result. */
function alongLastAxis(spread: readonly Operation[]): boolean {
  return spread.every(({ operands: [from], results: [to] }) => shapeOf(from!.type).at(-1) === shapeOf(to!.type).at(-1));
}

function conjuncts(value: Value): Value[] {
  const { definition } = value;
  return definition?.opcode === "and" ? definition.operands.flatMap(conjuncts) : [value];
}

const isSpread = ({ opcode }: Operation): boolean =>
  opcode === "broadcast" || opcode === "expand_dims" || opcode === "convert_layout";

/** Whether all elements are one scalar. */
const isUniform = ({ definition }: Value): boolean =>
  definition !== undefined &&
  (definition.opcode === "splat" ||
    definition.opcode === "constant" ||
    (isSpread(definition) && isUniform(definition.operands[0]!)));
