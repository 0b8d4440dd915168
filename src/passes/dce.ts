/**
 * @file Dead-code elimination: drops pure and reading operations whose results nothing needs, loops and ifs that do nothing, and
 * carried values that only feed themselves or each other. Needed is what a write, a print or an assert needs.
 */
import {
  type Block,
  conditionOf,
  type Kernel,
  type Operation,
  ops,
  rewriteKernel,
  type Value,
  walk,
  yieldedValues,
} from "../ir/index.ts";
import { rebuildIf, rebuildLoop } from "./control.ts";

export function eliminateDeadCode(kernel: Kernel): Kernel {
  const needed = neededValues(kernel);
  let anyDead = false;
  walk(kernel.body, (operation) => {
    anyDead ||= !needed.operations.has(operation) || neededResults(operation, needed).includes(false);
  });
  if (!anyDead) return kernel;
  return rewriteKernel(kernel, (operation, operands, context) => {
    if (!needed.operations.has(operation)) return [];
    const keep = neededResults(operation, needed);
    if (!keep.includes(false)) return undefined;
    const rebuild = operation.opcode === "loop" ? rebuildLoop : rebuildIf;
    return rebuild(operation, operands, keep, [], context);
  });
}

interface Needed {
  readonly operations: ReadonlySet<Operation>;
  readonly values: ReadonlySet<Value>;
}

/** For the results of a loop or if: which must stay. Other operations stay whole. */
function neededResults(operation: Operation, { values }: Needed): readonly boolean[] {
  const [block] = operation.blocks;
  if (!block) return [];
  return operation.results.map((value, i) => values.has(value) || values.has(block.parameters[i + 1] ?? value));
}

function neededValues(kernel: Kernel): Needed {
  const operations = new Set<Operation>();
  const values = new Set<Value>();
  /** Of a block parameter or a result of loop or if: the loop or if, and the position among its results (-1: induction variable). */
  const owners = new Map<Value, readonly [Operation, number]>();
  const parents = new Map<Block, Operation>();
  const pending: Value[] = [];

  const needValue = (value: Value): void => {
    if (values.has(value)) return;
    values.add(value);
    pending.push(value);
  };
  /** An operation that stays keeps its operands, and what decides whether and how often it runs; of a loop, not the carried values. */
  const needOperation = (operation: Operation, parent: Operation | undefined): void => {
    if (operations.has(operation)) return;
    operations.add(operation);
    const always = operation.opcode === "loop" ? 3 : operation.opcode === "yield" ? 0 : operation.operands.length;
    for (const operand of operation.operands.slice(0, always)) needValue(operand);
    const condition = operation.opcode === "loop" ? conditionOf(operation) : undefined;
    if (condition) needValue(condition);
    if (parent) needOperation(parent, parents.get(blockOf.get(parent)!));
    for (const block of operation.blocks) needOperation(block.operations.at(-1)!, operation);
  };

  const blockOf = new Map<Operation, Block>();
  const roots: Operation[] = [];
  walk(kernel.body, (operation, parent) => {
    blockOf.set(operation, parent);
    for (const block of operation.blocks) parents.set(block, operation);
    if (operation.blocks.length > 0)
      for (const [i, value] of operation.results.entries()) {
        owners.set(value, [operation, i]);
        const parameter = operation.blocks[0]!.parameters[i + 1];
        if (parameter) owners.set(parameter, [operation, i]);
      }
    const { effect } = ops[operation.opcode];
    if (effect === "write" || effect === "debug") roots.push(operation);
  });
  const parentOf = (operation: Operation): Operation | undefined => parents.get(blockOf.get(operation)!);
  for (const operation of roots) needOperation(operation, parentOf(operation));

  for (let value = pending.pop(); value; value = pending.pop()) {
    const owner = owners.get(value);
    if (owner) {
      const [operation, i] = owner;
      needOperation(operation, parentOf(operation));
      if (operation.opcode === "loop") {
        needValue(operation.operands[i + 3]!);
        needValue(operation.blocks[0]!.parameters[i + 1]!);
      }
      for (const block of operation.blocks) needValue(yieldedValues(block)[i]!);
    } else if (value.definition) needOperation(value.definition, parentOf(value.definition));
  }
  return { operations, values };
}
