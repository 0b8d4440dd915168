/**
 * @file The second half of layout assignment: which layouts every value is asked for, found by following the users back to what they
 * use. See assign.ts for the whole.
 */
import { type Block, type Operation, sameShape, shapeOf, type Value } from "../ir/index.ts";
import { type Anchor, type LayoutPolicy, type Primary, ranked, rankedType } from "./assign-policy.ts";
import type { LinearLayout } from "./linear-layout.ts";
import {
  layoutOfJoin,
  sourceOfBroadcast,
  sourceOfExpandDims,
  sourceOfJoin,
  sourceOfReshape,
  sourceOfTranspose,
} from "./slice.ts";

/** The layout that `operation` needs its operand `index` in, when its first ranked result (or it itself, as a store) has `layout`. */
function operandLayout(operation: Operation, index: number, layout: LinearLayout): LinearLayout | undefined {
  const operand = operation.operands[index]!;
  switch (operation.opcode) {
    case "splat":
    case "histogram":
      return undefined;
    case "gather":
      // Wherever x is: its elements are taken from memory that all threads see.
      return index === 0 ? undefined : layout;
    case "broadcast":
      return sourceOfBroadcast(layout, shapeOf(operand.type));
    case "expand_dims":
      return sourceOfExpandDims(layout, operation.attributes.axis as number);
    case "trans":
      return sourceOfTranspose(layout, operation.attributes.permutation as number[]);
    case "reshape":
      return sourceOfReshape(layout, shapeOf(operand.type));
    case "join":
      return sourceOfJoin(layout);
    case "split":
      return layoutOfJoin(layout);
    default:
      return layout;
  }
}

export class Demands {
  /** The layouts asked of each value, by key. */
  readonly of = new Map<Value, Map<string, LinearLayout>>();
  /** What each operation that is not free asks of its operands. */
  readonly operands = new Map<Operation, (LinearLayout | undefined)[]>();
  readonly #policy: LayoutPolicy;
  readonly #primaries: ReadonlyMap<Value, Primary>;
  readonly #anchors: ReadonlyMap<Operation, Anchor | undefined>;
  /** The loop or if that owns a block. */
  readonly #owners = new Map<Block, Operation>();

  constructor(
    policy: LayoutPolicy,
    primaries: ReadonlyMap<Value, Primary>,
    anchors: ReadonlyMap<Operation, Anchor | undefined>,
  ) {
    this.#policy = policy;
    this.#primaries = primaries;
    this.#anchors = anchors;
  }

  isFree(operation: Operation): boolean {
    const [result] = operation.results;
    return result !== undefined && ranked(result) && !this.#primaries.has(result);
  }

  visitBlock(block: Block): void {
    for (const operation of block.operations) this.#visit(operation, block);
  }

  /** Asks for `value` in `layout`; a free value passes the demand on to its operands. */
  ask(value: Value, layout: LinearLayout): void {
    let asked = this.of.get(value);
    if (!asked) {
      asked = new Map();
      this.of.set(value, asked);
    }
    if (asked.has(layout.key)) return;
    asked.set(layout.key, layout);
    const operation = value.definition;
    if (!operation || !this.isFree(operation)) return;
    operation.operands.forEach((operand, i) => {
      const needed = this.layoutForFree(operation, i, layout);
      if (needed) this.ask(operand, needed);
    });
  }

  /** The layout in which a free operation, computed in `layout`, takes operand `index`; undefined for a scalar. */
  layoutForFree(operation: Operation, index: number, layout: LinearLayout): LinearLayout | undefined {
    const operand = operation.operands[index]!;
    return ranked(operand) ? (operandLayout(operation, index, layout) ?? this.#own(operand)) : undefined;
  }

  /** The layout to take a value in when the user does not care. */
  #own(value: Value): LinearLayout {
    return (
      this.#primaries.get(value)?.layout ??
      this.of.get(value)?.values().next().value ??
      this.#policy.default(rankedType(value))
    );
  }

  #visit(operation: Operation, parent: Block): void {
    if (this.isFree(operation)) return;
    const { opcode, operands, results } = operation;
    for (const inner of operation.blocks) {
      this.#owners.set(inner, operation);
      this.visitBlock(inner);
    }
    const wanted = operands.map((operand, i) => (ranked(operand) ? this.#wanted(operation, i) : undefined));
    if (opcode === "yield") {
      const owner = this.#owners.get(parent)!;
      operands.forEach((operand, i) => {
        if (ranked(operand)) wanted[i] = this.#primaries.get(owner.results[i]!)!.layout;
      });
    }
    if (opcode === "loop")
      results.forEach((result, i) => {
        if (ranked(result)) wanted[i + 3] = this.#primaries.get(result)!.layout;
      });
    this.operands.set(operation, wanted);
    wanted.forEach((layout, i) => {
      if (layout) this.ask(operands[i]!, layout);
    });
  }

  #wanted(operation: Operation, index: number): LinearLayout {
    const { opcode, operands, results } = operation;
    const operand = operands[index]!;
    const anchored = this.#anchors.get(operation)?.operands?.[index];
    if (anchored) return anchored;
    switch (opcode) {
      case "reduce":
        return this.#own(operand);
      case "store":
      case "print":
      case "assert":
      case "view_store": {
        // From where the values are: all operands in the layout of the heaviest (for a store, of the value).
        const guide = opcode === "store" || opcode === "view_store" ? operands[1]! : operands.find(ranked)!;
        if (!sameShape(shapeOf(guide.type), shapeOf(operand.type))) return this.#own(operand);
        return this.#anchors.get(operation)?.operands?.[operands.indexOf(guide)] ?? this.#own(guide);
      }
      default: {
        const result = results.find(ranked);
        // A split into scalars has no ranked result to follow.
        if (!result) return this.#own(operand);
        return operandLayout(operation, index, this.#primaries.get(result)!.layout) ?? this.#own(operand);
      }
    }
  }
}
