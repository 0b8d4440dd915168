/**
 * @file Through which kernel parameter each pointer and view reaches memory, and what the kernel does to each parameter's memory.
 * A pointer that may come from several parameters has the root "?".
 */
import type { Block, Kernel, Operation, Value } from "../../ir/index.ts";
import type { LaunchParameter } from "../metadata.ts";

export const UNKNOWN_ROOT = "?";

export interface MemoryRoots {
  rootOf(value: Value): string;
  /** For each tensor or pointer parameter that the kernel touches. */
  readonly access: ReadonlyMap<string, LaunchParameter["access"]>;
}

export function findRoots(kernel: Kernel): MemoryRoots {
  const roots = new Map<Value, string>();
  const rootOf = (value: Value): string => roots.get(value) ?? UNKNOWN_ROOT;
  const isAddress = (value: Value): boolean => value.type.kind !== "tile";
  const join = (a: string, b: string): string => (a === b ? a : UNKNOWN_ROOT);

  const visitBlock = (block: Block): void => block.operations.forEach(visit);
  const visit = (operation: Operation): void => {
    const { opcode, operands, results, blocks } = operation;
    if (opcode === "loop") {
      const [body] = blocks;
      const initial = operands.slice(3);
      let guess = initial.map(rootOf);
      // A second look at most: the guess only moves from a name to "?".
      for (let settled = false; !settled; ) {
        body!.parameters.slice(1).forEach((parameter, i) => {
          roots.set(parameter, guess[i]!);
        });
        visitBlock(body!);
        const yielded = body!.operations.at(-1)!.operands;
        const next = guess.map((root, i) => join(root, rootOf(yielded[i]!)));
        settled = next.every((root, i) => root === guess[i] || !isAddress(initial[i]!));
        guess = next;
      }
      results.forEach((result, i) => {
        roots.set(result, guess[i]!);
      });
      return;
    }
    blocks.forEach(visitBlock);
    if (opcode === "if") {
      const [first, second] = blocks.map((block) => block.operations.at(-1)!.operands.map(rootOf));
      results.forEach((result, i) => {
        roots.set(result, join(first![i]!, second![i]!));
      });
      return;
    }
    for (const result of results)
      if (isAddress(result)) {
        const sources = operands.filter(isAddress).map(rootOf);
        roots.set(result, sources.reduce(join, sources[0] ?? UNKNOWN_ROOT));
      }
  };
  kernel.parameters.forEach(({ name }, i) => {
    roots.set(kernel.body.parameters[i]!, name);
  });
  visitBlock(kernel.body);
  return { rootOf, access: accessOfParameters(kernel, rootOf) };
}

function accessOfParameters(kernel: Kernel, rootOf: (value: Value) => string): Map<string, LaunchParameter["access"]> {
  const reads = new Set<string>();
  const writes = new Set<string>();
  const visitBlock = (block: Block): void => {
    for (const { opcode, operands, blocks } of block.operations) {
      if (opcode === "load" || opcode === "view_load") reads.add(rootOf(operands[0]!));
      if (opcode === "store" || opcode === "view_store") writes.add(rootOf(operands[0]!));
      if (opcode === "atomic_rmw" || opcode === "atomic_cas") {
        reads.add(rootOf(operands[0]!));
        writes.add(rootOf(operands[0]!));
      }
      blocks.forEach(visitBlock);
    }
  };
  visitBlock(kernel.body);
  const access = new Map<string, LaunchParameter["access"]>();
  for (const { name, kind } of kernel.parameters) {
    if (kind === "scalar") continue;
    const read = reads.has(name) || reads.has(UNKNOWN_ROOT);
    const write = writes.has(name) || writes.has(UNKNOWN_ROOT);
    access.set(name, write ? (read ? "readwrite" : "write") : "read");
  }
  return access;
}
