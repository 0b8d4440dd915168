/**
 * @file The control flow of a kernel: basic blocks, dominators, natural loops, and the path that a turn of a loop takes.
 */
import { dominates, immediateDominators, postorder, predecessorsOf } from "../../../support/index.ts";
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
  const dominators = immediateDominators(successorsOf(blocks), 0);
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

interface NaturalLoop {
  readonly header: number;
  /** The blocks that jump back to the header. */
  readonly latches: readonly number[];
  readonly body: ReadonlySet<number>;
}

const successorsOf = (blocks: readonly Block[]) => blocks.map(({ successors }) => successors);

function naturalLoops(blocks: readonly Block[], dominators: Int32Array): NaturalLoop[] {
  const successors = successorsOf(blocks);
  const reachable = postorder(successors, 0);
  const reached = new Set(reachable);
  const predecessors = predecessorsOf(successors).map((from) => from.filter((block) => reached.has(block)));
  const latchesOf = new Map<number, number[]>();
  for (const from of reachable)
    for (const to of successors[from]!)
      if (dominates(dominators, to, from)) latchesOf.set(to, [...(latchesOf.get(to) ?? []), from]);
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
  dominators: Int32Array,
): number[] {
  const order = postorder(successorsOf(blocks), 0)
    .reverse()
    .filter((block) => body.has(block));
  const best = new Map([[header, { weight: weightOf(blocks[header]!), path: [header] }]]);
  for (const from of order) {
    const reached = best.get(from);
    if (!reached) continue;
    for (const to of blocks[from]!.successors) {
      if (!body.has(to) || dominates(dominators, to, from)) continue;
      const own = weightOf(blocks[to]!);
      const weight = reached.weight.map((value, i) => value + own[i]!);
      const known = best.get(to);
      if (!known || isBetter(weight, known.weight)) best.set(to, { weight, path: [...reached.path, to] });
    }
  }
  const ends = latches.map((latch) => best.get(latch)).filter((end) => end !== undefined);
  return ends.reduce((a, b) => (isBetter(b.weight, a.weight) ? b : a)).path;
}
