/**
 * @file What an operation does to memory, blocks included.
 */
import { type Block, type Operation, ops, walk } from "../ir/index.ts";

/** Whether the operation, or one in its blocks, changes memory. */
export function writes(operation: Operation): boolean {
  return ops[operation.opcode].effect === "write" || operation.blocks.some(blockWrites);
}

export const blockWrites = (block: Block): boolean => writesOf(block).length > 0;

/** The operations of a block, and of the blocks within, that change memory. */
export function writesOf(block: Block): Operation[] {
  const found: Operation[] = [];
  walk(block, (operation) => {
    if (ops[operation.opcode].effect === "write") found.push(operation);
  });
  return found;
}
