/** Places of shared-memory buffers and barriers, on hand-made instruction trees. */
import { describe, expect, it } from "vitest";
import { allocateShared } from "../../src/codegen/ptx/allocate.ts";
import { insertBarriers } from "../../src/codegen/ptx/barriers.ts";
import type { Guard, Instruction, MemoryAccess, Node, SharedBuffer } from "../../src/codegen/ptx/instruction.ts";

const buffer = (name: string, bytes: number): SharedBuffer => ({ name, bytes, offset: -1 });
let groups = 0;
const touch = (kind: "read" | "write", place: SharedBuffer | string, group = groups++): Instruction => ({
  kind: "instruction",
  opcode: kind,
  operands: [],
  access: { kind, place, group } satisfies MemoryAccess,
});
const always: Guard = {
  predicate: { kind: "register", class: "pred", id: -1, name: "%p", depth: 0, divisor: 1 },
};
const loop = (body: Node[], enter?: Guard): Node => ({ kind: "loop", label: "l", enter, body, repeat: always });
const branch = (whenTrue: Node[], whenFalse: Node[]): Node => ({
  kind: "if",
  label: "i",
  condition: always,
  whenTrue,
  whenFalse,
});
const barrier: Instruction = { kind: "instruction", opcode: "bar.sync", operands: [0] };

/** Opcodes in order, blocks in parentheses. */
const show = (nodes: readonly Node[]): string =>
  nodes
    .map((node) =>
      node.kind === "instruction"
        ? node.opcode
        : node.kind === "loop"
          ? `loop(${show(node.body)})`
          : node.kind === "if"
            ? `if(${show(node.whenTrue)} | ${show(node.whenFalse)})`
            : "",
    )
    .join(" ");

function withBarriers(nodes: Node[]): string {
  allocateShared(nodes, 1 << 20, 1 << 20);
  insertBarriers(nodes, barrier);
  return show(nodes);
}

describe("barriers", () => {
  it("stand between a write and a read of the same buffer, and only there", () => {
    const [a, b] = [buffer("a", 64), buffer("b", 64)];
    expect(withBarriers([touch("write", a), touch("write", b), touch("read", a), touch("read", b)])).toBe(
      "write write bar.sync read read",
    );
  });

  it("stand between reads and what overwrites them in the next turn of a loop", () => {
    const a = buffer("a", 64);
    expect(withBarriers([loop([touch("write", a), touch("read", a)])])).toBe("loop(bar.sync write bar.sync read)");
  });

  it("are shared by buffers that take turns", () => {
    const [a, b] = [buffer("a", 64), buffer("b", 64)];
    // The barrier before reading b also separates the reads of a from the next turn's writes.
    expect(withBarriers([loop([touch("write", a), touch("read", a), touch("write", b), touch("read", b)])])).toBe(
      "loop(write bar.sync read write bar.sync read)",
    );
  });

  it("look through branches and past loops that may not run", () => {
    const a = buffer("a", 64);
    expect(withBarriers([touch("write", a), branch([touch("read", a)], []), touch("read", a)])).toBe(
      "write if(bar.sync read | ) bar.sync read",
    );
    expect(withBarriers([touch("write", a), loop([barrier], always), touch("read", a)])).toBe(
      "write loop(bar.sync) bar.sync read",
    );
    expect(withBarriers([touch("write", a), loop([barrier]), touch("read", a)])).toBe("write loop(bar.sync) read");
  });

  it("do not separate the accesses of one operation", () => {
    const a = buffer("a", 64);
    expect(withBarriers([touch("write", a, 1e6), touch("write", a, 1e6)])).toBe("write write");
  });

  it("order global memory that is reached through one parameter, or through an unknown one", () => {
    expect(withBarriers([touch("write", "x"), touch("read", "y"), touch("read", "x")])).toBe(
      "write read bar.sync read",
    );
    expect(withBarriers([touch("write", "x"), touch("read", "?")])).toBe("write bar.sync read");
    expect(withBarriers([touch("read", "x"), touch("write", "*")])).toBe("read bar.sync write");
  });
});

describe("shared memory", () => {
  it("is used again once a buffer is dead", () => {
    const [a, b] = [buffer("a", 256), buffer("b", 128)];
    const bytes = allocateShared([touch("write", a), touch("read", a), touch("write", b), touch("read", b)], 1024, 0);
    expect([bytes, a.offset, b.offset]).toEqual([256, 0, 0]);
  });

  it("keeps a buffer through a loop that reads what was written before it", () => {
    const [a, b] = [buffer("a", 128), buffer("b", 128)];
    const bytes = allocateShared(
      [touch("write", a), loop([touch("read", a), touch("write", b), touch("read", b)])],
      1024,
      0,
    );
    expect([bytes, a.offset !== b.offset]).toEqual([256, true]);
  });

  it("keeps the buffers of one loop apart while there is room, and shares when there is not", () => {
    const body = () => {
      const [a, b] = [buffer("a", 128), buffer("b", 128)];
      return [loop([touch("write", a), touch("read", a), touch("write", b), touch("read", b)])];
    };
    expect(allocateShared(body(), 1024, 512)).toBe(256);
    expect(allocateShared(body(), 128, 128)).toBe(128);
  });

  it("says when there is too little", () => {
    const a = buffer("a", 4096);
    expect(() => allocateShared([touch("write", a)], 1024, 512)).toThrow(/4096 bytes/);
  });
});
