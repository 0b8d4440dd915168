/**
 * @file The control flow of a kernel: basic blocks, dominators, natural loops, and the path that a turn of a loop takes.
 */
import type { SassInstruction } from "./instruction.ts";

interface Block {
  readonly instructions: readonly SassInstruction[];
  readonly successors: readonly number[];
}

export interface Loop {
  /** Address of the first instruction of the header, and of the last one of the last jump back. */
  readonly start: number;
  readonly end: number;
  /** How many loops it lies in, itself included. */
  readonly depth: number;
  /** Every instruction of the body, in order of address. */
  readonly instructions: readonly SassInstruction[];
  /**
   * The instructions that a turn in steady state executes: of the paths from the header back to it, one with the most products, among
   * those the most loads of global memory (a turn prefetches), among those the fewest instructions.
   */
  readonly mainPath: readonly SassInstruction[];
}

/** Nothing comes after these, unless they are predicated. */
const ending = new Set(["EXIT", "RET", "BRA", "BRX"]);

/** The innermost loops. A loop that only waits for others (a spin lock) counts as part of what it stands in. */
export function findLoops(instructions: readonly SassInstruction[]): Loop[] {
  const blocks = splitIntoBlocks(instructions);
  const dominators = findDominators(blocks);
  const bodies = naturalLoops(blocks, dominators).filter(({ body }) => !isSpinLoop(body, blocks));
  return bodies
    .filter((loop) => !bodies.some((other) => other !== loop && loop.body.has(other.header)))
    .map(({ header, latches, body }) => {
      const ordered = [...body].sort((a, b) => a - b);
      return {
        start: blocks[header]!.instructions[0]!.address,
        end: Math.max(...latches.map((latch) => blocks[latch]!.instructions.at(-1)!.address)),
        depth: bodies.filter((other) => other.body.has(header)).length,
        instructions: ordered.flatMap((index) => blocks[index]!.instructions),
        mainPath: mainPath(header, latches, body, blocks, dominators).flatMap((index) => blocks[index]!.instructions),
      };
    })
    .sort((a, b) => a.start - b.start);
}

function splitIntoBlocks(instructions: readonly SassInstruction[]): Block[] {
  const indexAt = new Map(instructions.map(({ address }, index) => [address, index]));
  const starts = new Set([0]);
  instructions.forEach(({ name, target }, index) => {
    const targetIndex = target === undefined ? undefined : indexAt.get(target);
    if (targetIndex !== undefined) starts.add(targetIndex);
    if (ending.has(name) || name.startsWith("CALL")) starts.add(index + 1);
  });
  const ordered = [...starts].filter((start) => start < instructions.length).sort((a, b) => a - b);
  const blockOf = new Map(ordered.map((start, block) => [start, block]));
  return ordered.map((start, block) => {
    const end = ordered[block + 1] ?? instructions.length;
    const last = instructions[end - 1]!;
    const falls = last.predicated || !ending.has(last.name) || (last.name === "BRA" && last.target === undefined);
    const jumps = last.name === "BRA" || last.name.startsWith("CALL");
    const next = falls ? blockOf.get(end) : undefined;
    const targetIndex = jumps && last.target !== undefined ? indexAt.get(last.target) : undefined;
    const target = targetIndex === undefined ? undefined : blockOf.get(targetIndex);
    const successors = [...new Set([next, target])].filter((successor) => successor !== undefined);
    return { instructions: instructions.slice(start, end), successors };
  });
}

/** For each block that can be reached the blocks through which every way to it leads, itself included. */
function findDominators(blocks: readonly Block[]): Map<number, ReadonlySet<number>> {
  const order = reversePostorder(blocks);
  const predecessors = predecessorsOf(blocks, order);
  const dominators = new Map<number, ReadonlySet<number>>([[0, new Set([0])]]);
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order.slice(1)) {
      const known = predecessors[block]!.map((from) => dominators.get(from)).filter((set) => set !== undefined);
      const [first, ...rest] = known;
      const common = new Set([...first!].filter((candidate) => rest.every((set) => set.has(candidate))));
      common.add(block);
      if (common.size === dominators.get(block)?.size) continue;
      dominators.set(block, common);
      changed = true;
    }
  }
  return dominators;
}

function reversePostorder(blocks: readonly Block[]): number[] {
  const order: number[] = [];
  const seen = new Set([0]);
  const stack = [{ block: 0, next: 0 }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const successor = blocks[top.block]!.successors[top.next++];
    if (successor === undefined) order.push(stack.pop()!.block);
    else if (!seen.has(successor)) {
      seen.add(successor);
      stack.push({ block: successor, next: 0 });
    }
  }
  return order.reverse();
}

/** Predecessors among `reachable` of each block. */
function predecessorsOf(blocks: readonly Block[], reachable: readonly number[]): number[][] {
  const predecessors: number[][] = blocks.map(() => []);
  for (const from of reachable) for (const to of blocks[from]!.successors) predecessors[to]!.push(from);
  return predecessors;
}

interface NaturalLoop {
  readonly header: number;
  /** The blocks that jump back to the header. */
  readonly latches: readonly number[];
  readonly body: ReadonlySet<number>;
}

function naturalLoops(blocks: readonly Block[], dominators: ReadonlyMap<number, ReadonlySet<number>>): NaturalLoop[] {
  const reachable = [...dominators.keys()];
  const predecessors = predecessorsOf(blocks, reachable);
  const latchesOf = new Map<number, number[]>();
  for (const from of reachable)
    for (const to of blocks[from]!.successors)
      if (dominators.get(from)!.has(to)) latchesOf.set(to, [...(latchesOf.get(to) ?? []), from]);
  return [...latchesOf].map(([header, latches]) => {
    const body = new Set([header, ...latches]);
    const waiting = latches.filter((latch) => latch !== header);
    for (let block = waiting.pop(); block !== undefined; block = waiting.pop()) {
      for (const from of predecessors[block]!) {
        if (body.has(from)) continue;
        body.add(from);
        waiting.push(from);
      }
    }
    return { header, latches, body };
  });
}

/** The endless loop behind the last instruction, which pads the code, and loops of a few instructions around an atomic operation. */
function isSpinLoop(body: ReadonlySet<number>, blocks: readonly Block[]): boolean {
  const instructions = [...body].flatMap((index) => blocks[index]!.instructions);
  const waits = instructions.some(({ name }) => /^(ATOM|NANOSLEEP)/.test(name));
  return instructions.every(({ name }) => name === "BRA" || name === "NOP") || (waits && instructions.length <= 16);
}

/** What decides between two paths, the most important first; sums over blocks. */
const weightOf = ({ instructions }: Block): number[] => [
  instructions.reduce((sum, { flops }) => sum + flops, 0),
  instructions.filter((one) => one.class === "mma").length,
  instructions.filter((one) => one.class === "asyncCopy" || one.class === "globalLoad").length,
  -instructions.length,
];

const isBetter = (a: readonly number[], b: readonly number[]): boolean => {
  const decisive = a.findIndex((value, i) => value !== b[i]);
  return decisive >= 0 && a[decisive]! > b[decisive]!;
};

/** The best path from the header to a latch; jumps back are not taken. */
function mainPath(
  header: number,
  latches: readonly number[],
  body: ReadonlySet<number>,
  blocks: readonly Block[],
  dominators: ReadonlyMap<number, ReadonlySet<number>>,
): number[] {
  const order = reversePostorder(blocks).filter((block) => body.has(block));
  const best = new Map([[header, { weight: weightOf(blocks[header]!), path: [header] }]]);
  for (const from of order) {
    const reached = best.get(from);
    if (!reached) continue;
    for (const to of blocks[from]!.successors) {
      if (!body.has(to) || dominators.get(from)!.has(to)) continue;
      const own = weightOf(blocks[to]!);
      const weight = reached.weight.map((value, i) => value + own[i]!);
      const known = best.get(to);
      if (!known || isBetter(weight, known.weight)) best.set(to, { weight, path: [...reached.path, to] });
    }
  }
  const ends = latches.map((latch) => best.get(latch)).filter((end) => end !== undefined);
  return ends.reduce((a, b) => (isBetter(b.weight, a.weight) ? b : a)).path;
}
