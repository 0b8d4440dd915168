/**
 * @file Loop-invariant code motion: operations whose operands are all defined outside a loop are computed before it, through as many
 * loops as possible. Pure operations always; loads only out of a loop that writes nothing and certainly runs, and so does a
 * `multiple_of`, whose promise need not hold where the loop does not run.
 */
import { type Block, type Kernel, type Operation, ops, rewriteKernel, type Value } from "../ir/index.ts";
import { blockWrites } from "./effects.ts";
import { integerConstantOf } from "./fold.ts";

/** A block on the way to the operation at hand; `depth` 0 is the kernel's body. */
interface Level {
  readonly loop: Operation | undefined;
  /** The loop writes nothing and runs at least once. */
  readonly calm: boolean;
}

export function hoistLoopInvariants(kernel: Kernel): Kernel {
  const hoisted = findInvariants(kernel);
  if (hoisted.size === 0) return kernel;
  return rewriteKernel(kernel, (operation, _, context) => {
    for (const invariant of hoisted.get(operation) ?? []) context.hoist(invariant);
    return undefined;
  });
}

/** For each loop: what to compute before it, in order. */
function findInvariants(kernel: Kernel): ReadonlyMap<Operation, readonly Operation[]> {
  const hoisted = new Map<Operation, Operation[]>();
  /** The depth at which a value is defined once everything is hoisted. */
  const depths = new Map<Value, number>();

  const visit = (block: Block, levels: readonly Level[]): void => {
    const depth = levels.length - 1;
    for (const value of block.parameters) depths.set(value, depth);
    for (const operation of block.operations) {
      const target = depthOf(operation, levels);
      if (target < depth) {
        const loop = levels[target + 1]!.loop!;
        const before = hoisted.get(loop);
        if (before) before.push(operation);
        else hoisted.set(loop, [operation]);
      }
      for (const value of operation.results) depths.set(value, target);
      const loop = operation.opcode === "loop" ? operation : undefined;
      for (const inner of operation.blocks)
        visit(inner, [...levels, { loop, calm: loop !== undefined && certainlyRuns(loop) && !blockWrites(inner) }]);
    }
  };

  const depthOf = (operation: Operation, levels: readonly Level[]): number => {
    let depth = levels.length - 1;
    const { effect } = ops[operation.opcode];
    if (effect !== "none" && effect !== "read") return depth;
    const careful = effect === "read" || operation.opcode === "multiple_of";
    const deepest = operation.operands.reduce((most, value) => Math.max(most, depths.get(value)!), 0);
    while (depth > deepest && levels[depth]!.loop && (!careful || levels[depth]!.calm)) depth--;
    return depth;
  };

  visit(kernel.body, [{ loop: undefined, calm: false }]);
  return hoisted;
}

function certainlyRuns(loop: Operation): boolean {
  const [from, to] = loop.operands.map(integerConstantOf);
  return from !== undefined && to !== undefined && from < to;
}
