/**
 * @file What a kernel's machine code is made of: for each innermost loop the instructions of a turn by class, and what they say about its
 * speed. A static figure: it knows rates, not latencies or cache misses.
 */
import { readCubin } from "./cubin.ts";
import { findLoops, type Loop } from "./flow.ts";
import { decodeInstructions, type SassInstruction } from "./instruction.ts";
import { type LineRow, rowOf } from "./lines.ts";
import { type InstructionClass, instructionClasses } from "./opcodes.ts";

/** Instructions of one warp. */
export interface InstructionMix {
  readonly total: number;
  /** By class; classes without an instruction are left out. */
  readonly classes: Readonly<Partial<Record<InstructionClass, number>>>;
  /** By name, the most frequent first. */
  readonly names: Readonly<Record<string, number>>;
  /** Floating-point operations of the tensor cores for one warp. */
  readonly flops: number;
  /** Instructions other than products, and LDSM, for each product; undefined without products. */
  readonly nonMmaPerMma: number | undefined;
  readonly ldmatrixPerMma: number | undefined;
  /** Issue slots and pipes: cycles that a quarter of a multiprocessor is busy with it, by what it is busy with, the busiest first. */
  readonly cycles: Readonly<Record<string, number>>;
  /** The largest share of the tensor cores' peak that these cycles allow, 0 to 1; undefined without products. */
  readonly tensorBound: number | undefined;
}

export interface LoopMix extends InstructionMix {
  /** Bytes from the start of the kernel. */
  readonly start: number;
  readonly end: number;
  readonly depth: number;
  /** Instructions of the whole body, each counted once; more than `total` where a turn leaves out branches. */
  readonly bodyTotal: number;
  /** The turn's instructions by the author's lines, most first; empty unless assembled with line information. */
  readonly lines: readonly LineMix[];
}

/** What a turn executes for one line. */
export interface LineMix {
  readonly file: string;
  readonly line: number;
  readonly total: number;
  readonly classes: InstructionMix["classes"];
}

export interface KernelCode {
  readonly name: string;
  /** Registers of a thread. */
  readonly registers: number;
  /** Bytes of a thread's frame in local memory. */
  readonly stackBytes: number;
  readonly staticSharedBytes: number;
  readonly maxThreads: number | undefined;
  /** All instructions of the kernel but the padding at its end. */
  readonly code: InstructionMix;
  /** The innermost loops, in the order of the code. */
  readonly loops: readonly LoopMix[];
  /** The loop with the most products a turn, among equals the shortest (the one without masks); without products the longest. */
  readonly mainLoop: LoopMix | undefined;
}

/** Each kernel of a cubin. @throws TilewrightError `NOT_A_CUBIN`. */
export function analyzeCubin(cubin: Uint8Array): KernelCode[] {
  return readCubin(cubin).kernels.map(({ code, lines, ...facts }) => {
    const instructions = withoutPadding(decodeInstructions(code));
    const loops = findLoops(instructions).map((loop) => mixOfLoop(loop, lines));
    return { ...facts, code: mixOf(instructions), loops, mainLoop: chooseMainLoop(loops) };
  });
}

function withoutPadding(instructions: readonly SassInstruction[]): readonly SassInstruction[] {
  const last = instructions.findLastIndex(({ class: kind }) => kind !== "nop");
  return instructions.slice(0, last + 1);
}

const mixOfLoop = ({ start, end, depth, instructions, mainPath }: Loop, rows: readonly LineRow[]): LoopMix => ({
  ...mixOf(mainPath),
  start,
  end,
  depth,
  bodyTotal: instructions.length,
  lines: mixOfLines(mainPath, rows),
});

function mixOfLines(instructions: readonly SassInstruction[], rows: readonly LineRow[]): LineMix[] {
  const ofLine = new Map<string, { file: string; line: number; instructions: SassInstruction[] }>();
  for (const instruction of instructions) {
    const row = rowOf(rows, instruction.address);
    if (!row || row.line === 0) continue;
    const { file, line } = row;
    const key = `${file}:${line}`;
    const found = ofLine.get(key) ?? { file, line, instructions: [] };
    found.instructions.push(instruction);
    ofLine.set(key, found);
  }
  return [...ofLine.values()]
    .map(({ instructions: own, ...line }) => ({ ...line, total: own.length, classes: classesOf(own) }))
    .sort((a, b) => b.total - a.total);
}

function chooseMainLoop(loops: readonly LoopMix[]): LoopMix | undefined {
  const better = (a: LoopMix, b: LoopMix): boolean =>
    a.flops !== b.flops ? a.flops > b.flops : a.flops > 0 ? a.total < b.total : a.total > b.total;
  return loops.reduce<LoopMix | undefined>((best, loop) => (!best || better(loop, best) ? loop : best), undefined);
}

function mixOf(instructions: readonly SassInstruction[]): InstructionMix {
  const classes = classesOf(instructions);
  const names = [...countBy(instructions, ({ name }) => name)].sort((a, b) => b[1] - a[1]);
  const total = instructions.length;
  const products = classes.mma ?? 0;
  const cycles = cyclesOf(instructions);
  const perProduct = (count: number): number | undefined => (products > 0 ? count / products : undefined);
  return {
    total,
    classes,
    names: Object.fromEntries(names),
    flops: instructions.reduce((sum, { flops }) => sum + flops, 0),
    nonMmaPerMma: perProduct(total - products),
    ldmatrixPerMma: perProduct(classes.ldmatrix ?? 0),
    cycles: Object.fromEntries(cycles),
    tensorBound: products > 0 ? (new Map(cycles).get("tensor") ?? 0) / cycles[0]![1] : undefined,
  };
}

function classesOf(instructions: readonly SassInstruction[]): InstructionMix["classes"] {
  const counted = countBy(instructions, (one) => one.class);
  const present = instructionClasses.filter((kind) => counted.has(kind));
  return Object.fromEntries(present.map((kind) => [kind, counted.get(kind)!]));
}

function countBy<K>(items: readonly SassInstruction[], keyOf: (item: SassInstruction) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}

/** What an instruction keeps busy, and for how many cycles. */
type Use = readonly [pipe: string, cycles: number];

const TENSOR_FLOPS_PER_CYCLE = 512;
const products = ({ name, flops }: SassInstruction): Use => [
  "tensor",
  flops / (name.endsWith("TF32") ? TENSOR_FLOPS_PER_CYCLE / 2 : TENSOR_FLOPS_PER_CYCLE),
];

/** The load and store units move 128 bytes a cycle for the four quarters. */
const MEMORY_BYTES_PER_CYCLE = 32;
const access = ({ name }: SassInstruction): Use => ["memory", (32 * accessBytes(name)) / MEMORY_BYTES_PER_CYCLE];

/** Bytes a lane that an access moves, by the end of its name. */
function accessBytes(name: string): number {
  const width = name.slice(name.lastIndexOf(".") + 1);
  if (name.startsWith("LDSM")) return 4 * Number(width);
  return width === "128" ? 16 : width === "64" ? 8 : 4;
}

/** Some integers and moves are computed on the multipliers. */
const ofMultiplier = ({ name }: SassInstruction): boolean => /^(IMAD|IDP)/.test(name);

/**
 * Cycles of a pipe for one warp instruction on a quarter of an sm_80 multiprocessor: the arithmetic throughput table of the CUDA C++
 * Programming Guide (results a cycle and multiprocessor: 64 for f32 and integers, 16 for special functions, 32 for shuffles, 32 for
 * f64). 1024 dense half-precision multiply-adds a cycle and multiprocessor make 512 flops a quarter, tf32 half of it (A100 white paper).
 */
const uses: Readonly<Partial<Record<InstructionClass, (instruction: SassInstruction) => Use | undefined>>> = {
  mma: products,
  ldmatrix: access,
  sharedLoad: access,
  sharedStore: access,
  asyncCopy: access,
  globalLoad: access,
  globalStore: access,
  local: access,
  special: () => ["special", 8],
  conversion: () => ["alu", 2],
  integer: (instruction) => [ofMultiplier(instruction) ? "fma" : "alu", 2],
  move: (instruction) => (ofMultiplier(instruction) ? ["fma", 2] : undefined),
  compare: () => ["alu", 2],
  fp32: () => ["fma", 2],
  fp64: () => ["fp64", 4],
  fp16: () => ["fma", 2],
  shuffle: () => ["memory", 4],
};

function cyclesOf(instructions: readonly SassInstruction[]): Use[] {
  const busy = new Map<string, number>([["issue", instructions.length]]);
  for (const instruction of instructions) {
    const [pipe, cycles] = uses[instruction.class]?.(instruction) ?? [];
    if (pipe !== undefined) busy.set(pipe, (busy.get(pipe) ?? 0) + cycles!);
  }
  return [...busy].sort((a, b) => b[1] - a[1]);
}
