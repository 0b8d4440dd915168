/**
 * @file What an operation does to memory, blocks included.
 */
import { type Block, type Operation, ops, walk } from "../ir/index.ts";

/** Whether the operation, or one in its blocks, changes memory. */
export function writes(operation: Operation): boolean {
  return ops[operation.opcode].effect === "write" || operation.blocks.some(blockWrites);
}

export function blockWrites(block: Block): boolean {
  let found = false;
  walk(block, (operation) => {
    found ||= ops[operation.opcode].effect === "write";
  });
  return found;
}
