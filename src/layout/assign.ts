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
import { type Block, type Kernel, type Operation, ops, type Value } from "../ir/index.ts";
import { Demands } from "./assign-demands.ts";
import { emitLaidOut } from "./assign-emit.ts";
import {
  type Anchor,
  type LaidOutKernel,
  type LayoutPolicy,
  type Primary,
  ranked,
  rankedType,
} from "./assign-policy.ts";
import type { LinearLayout } from "./linear-layout.ts";
import {
  layoutOfJoin,
  layoutOfReduce,
  layoutOfReshape,
  layoutOfSplit,
  layoutOfSplitLanes,
  layoutOfTranspose,
} from "./slice.ts";

const reduced = ({ layout, weight }: Primary, axis: number): Primary => ({
  layout: layoutOfReduce(layout, axis),
  weight,
});

/** Operations whose result is free whatever their operand is: the demand on the operand is for a smaller tile. */
const alwaysFree = new Set(["constant", "arange", "splat", "broadcast", "expand_dims"]);

export function assignLayouts(kernel: Kernel, policy: LayoutPolicy): LaidOutKernel {
  const primaries = new Map<Value, Primary>();
  const anchors = new Map<Operation, Anchor | undefined>();
  choosePrimaries(kernel.body, policy, primaries, anchors);
  const demands = new Demands(policy, primaries, anchors);
  demands.visitBlock(kernel.body);
  return emitLaidOut(kernel, primaries, demands);
}

function choosePrimaries(
  block: Block,
  policy: LayoutPolicy,
  primaries: Map<Value, Primary>,
  anchors: Map<Operation, Anchor | undefined>,
): void {
  const primaryOf = (value: Value) => primaries.get(value)?.layout;
  /** What anchors ask of free values. */
  const asked = new Map<Value, LinearLayout>();
  /** A value that must have a primary layout gets one that an anchor asks of it, or the default where nothing else decided. */
  const settle = (value: Value): Primary => {
    let primary = primaries.get(value);
    if (!primary) {
      primary = { layout: asked.get(value) ?? policy.default(rankedType(value)), weight: 0 };
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
  /** What anchors ask of block parameters that nothing decides: of a pointer, say, that a loop carries only to load from it. */
  const wishes = new Map<Value, Primary>();
  const wish = (value: Value, wanted: Primary): void => {
    if (!ranked(value) || primaries.has(value)) return;
    const { definition } = value;
    if (!definition) wishes.set(value, wishes.get(value) ?? wanted);
    else if (ops[definition.opcode].elementwise) for (const operand of definition.operands) wish(operand, wanted);
  };
  const set = (value: Value, layout: LinearLayout | undefined, weight: number): void => {
    if (layout && ranked(value)) primaries.set(value, { layout, weight });
  };

  /** Lays out a block, with what its parameters already have. Values of an earlier attempt are forgotten first. */
  const visitBlock = (inner: Block): void => inner.operations.forEach(visit);
  const visit = (operation: Operation): void => {
    for (const result of operation.results) primaries.delete(result);
    if (operation.opcode === "loop") visitLoop(operation);
    else if (operation.opcode === "if") visitIf(operation);
    else visitSimple(operation);
  };

  const visitSimple = (operation: Operation): void => {
    const { opcode, operands, results } = operation;
    if (operands.every((value) => !ranked(value) || !primaries.has(value)) && policy.isRepeated?.(operation)) return;
    const anchor = operands.some(ranked) || results.some(ranked) ? policy.anchor(operation, primaryOf) : undefined;
    anchors.set(operation, anchor);
    const weight = anchor?.weight ?? 1;
    for (const [i, layout] of anchor?.operands?.entries() ?? []) {
      if (!layout) continue;
      wish(operands[i]!, { layout, weight });
      if (!asked.has(operands[i]!)) asked.set(operands[i]!, layout);
    }
    if (anchor?.results) for (const [i, result] of results.entries()) set(result, anchor.results[i], weight);
    if (results.every((result) => !ranked(result) || primaries.has(result)) || alwaysFree.has(opcode)) return;

    const primary = follow(operation);
    if (primary) for (const result of results) set(result, primary.layout, primary.weight);
  };

  /** The primary layout of the results of an operation that no anchor decided; undefined when it is free. */
  const follow = ({ opcode, operands, results, attributes }: Operation): Primary | undefined => {
    const source = heaviest(operands);
    const byDefault = (): Primary => ({ layout: policy.default(rankedType(results[0]!)), weight: 0 });
    const moved = (map: (layout: LinearLayout) => LinearLayout): Primary | undefined =>
      source && { ...source, layout: map(source.layout) };
    switch (opcode) {
      case "reduce":
        return reduced(settle(operands[0]!), attributes.axis as number);
      case "trans":
        return moved((layout) => layoutOfTranspose(layout, attributes.permutation as number[]));
      case "reshape":
        return moved((layout) => layoutOfReshape(layout, attributes.shape as number[]));
      case "join":
        // Never free: not every layout of the result lets a thread hold both of a pair, and then only a conversion gives it.
        return moved(layoutOfJoin) ?? { layout: layoutOfJoin(policy.default(rankedType(operands[0]!))), weight: 0 };
      case "split": {
        if (!source) return undefined;
        const half = layoutOfSplit(source.layout) ?? layoutOfSplitLanes(source.layout);
        return half ? { ...source, layout: half } : byDefault();
      }
      case "gather":
        // Where the indices are.
        return primaries.get(operands[1]!) ?? byDefault();
      case "histogram":
        return byDefault();
      case "load":
      case "view_load":
      case "atomic_rmw":
      case "atomic_cas":
      case "scan":
        return source ?? byDefault();
      default:
        // Elementwise: free when every operand is free.
        return source;
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
      const decided = primaries.get(yielded[i]!) ?? primaries.get(initial[i]!) ?? wishes.get(parameter);
      const primary = decided ?? settle(parameter);
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
