/**
 * @file Places the block's barriers. An access needs a barrier before it when, since the last barrier, another thread may have touched the
 * same memory and one of the two writes. Accesses of one operation do not wait for each other; nor do those of one operation in
 * two turns of a loop (the same threads then touch the same places, or different places).
 */
import type { Instruction, MemoryAccess, Node, SharedBuffer } from "./instruction.ts";
import { UNKNOWN_ROOT } from "./roots.ts";

/** Global memory that every access conflicts with. */
export const ALL_MEMORY = "*";

type Pending = ReadonlySet<MemoryAccess>;

/** Inserts `barrier` into the nodes wherever it is needed. Buffers must have their places. */
export function insertBarriers(nodes: Node[], barrier: Instruction): void {
  visit(nodes, new Set(), barrier);
}

function visit(nodes: Node[], before: Pending, barrier: Instruction): Pending {
  let pending = new Set(before);
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!;
    switch (node.kind) {
      case "instruction": {
        const { opcode, source, access } = node;
        if (opcode.startsWith("bar.")) pending = new Set();
        if (!access) break;
        // A wait touches nothing itself: from there on what it waited for has happened.
        const waits = opcode.startsWith("cp.async.wait");
        if (!waits && (anyConflict(pending, access) || (source && anyConflict(pending, source)))) {
          nodes.splice(i++, 0, barrier);
          pending = new Set();
        }
        if (source) pending.add(source);
        pending.add(access);
        break;
      }
      case "loop": {
        // Until what is pending at the end of a turn adds nothing to what was assumed at its start.
        let entry: Pending = pending;
        for (;;) {
          const after = visit(node.body, entry, barrier);
          const joined = new Set([...entry, ...after]);
          if (joined.size === entry.size) {
            pending = node.enter ? joined : new Set(after);
            break;
          }
          entry = joined;
        }
        break;
      }
      case "if": {
        const first = visit(node.whenTrue, pending, barrier);
        const second = visit(node.whenFalse, pending, barrier);
        pending = new Set([...first, ...second]);
        break;
      }
    }
  }
  return pending;
}

function anyConflict(pending: Pending, access: MemoryAccess): boolean {
  for (const earlier of pending) if (conflict(earlier, access)) return true;
  return false;
}

function conflict(a: MemoryAccess, b: MemoryAccess): boolean {
  if (a.kind === "read" && b.kind === "read") return false;
  if (a.group === b.group) return false;
  if (typeof a.place === "string" || typeof b.place === "string") {
    if (typeof a.place !== typeof b.place) return false;
    return a.place === b.place || [a.place, b.place].some((place) => place === UNKNOWN_ROOT || place === ALL_MEMORY);
  }
  return overlap(a.place, b.place);
}

const overlap = (a: SharedBuffer, b: SharedBuffer): boolean =>
  a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
