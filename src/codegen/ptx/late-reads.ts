/**
 * @file Moves what is read back from shared memory after a change of layout to just before its first use. So tiles that change their layouts
 * one after the other are all written first, and one barrier serves them all.
 */
import { addRegisterNames, type Instruction, type Node, type SharedBuffer, type SourceLine } from "./instruction.ts";
import { CONVERSION } from "./shared.ts";

/** A read on its way, with the line that it belongs to. */
interface Held {
  readonly read: Instruction;
  readonly line: SourceLine | undefined;
}

/** Reads of more than this are not held back together: their buffers could not share memory, of which other tiles may need all. */
const MOST_HELD_BYTES = 4 * 1024;

export function delayReads(nodes: Node[]): void {
  const moved: Node[] = [];
  let held: Held[] = [];
  /** The registers that they set, and those in their addresses. */
  const set = new Set<string>();
  const used = new Set<string>();
  let line: SourceLine | undefined;
  const release = (): void => {
    let current = line;
    for (const { read, line: own } of held) {
      if (own && own !== current) moved.push(own);
      current = own ?? current;
      moved.push(read);
    }
    if (line && current !== line) moved.push(line);
    held = [];
    set.clear();
    used.clear();
  };
  for (const node of nodes) {
    if (node.kind === "line") line = node;
    if (held.length > 0 && (node.kind === "loop" || node.kind === "if")) release();
    if (node.kind === "instruction") {
      if (held.length > 0 && mustFollow(node, held, set, used)) release();
      if (isDelayable(node)) {
        if (bytesOf([...held, { read: node, line }]) > MOST_HELD_BYTES) release();
        held.push({ read: node, line });
        addRegisterNames(node.operands.slice(0, 1), set);
        addRegisterNames(node.operands, used, 1);
        continue;
      }
    } else if (node.kind === "loop") delayReads(node.body);
    else if (node.kind === "if") {
      delayReads(node.whenTrue);
      delayReads(node.whenFalse);
    }
    moved.push(node);
  }
  release();
  nodes.splice(0, nodes.length, ...moved);
}

const isDelayable = ({ opcode, access, guard }: Instruction): boolean =>
  opcode.startsWith("ld.shared") && !guard && typeof access?.place === "object" && access.place.name === CONVERSION;

const bytesOf = (held: readonly Held[]): number => {
  const buffers = new Set(held.map(({ read }) => read.access!.place as SharedBuffer));
  return [...buffers].reduce((sum, { bytes }) => sum + bytes, 0);
};

/** Whether the held reads must come before the instruction: it takes what they give, or changes what they take. */
function mustFollow(node: Instruction, held: readonly Held[], set: Set<string>, used: Set<string>): boolean {
  const { opcode, operands, guard, access } = node;
  if (opcode.startsWith("bar.")) return true;
  if (access?.kind === "write" && held.some(({ read }) => read.access!.place === access.place)) return true;
  const touched = new Set<string>();
  addRegisterNames(operands, touched);
  if (guard) touched.add(guard.predicate.name);
  for (const name of touched) if (set.has(name)) return true;
  const assigned = new Set<string>();
  addRegisterNames(operands.slice(0, 1), assigned);
  for (const name of assigned) if (used.has(name)) return true;
  return false;
}
