/**
 * @file Masks of the form `row mask and column < bound`, taken apart: where a load moves several elements at once, it need not ask for each whether it
 * exists if it is known how many do.
 */
import type { Operation, Value } from "../ir/index.ts";

/** A mask in two parts, of which both must hold. */
export interface BoundedMask {
  /** An i32 comparison `lt` with a bound that all elements share. */
  readonly compare: Operation;
  /** The operations that bring its result to the mask's shape, in order. */
  readonly spread: readonly Operation[];
  /** What else must hold. */
  readonly rest: readonly Value[];
}

/** Undefined where no part of the mask is such a comparison. */
export function boundedMask(mask: Value): BoundedMask | undefined {
  const parts = conjuncts(mask);
  for (const part of parts) {
    const spread: Operation[] = [];
    let { definition } = part;
    while (definition && isSpread(definition)) {
      spread.unshift(definition);
      ({ definition } = definition.operands[0]!);
    }
    if (definition?.opcode !== "compare" || definition.attributes.predicate !== "lt") continue;
    const [compared, bound] = definition.operands;
    if (compared!.type.dtype !== "i32" || !isUniform(bound!)) continue;
    return { compare: definition, spread, rest: parts.filter((other) => other !== part) };
  }
  return undefined;
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
