/**
 * @file How a pass makes a new kernel from an old one: `rewriteKernel` walks the operations in program order, hands each with its
 * already rewritten operands to a function that may replace, drop or expand it, and rebuilds everything else unchanged.
 */
import { Builder, blockParameter } from "./builder.ts";
import type { Block, Kernel, Operation, Value } from "./ir.ts";

/** What a rewriting function may use. */
export interface RewriteContext {
  /** Appends to the block that is being rebuilt; new operations take the location of the operation at hand. */
  readonly builder: Builder;
  /** The new value that stands for an old one. */
  get(value: Value): Value;
}

/**
 * Called for each operation. Return the values that replace its results (an empty array drops an operation without results),
 * or undefined to keep it as it is, with operands and blocks rewritten. A dropped operation's blocks are not visited.
 */
export type RewriteOperation = (
  operation: Operation,
  operands: readonly Value[],
  context: RewriteContext,
) => readonly Value[] | undefined;

export function rewriteKernel(kernel: Kernel, rewrite: RewriteOperation): Kernel {
  const builder = new Builder();
  const map = new Map<Value, Value>(kernel.body.parameters.map((value) => [value, value]));
  const get = (value: Value): Value => {
    const known = map.get(value);
    if (!known)
      throw new Error(
        `rewriteKernel: a value is used before it is defined (${value.name ?? value.definition?.opcode ?? "parameter"})`,
      );
    return known;
  };
  const context: RewriteContext = { builder, get };

  const visitBlock = (block: Block): Block => {
    const parameters = block.parameters.map((value) => blockParameter(value.type, value.name));
    block.parameters.forEach((value, i) => {
      map.set(value, parameters[i]!);
    });
    return builder.block(parameters, () => block.operations.forEach(visit));
  };
  const visit = (operation: Operation): void => {
    const operands = operation.operands.map(get);
    builder.locate = () => operation.location;
    const replaced = rewrite(operation, operands, context);
    if (replaced) {
      operation.results.forEach((value, i) => {
        map.set(value, replaced[i]!);
      });
      return;
    }
    const blocks = operation.blocks.map(visitBlock);
    const unchanged = blocks.length === 0 && operands.every((value, i) => value === operation.operands[i]);
    const kept = unchanged
      ? builder.append(operation)
      : builder.create(operation.opcode, operands, operation.attributes, {
          blocks,
          location: operation.location,
          names: operation.results.map((value) => value.name),
        });
    operation.results.forEach((value, i) => {
      map.set(value, kept.results[i]!);
    });
  };
  kernel.body.operations.forEach(visit);
  return { ...kernel, body: builder.finish(kernel.body.parameters) };
}
