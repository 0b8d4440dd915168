/**
 * @file Layout assignment: decides for every tile how the threads hold it, and puts a `convert_layout` where two users disagree.
 *
 * 1. Layouts start at *anchors*, which a target's policy names: dots, coalesced loads and stores. They flow forward through
 *    elementwise operations, reductions and shape operations to a *primary* layout for each value. A carried value of a loop takes
 *    the layout that the loop's body yields.
 * 2. Operations that cost next to nothing and depend on no anchor (constants, ranges, splats, broadcasts, arithmetic on those) are
 *    *free*: they have no primary layout but are computed once in each layout that a user asks for.
 * 3. Demands flow backward: every user asks its operands for a layout. A free operand is computed in it; another gets a
 *    `convert_layout` right after its definition, which is outside the loop for a value that the loop only reads.
 */
import { Builder, type Block, blockParameter, type Kernel, type Operation, type TileType, type PointerType, type Value } from "../ir/index.ts";
import { ops, shapeOf } from "../ir/index.ts";
import type { LinearLayout } from "./linear-layout.ts";
import {
  layoutOfJoin,
  layoutOfReduce,
  layoutOfReshape,
  layoutOfSplit,
  layoutOfTranspose,
  sourceOfBroadcast,
  sourceOfExpandDims,
  sourceOfJoin,
  sourceOfReshape,
  sourceOfTranspose,
} from "./slice.ts";

/** The layouts that an operation insists on; missing entries are free to follow the rest. */
export interface Anchor {
  readonly operands?: readonly (LinearLayout | undefined)[];
  readonly results?: readonly (LinearLayout | undefined)[];
  /** Where two primary layouts meet, the heavier wins (default 1). Give dots more than loads. */
  readonly weight?: number;
}

/** A target's opinions on layouts. */
export interface LayoutPolicy {
  /**
   * Called for every operation with a ranked operand or result. `primaryOf` gives the primary layout of a value defined before, or
   * undefined for a free one: a store may look at it to write from where the values are.
   */
  anchor(operation: Operation, primaryOf: (value: Value) => LinearLayout | undefined): Anchor | undefined;
  /** The layout of a tile that no anchor reaches. */
  default(type: TileType | PointerType): LinearLayout;
}

export interface LaidOutKernel {
  readonly kernel: Kernel;
  /** A layout for every value of rank 1 and more. Scalars are held alike by all threads. */
  readonly layouts: ReadonlyMap<Value, LinearLayout>;
}

const ranked = (value: Value): boolean => shapeOf(value.type).length > 0;
const asTile = (value: Value): TileType | PointerType => value.type as TileType | PointerType;

interface Primary {
  readonly layout: LinearLayout;
  readonly weight: number;
}

/** Operations whose result is free whatever their operand is: the demand on the operand is for a smaller tile. */
const alwaysFree = new Set(["constant", "arange", "splat", "broadcast", "expand_dims"]);

export function assignLayouts(kernel: Kernel, policy: LayoutPolicy): LaidOutKernel {
  const primaries = new Map<Value, Primary>();
  const anchors = new Map<Operation, Anchor | undefined>();
  choosePrimaries(kernel.body, policy, primaries, anchors);
  const demands = new Demands(policy, primaries, anchors);
  demands.visitBlock(kernel.body);
  return new Emitter(policy, primaries, demands).run(kernel);
}

// --- 1. Primary layouts, forward -------------------------------------------------------------------------------------------------

function choosePrimaries(block: Block, policy: LayoutPolicy, primaries: Map<Value, Primary>, anchors: Map<Operation, Anchor | undefined>): void {
  const primaryOf = (value: Value) => primaries.get(value)?.layout;
  /** A value that must have a primary layout gets the default where nothing else decided. */
  const settle = (value: Value): Primary => {
    let primary = primaries.get(value);
    if (!primary) {
      primary = { layout: policy.default(asTile(value)), weight: 0 };
      primaries.set(value, primary);
    }
    return primary;
  };
  const heaviest = (values: readonly Value[]): Primary | undefined => {
    let best: Primary | undefined;
    for (const value of values) {
      const primary = ranked(value) ? primaries.get(value) : undefined;
      if (primary && (!best || primary.weight > best.weight)) best = primary;
    }
    return best;
  };
  const set = (value: Value, layout: LinearLayout | undefined, weight: number): void => {
    if (layout && ranked(value)) primaries.set(value, { layout, weight });
  };

  /** Lays out a block, with what its parameters already have. Values of an earlier attempt are forgotten first. */
  const visitBlock = (inner: Block): void => inner.operations.forEach(visit);
  const visit = (operation: Operation): void => {
    for (const result of operation.results) primaries.delete(result);
    const { opcode, operands, results, attributes } = operation;
    if (opcode === "loop") return visitLoop(operation);
    if (opcode === "if") return visitIf(operation);
    const anchor = operands.some(ranked) || results.some(ranked) ? policy.anchor(operation, primaryOf) : undefined;
    anchors.set(operation, anchor);
    const weight = anchor?.weight ?? 1;
    if (anchor?.results) results.forEach((result, i) => set(result, anchor.results![i], weight));
    if (results.every((result) => !ranked(result) || primaries.has(result)) || alwaysFree.has(opcode)) return;

    const source = heaviest(operands);
    const first = operands[0]!;
    switch (opcode) {
      case "reduce": {
        const { layout, weight } = source ?? settle(first);
        return set(results[0]!, layoutOfReduce(layout, attributes.axis as number), weight);
      }
      case "trans":
        return source && set(results[0]!, layoutOfTranspose(source.layout, attributes.permutation as number[]), source.weight);
      case "reshape":
        return source && set(results[0]!, layoutOfReshape(source.layout, attributes.shape as number[]), source.weight);
      case "join":
        return source && set(results[0]!, layoutOfJoin(source.layout), source.weight);
      case "split": {
        const half = (source && layoutOfSplit(source.layout)) ?? policy.default(asTile(results[0]!));
        return results.forEach((result) => set(result, half, source?.weight ?? 0));
      }
      case "load":
      case "view_load":
      case "atomic_rmw":
      case "atomic_cas":
      case "dot":
      case "scan": {
        const primary = source ?? { layout: policy.default(asTile(results[0]!)), weight: 0 };
        return results.forEach((result) => set(result, primary.layout, primary.weight));
      }
      default:
        // Elementwise: free when every operand is free.
        if (source) results.forEach((result) => set(result, source.layout, source.weight));
    }
  };

  const visitLoop = (loop: Operation): void => {
    const body = loop.blocks[0]!;
    const carried = body.parameters.slice(1);
    for (const parameter of carried) primaries.delete(parameter);
    // A first look with the carried values undecided shows what the body makes of them.
    visitBlock(body);
    const yielded = body.operations.at(-1)!.operands;
    const initial = loop.operands.slice(3);
    carried.forEach((parameter, i) => {
      if (!ranked(parameter)) return;
      const primary = primaries.get(yielded[i]!) ?? primaries.get(initial[i]!) ?? settle(parameter);
      primaries.set(parameter, primary);
      primaries.set(loop.results[i]!, primary);
    });
    visitBlock(body);
  };

  const visitIf = (operation: Operation): void => {
    operation.blocks.forEach(visitBlock);
    const [first, second] = operation.blocks.map((arm) => arm.operations.at(-1)!.operands);
    operation.results.forEach((result, i) => {
      if (!ranked(result)) return;
      const primary = primaries.get(first![i]!) ?? primaries.get(second![i]!);
      if (primary) primaries.set(result, primary);
      else settle(result);
    });
  };

  visitBlock(block);
}

// --- 2. Demands, backward --------------------------------------------------------------------------------------------------------

/** The layout that `operation` needs its operand `index` in, when its first ranked result (or it itself, as a store) has `layout`. */
function operandLayout(operation: Operation, index: number, layout: LinearLayout): LinearLayout | undefined {
  const operand = operation.operands[index]!;
  switch (operation.opcode) {
    case "splat":
      return undefined;
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

class Demands {
  /** The layouts asked of each value, by key. */
  readonly of = new Map<Value, Map<string, LinearLayout>>();
  /** What each operation that is not free asks of its operands. */
  readonly operands = new Map<Operation, (LinearLayout | undefined)[]>();
  readonly #policy: LayoutPolicy;
  readonly #primaries: ReadonlyMap<Value, Primary>;
  readonly #anchors: ReadonlyMap<Operation, Anchor | undefined>;

  constructor(policy: LayoutPolicy, primaries: ReadonlyMap<Value, Primary>, anchors: ReadonlyMap<Operation, Anchor | undefined>) {
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
      if (!ranked(operand)) return;
      this.ask(operand, operandLayout(operation, i, layout) ?? this.#own(operand));
    });
  }

  /** The layout to take a value in when the user does not care. */
  #own(value: Value): LinearLayout {
    return this.#primaries.get(value)?.layout ?? this.of.get(value)?.values().next().value ?? this.#policy.default(asTile(value));
  }

  #visit(operation: Operation, parent: Block): void {
    if (this.isFree(operation)) return;
    const { opcode, operands, results } = operation;
    for (const inner of operation.blocks) this.visitBlock(inner);
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
  readonly #owners = new Map<Block, Operation>();

  #wanted(operation: Operation, index: number): LinearLayout {
    const { opcode, operands, results, attributes } = operation;
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
        const anchorOfGuide = this.#anchors.get(operation)?.operands?.[operands.indexOf(guide)];
        return anchorOfGuide ?? this.#own(guide);
      }
      default: {
        const result = results.find(ranked);
        const layout = result ? this.#primaries.get(result)!.layout : this.#own(operand);
        return operandLayout(operation, index, layout) ?? this.#own(operand);
      }
    }
  }
}
