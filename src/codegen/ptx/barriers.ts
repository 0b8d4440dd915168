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
  const placement = new Placement();
  placement.visit(nodes, new Set(), true);
  const insert = (list: Node[]): void => {
    for (let i = 0; i < list.length; i++) {
      const node = list[i]!;
      if (placement.before.has(node)) list.splice(i++, 0, barrier);
      if (node.kind === "loop") insert(node.body);
      else if (node.kind === "if") for (const arm of [node.whenTrue, node.whenFalse]) insert(arm);
    }
  };
  insert(nodes);
}

class Placement {
  /** The nodes that have a barrier before them. */
  readonly before: Set<Node>;

  constructor(before: Iterable<Node> = []) {
    this.before = new Set(before);
  }

  /** Gives what is pending after the nodes. With `hoist`, barriers may stand before loops. */
  visit(nodes: readonly Node[], entry: Pending, hoist: boolean): Pending {
    let pending = new Set(entry);
    for (const node of nodes) {
      if (this.before.has(node)) pending = new Set();
      const meet = (): void => {
        this.before.add(node);
        pending = new Set();
      };
      switch (node.kind) {
        case "instruction": {
          const { opcode, source, access } = node;
          if (opcode.startsWith("bar.")) pending = new Set();
          if (!access) break;
          // A wait touches nothing itself: from there on what it waited for has happened.
          const waits = opcode.startsWith("cp.async.wait");
          if (!waits && (anyConflict(pending, access) || (source && anyConflict(pending, source)))) meet();
          if (source) pending.add(source);
          pending.add(access);
          break;
        }
        case "loop": {
          // One before the loop is cheaper than one in every turn.
          if (hoist && pending.size > 0 && this.#needs(node.body, pending) > this.#needs(node.body, new Set())) meet();
          const after = this.#visitLoop(node.body, pending, hoist);
          pending = new Set(node.enter ? [...pending, ...after] : after);
          break;
        }
        case "if": {
          const first = this.visit(node.whenTrue, pending, hoist);
          const second = this.visit(node.whenFalse, pending, hoist);
          pending = new Set([...first, ...second]);
          break;
        }
      }
    }
    return pending;
  }

  /** Until what is pending at the end of a turn adds nothing to what was assumed at its start. */
  #visitLoop(body: readonly Node[], before: Pending, hoist: boolean): Pending {
    for (let entry = before; ; ) {
      const after = this.visit(body, entry, hoist);
      const joined = new Set([...entry, ...after]);
      if (joined.size === entry.size) return after;
      entry = joined;
    }
  }

  /** The barriers that a loop's body has where so much is pending before the loop. */
  #needs(body: readonly Node[], pending: Pending): number {
    const trial = new Placement(this.before);
    trial.#visitLoop(body, pending, false);
    return trial.before.size;
  }
}

function anyConflict(pending: Pending, access: MemoryAccess): boolean {
  for (const earlier of pending) if (conflict(earlier, access)) return true;
  return false;
}

function conflict(a: MemoryAccess, b: MemoryAccess): boolean {
  if (a.kind === "read" && b.kind === "read") return false;
  if (a.group === b.group || (a.commutes !== undefined && a.commutes === b.commutes)) return false;
  if (typeof a.place === "string" || typeof b.place === "string") {
    if (typeof a.place !== typeof b.place) return false;
    return a.place === b.place || [a.place, b.place].some((place) => place === UNKNOWN_ROOT || place === ALL_MEMORY);
  }
  return overlap(a.place, b.place);
}

const overlap = (a: SharedBuffer, b: SharedBuffer): boolean =>
  a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
