/**
 * @file Gives every shared-memory buffer its place. Two buffers may share memory when their lifetimes do not meet; a lifetime runs from
 * the first access to the last one, and over the whole of a loop that it crosses.
 *
 * Sharing costs barriers, so buffers that live in one loop are kept apart as long as that fits comfortably.
 */
import { CompileError } from "../../support/errors.ts";
import type { Node, SharedBuffer } from "./instruction.ts";
import { SHARED_ALIGNMENT } from "./shared.ts";

interface Lifetime {
  readonly buffer: SharedBuffer;
  first: number;
  last: number;
}

/** Sets the offsets of all buffers that are accessed and gives the bytes needed. Throws `CompileError` (`SHARED_MEMORY`). */
export function allocateShared(nodes: readonly Node[], limit: number, comfortable: number): number {
  const apart = place(lifetimes(nodes, true));
  if (apart <= comfortable) return apart;
  const tight = place(lifetimes(nodes, false));
  if (tight > limit)
    throw new CompileError(
      "SHARED_MEMORY",
      `the kernel needs ${tight} bytes of shared memory a block, the target has ${limit}: use smaller tiles`,
    );
  return tight;
}

function lifetimes(nodes: readonly Node[], wholeLoops: boolean): Lifetime[] {
  const found = new Map<SharedBuffer, Lifetime>();
  let time = 0;
  const visit = (list: readonly Node[]): void => {
    for (const node of list) {
      time++;
      if (node.kind === "if") {
        visit(node.whenTrue);
        visit(node.whenFalse);
      } else if (node.kind === "loop") {
        const start = time;
        const before = new Map([...found.values()].map((lifetime) => [lifetime.buffer, lifetime.last]));
        visit(node.body);
        const end = ++time;
        for (const lifetime of found.values()) {
          if (lifetime.last < start) continue;
          const crosses = before.has(lifetime.buffer);
          if (crosses || wholeLoops) lifetime.last = end;
          if (!crosses && wholeLoops) lifetime.first = Math.min(lifetime.first, start);
        }
      } else if (node.kind === "instruction" && typeof node.access?.place === "object") {
        const { place: buffer } = node.access;
        const lifetime = found.get(buffer);
        if (lifetime) lifetime.last = time;
        else found.set(buffer, { buffer, first: time, last: time });
      }
    }
  };
  visit(nodes);
  return [...found.values()];
}

/** Largest first, each at the lowest place that no buffer alive at the same time has. */
function place(list: readonly Lifetime[]): number {
  const placed: Lifetime[] = [];
  let total = 0;
  for (const lifetime of [...list].sort((a, b) => b.buffer.bytes - a.buffer.bytes)) {
    const { buffer } = lifetime;
    const neighbours = placed
      .filter(({ first, last }) => first <= lifetime.last && lifetime.first <= last)
      .sort((a, b) => a.buffer.offset - b.buffer.offset);
    let at = 0;
    for (const { buffer: other } of neighbours) {
      if (at + buffer.bytes <= other.offset) break;
      at = Math.max(at, align(other.offset + other.bytes));
    }
    buffer.offset = at;
    placed.push(lifetime);
    total = Math.max(total, at + buffer.bytes);
  }
  return align(total);
}

const align = (bytes: number): number => Math.ceil(bytes / SHARED_ALIGNMENT) * SHARED_ALIGNMENT;
