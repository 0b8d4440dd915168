/**
 * @file How a pass makes a new kernel from an old one: `rewriteKernel` walks the operations in program order, hands each with its
 * already rewritten operands to a function that may replace, drop, expand or move it, and rebuilds everything else unchanged. What
 * did not change is shared between the two kernels: a pass that changes nothing gives back the very kernel it got.
 */
import { Builder } from "./builder.ts";
import type { Block, Kernel, Operation, Value } from "./ir.ts";

/** What a rewriting function may use. */
export interface RewriteContext {
  /** Appends to the block that is being rebuilt; new operations take the location of the operation at hand. */
  readonly builder: Builder;
  /** The new value that stands for an old one. */
  get(value: Value): Value;
  /**
   * Rewrites the operations of a block of the operation at hand, but for its yield, into the block that is being rebuilt. `values`
   * stand for the block's parameters; a parameter that is certainly not used may have none. At most once for each block.
   */
  inline(block: Block, values: readonly (Value | undefined)[]): void;
  /** Rewrites a later operation here; its own place is then skipped. */
  hoist(operation: Operation): void;
}

/**
 * Called for each operation. Return the values that replace its results (an empty array drops an operation, whose results nothing
 * may use), or undefined to keep it as it is, with operands and blocks rewritten. A replaced operation's blocks are not visited.
 */
export type RewriteOperation = (
  operation: Operation,
  operands: readonly Value[],
  context: RewriteContext,
) => readonly Value[] | undefined;

/** The values that a block of `loop` or `if` yields; of a loop with a condition the last one is that. */
export const yieldedValues = (block: Block): readonly Value[] => block.operations.at(-1)!.operands;

/** What a loop's block yields besides the next carried values: whether another turn may follow; undefined where only the index decides. */
export const conditionOf = (loop: Operation): Value | undefined => yieldedValues(loop.blocks[0]!)[loop.results.length];

export function rewriteKernel(kernel: Kernel, rewrite: RewriteOperation): Kernel {
  const builder = new Builder();
  const map = new Map<Value, Value>(kernel.body.parameters.map((value) => [value, value]));
  const hoisted = new Set<Operation>();
  const get = (value: Value): Value => {
    const known = map.get(value);
    if (!known)
      throw new Error(
        `rewriteKernel: a value is used before it is defined (${value.name ?? value.definition?.opcode ?? "parameter"})`,
      );
    return known;
  };
  const replace = (values: readonly Value[], by: readonly (Value | undefined)[]): void => {
    values.forEach((value, i) => {
      const replacement = by[i];
      if (replacement) map.set(value, replacement);
    });
  };
  const context: RewriteContext = {
    builder,
    get,
    inline(block, values) {
      replace(block.parameters, values);
      for (const operation of block.operations) if (operation.opcode !== "yield") visit(operation);
    },
    hoist(operation) {
      visit(operation);
      hoisted.add(operation);
    },
  };

  const visitBlock = (block: Block): Block => {
    replace(block.parameters, block.parameters);
    return unlessEqual(
      block,
      builder.block(block.parameters, () => block.operations.forEach(visit)),
    );
  };
  const visit = (operation: Operation): void => {
    if (hoisted.has(operation)) return;
    // A missing one can only belong to an operation that is about to be dropped too.
    const operands = operation.operands.map((value) => map.get(value)!);
    builder.locate = () => operation.location;
    const replaced = rewrite(operation, operands, context);
    if (replaced) {
      replace(operation.results, replaced);
      return;
    }
    operation.operands.forEach(get);
    const blocks = operation.blocks.map(visitBlock);
    const unchanged =
      blocks.every((block, i) => block === operation.blocks[i]) &&
      operands.every((value, i) => value === operation.operands[i]);
    const kept = unchanged
      ? builder.append(operation)
      : builder.create(operation.opcode, operands, operation.attributes, {
          blocks,
          location: operation.location,
          names: operation.results.map((value) => value.name),
        });
    replace(operation.results, kept.results);
  };
  kernel.body.operations.forEach(visit);
  const body = unlessEqual(kernel.body, builder.finish(kernel.body.parameters));
  return body === kernel.body ? kernel : { ...kernel, body };
}

/** The old block when the new one holds the same operations. */
function unlessEqual(before: Block, after: Block): Block {
  const equal =
    after.operations.length === before.operations.length &&
    after.operations.every((operation, i) => operation === before.operations[i]);
  return equal ? before : after;
}
