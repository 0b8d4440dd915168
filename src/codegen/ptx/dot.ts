/**
 * @file dot on tensor cores: one mma.sync for each 16 x 8 piece of a warp's accumulators and each step of K. An operand is either in
 * registers already (as the accumulators of an earlier dot are) or staged in shared memory, from where its fragments are loaded
 * just before they are used, so that they never all live at once.
 */
import type { DType, Operation } from "../../ir/index.ts";
import {
  type BytePairs,
  bytePairRows,
  chooseSwizzle,
  conversionBetween,
  type LdmatrixPlan,
  type LinearLayout,
  type MmaInstruction,
  type MmaRole,
  matrixSwizzle,
  mmaFragmentRegisters,
  mmaFragmentShape,
  planBytePairs,
  planLdmatrix,
  REGISTER,
  vectorWidth,
  warpExtents,
} from "../../layout/index.ts";
import { bytesOf } from "./access.ts";
import { convertTile } from "./convert.ts";
import { threadColumns } from "./coordinates.ts";
import { lowerFmaDot } from "./dot-fma.ts";
import { type DotPlan, planDot } from "./dot-plan.ts";
import { type Element, operandOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { address, type Operand, type Register, vector } from "./instruction.ts";
import type { Lowering } from "./lowering.ts";
import { bufferFor, readShared, type StagedTile, sharedAddress, writeShared } from "./shared.ts";
import { isHalf, Tile } from "./tile.ts";

/** More 32-bit registers than this are not kept for an operand that a loop only reads: it is loaded again in every turn. */
const MAX_RESIDENT_WORDS = 32;
/** Nor more than these, or the author's hint, for all such operands of a block together. */
const MAX_RESIDENT_WORDS_TOGETHER = 96;

type MmaPlan = Extract<DotPlan, { kind: "mma" }> & { readonly paired?: boolean };

export function lowerDot(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  emitter.hasDots = true;
  const chosen = planDot(operation, emitter.target);
  if (chosen.kind === "fma") return lowerFmaDot(lowering, operation);
  const [a, b, c] = operation.operands;
  const plan: MmaPlan = { ...chosen, paired: isPaired(lowering.layoutOf(b!)!) };
  const accumulator = lowering.tile(c!);
  const layout = lowering.layoutOf(operation.results[0]!)!;
  const left = fragments(lowering, lowering.lowered(a!) as Tile | StagedTile, plan, "a");
  const right = fragments(lowering, lowering.lowered(b!) as Tile | StagedTile, plan, "b");
  const dtype = a!.type.dtype;
  const type = isHalf(dtype) ? dtype : dtype === "i8" ? "s8" : "tf32";
  const [kind, sum, registerClass] =
    dtype === "i8" ? (["i32", "s32", "b32"] as const) : (["f32", "f32", "f32"] as const);
  const opcode = `mma.sync.aligned.${plan.instruction}.row.col.${sum}.${type}.${type}.${sum}`;

  const [stepM, stepK] = mmaFragmentShape(plan.instruction, "a");
  const stepN = mmaFragmentShape(plan.instruction, "b")[1];
  const [rows, columns] = warpExtents(layout) as [number, number];
  const depth = left.layout.shape[1]!;
  const accumulators = byOrigin(layout, fragmentRegisters(layout, plan, "accumulator"));
  const current: Element[] = [...accumulator.elements(emitter)];
  const fresh = new Map<number, Register>();
  const multiply = (m: number, n: number, k: number): void => {
    const registers = accumulators(m, n);
    const sums = registers.map((register) => registerOf(emitter, current[register]!, kind));
    // The first step makes new registers, the others add to them.
    const results = registers.map((register, i) => {
      const own = registers.indexOf(register) === i ? fresh.get(register) : undefined;
      return own ?? emitter.register(registerClass);
    });
    emitter.emit(opcode, [vector(results), left.load(m, k), right.load(k, n), vector(sums)]);
    registers.forEach((register, i) => {
      if (registers.indexOf(register) !== i) return;
      fresh.set(register, results[i]!);
      current[register] = results[i]!;
    });
  };
  // In a step of K the fragments of the operand that has fewer stay in registers while those of the other pass by.
  const rowsStay = rows <= columns;
  for (let k = 0; k < depth; k += stepK)
    if (rowsStay) for (let n = 0; n < columns; n += stepN) for (let m = 0; m < rows; m += stepM) multiply(m, n, k);
    else for (let m = 0; m < rows; m += stepM) for (let n = 0; n < columns; n += stepN) multiply(m, n, k);
  return Tile.ofElements(kind, layout, current);
}

/** Whether a thread holds neighbouring columns of the right operand (see MmaOptions). */
const isPaired = (right: LinearLayout): boolean => right.shape[1]! > 1 && right.basesOf(REGISTER).includes(1);

/** Elements of an operand in a 32-bit register of the instruction. */
const elementsInWord: Readonly<Record<MmaInstruction, number>> = { m16n8k32: 4, m16n8k16: 2, m16n8k8: 1 };

/** A function of the origin of a fragment within the warp's box. */
type OfOrigin<T> = (row: number, column: number) => T;

/** Remembers what `make` gives: an instruction's operands serve a whole row or column of instructions. */
function byOrigin<T>(layout: LinearLayout, make: OfOrigin<T>): OfOrigin<T> {
  const columns = layout.shape[1]!;
  const known = new Map<number, T>();
  return (row, column) => {
    const origin = row * columns + column;
    let made = known.get(origin);
    if (made === undefined) {
      made = make(row, column);
      known.set(origin, made);
    }
    return made;
  };
}

interface Fragments {
  readonly layout: LinearLayout;
  /** The 32-bit registers of a fragment. */
  readonly load: OfOrigin<Operand>;
}

/** As `mmaFragmentRegisters`, for many origins: registers are linear in the origin, so the powers of two suffice. */
function fragmentRegisters(layout: LinearLayout, plan: MmaPlan, role: MmaRole): OfOrigin<number[]> {
  const at = (origin: readonly [number, number]): number[] => mmaFragmentRegisters(layout, { ...plan, role }, origin);
  const first = at([0, 0]);
  const steps = new Map<number, number>();
  const stepOf = (axis: 0 | 1, bit: number): number => {
    const key = 2 * bit + axis;
    let step = steps.get(key);
    if (step === undefined) {
      step = at(axis === 0 ? [bit, 0] : [0, bit])[0]! ^ first[0]!;
      steps.set(key, step);
    }
    return step;
  };
  return (row, column) => {
    let moved = 0;
    for (let rest = row; rest !== 0; rest &= rest - 1) moved ^= stepOf(0, rest & -rest);
    for (let rest = column; rest !== 0; rest &= rest - 1) moved ^= stepOf(1, rest & -rest);
    return first.map((register) => register ^ moved);
  };
}

function fragments(lowering: Lowering, operand: Tile | StagedTile, plan: MmaPlan, role: MmaRole): Fragments {
  const { emitter } = lowering;
  const { layout } = operand;
  const words = operand instanceof Tile ? residentWords(emitter, operand) : stagedWords(emitter, operand);
  const packed = elementsInWord[plan.instruction];
  const registersAt = fragmentRegisters(layout!, plan, role);
  const load = byOrigin(layout!, (row, column) => {
    const wanted: Operand[] = [];
    const registers = registersAt(row, column);
    for (let i = 0; i < registers.length; i += packed) wanted.push(words(registers[i]! / packed));
    return vector(wanted);
  });
  return { layout: layout!, load };
}

/** The 32-bit operands of a tile in registers: words of two halves or of four i8, or f32 rounded to tf32. */
function residentWords(emitter: Emitter, tile: Tile): (index: number) => Operand {
  if (isHalf(tile.kind)) {
    const words = tile.words(emitter);
    return (index) => {
      const word = words[index]!;
      return typeof word === "number" ? emitter.pure("b32", "mov.b32", [word]) : operandOf(emitter, word, "i32");
    };
  }
  const elements = tile.elements(emitter);
  const made = new Map<number, Register>();
  return (index) => {
    let word = made.get(index);
    if (!word) {
      word =
        tile.kind === "i8"
          ? packBytes(emitter, elements.slice(4 * index, 4 * index + 4))
          : emitter.op("b32", "cvt.rna.tf32.f32", registerOf(emitter, elements[index]!, "f32"));
      made.set(index, word);
    }
    return word;
  };
}

/** A word of the low bytes of four, the first lowest. */
function packBytes(emitter: Emitter, elements: readonly Element[]): Register {
  const [a, b, c, d] = elements.map((element) => registerOf(emitter, element, "i8"));
  const pair = (low: Register, high: Register): Register => emitter.op("b32", "prmt.b32", low, high, 0x40);
  return emitter.op("b32", "prmt.b32", pair(a!, b!), pair(c!, d!), 0x5410);
}

/** Loads words from shared memory when they are first asked for: by ldmatrix where the layouts fit it. */
function stagedWords(emitter: Emitter, staged: StagedTile): (index: number) => Operand {
  const { dtype, layout, memory, place } = staged;
  const elementBytes = bytesOf(dtype);
  const plan =
    elementBytes <= 2
      ? (planLdmatrix(layout, memory, { elementBytes }) ??
        planLdmatrix(layout, memory, { elementBytes, transposed: true }))
      : undefined;
  const pairs = plan || dtype !== "i8" ? undefined : planBytePairs(layout, memory);
  if (pairs) return unpairedWords(emitter, staged, pairs);
  if (!plan) return residentWords(emitter, readShared(emitter, dtype, layout, memory, place));
  return loadedWords(emitter, staged, plan, elementBytes);
}

/** Words of four bytes down the rows, from words of pairs of bytes. */
function unpairedWords(emitter: Emitter, staged: StagedTile, { plan, wordsOf }: BytePairs): (index: number) => Operand {
  const word = loadedWords(emitter, staged, plan, 2);
  const made = new Map<number, Register>();
  return (index) => {
    let own = made.get(index);
    if (!own) {
      const { low, high, odd } = wordsOf(index);
      own = emitter.op("b32", "prmt.b32", word(low), word(high), odd ? 0x7531 : 0x6420);
      made.set(index, own);
    }
    return own;
  };
}

/** Words by ldmatrix, each when it is first asked for; the plan's elements have `elementBytes`. */
function loadedWords(
  emitter: Emitter,
  { dtype, memory, place }: StagedTile,
  plan: LdmatrixPlan,
  elementBytes: number,
): (index: number) => Operand {
  const packed = 4 / elementBytes;
  const columns = threadColumns(plan.address).map((offset) => offset * elementBytes);
  const moving = columns.reduce((bits, column) => bits | column, 0);
  const issueOf = new Map<number, number>();
  plan.issues.forEach(({ registers }, issue) => {
    for (const word of registers) issueOf.set(word[0]! / packed, issue);
  });
  const loaded = new Map<number, Register>();
  const { buffer, group = emitter.accessGroup() } = place;
  const access = { kind: "read", place: buffer, group } as const;
  const opcode = `ldmatrix.sync.aligned.m8n8.x${plan.count}${plan.transposed ? ".trans" : ""}.shared.b16`;
  emitter.log?.fragments(opcode.replace(".sync.aligned.m8n8", "").replace(".shared.b16", ""), plan, elementBytes, {
    kind: dtype,
    memory,
    place,
  });
  return (index) => {
    const known = loaded.get(index);
    if (known) return known;
    const { offset, registers } = plan.issues[issueOf.get(index)!]!;
    const bytes = offset * elementBytes;
    const base = sharedAddress(emitter, columns, bytes & moving, place.start);
    const results = registers.map(([first]) => {
      const word = emitter.register("b32");
      loaded.set(first! / packed, word);
      return word;
    });
    emitter.emit(opcode, [vector(results), address(base, (bytes & ~moving) + place.offset, buffer)], { access });
    return loaded.get(index)!;
  };
}

/**
 * The convert_layout of a dot's operand: through shared memory the tile stays there, unless the dot is in a loop that the operand is
 * not part of and it fits into registers.
 */
export function lowerConvert(lowering: Lowering, operation: Operation): Tile | StagedTile {
  const { emitter } = lowering;
  const [value] = operation.operands;
  const [result] = operation.results;
  const layout = lowering.layoutOf(result!)!;
  const source = lowering.lowered(value!);
  if (source.kind === "staged") return { ...source, layout };
  const tile = lowering.tile(value!);
  const users = lowering.uses.get(result!) ?? [];
  const feedsTensorCores = users.every((user) => readsStaged(lowering, user, user.operands.indexOf(result!)));
  if (!feedsTensorCores || conversionBetween(tile.layout!, layout).kind !== "shared")
    return convertTile(emitter, tile, layout, lowering.copiesOf(value!));
  const staged = stage(emitter, tile, layout);
  const hoisted = users.some((user) => !lowering.isInSameBlock(user, operation));
  // In registers, four i8 are four words.
  const words = layout.sizeOf("register") * (isHalf(tile.kind) ? 0.5 : 1);
  if (!hoisted || words > MAX_RESIDENT_WORDS) return staged;
  const together = words + lowering.residentWords(operation);
  if (together > (lowering.kernel.hints.residentWords ?? MAX_RESIDENT_WORDS_TOGETHER)) return staged;
  lowering.keepResident(operation, together);
  return loadStaged(emitter, staged);
}

/** Whether operand `index` of the operation is one that tensor cores take from shared memory. */
export const readsStaged = ({ emitter }: Lowering, operation: Operation, index: number): boolean =>
  operation.opcode === "dot" && (index === 0 || index === 1) && planDot(operation, emitter.target).kind === "mma";

/** How an operand written from `writer` and read in `reader` lies in shared memory. */
export function stagedMemory(kind: DType, writer: LinearLayout, reader: LinearLayout): LinearLayout {
  const elementBytes = bytesOf(kind);
  const chosen = () => chooseSwizzle({ writer, reader, elementBytes });
  if (!isHalf(kind) && kind !== "i8") return chosen();
  // Rows in memory run the way in which the writer holds vectors.
  const widths = writer.outs.map((_, axis) => vectorWidth(writer, axis, { elementBytes }));
  const rows = matrixSwizzle(writer.shape, elementBytes, widths[0]! > widths[1]! ? [0, 1] : [1, 0]);
  if (isHalf(kind) || planLdmatrix(reader, rows, { elementBytes })) return rows;
  // ldmatrix transposes 16 bits at a time: i8 whose rows do not run along the contraction are loaded in pairs.
  const pairs = bytePairRows(reader);
  if (!pairs) return chosen();
  const forBoth = chooseSwizzle({ writer, reader: pairs, elementBytes });
  // A writer of short pieces would break up the rows of 16 bytes.
  return planBytePairs(reader, forBoth) ? forBoth : chooseSwizzle({ writer: pairs, reader: pairs, elementBytes });
}

function stage(emitter: Emitter, tile: Tile, layout: LinearLayout): StagedTile {
  const dtype = tile.kind as DType;
  const memory = stagedMemory(dtype, tile.layout!, layout);
  const buffer = bufferFor(emitter, "operand", dtype, layout);
  writeShared(emitter, tile, memory, buffer);
  return { kind: "staged", dtype, layout, memory, place: { buffer, offset: 0 } };
}

function loadStaged(emitter: Emitter, staged: StagedTile): Tile {
  const { dtype, layout, memory, place } = staged;
  if (!isHalf(dtype)) return readShared(emitter, dtype, layout, memory, place);
  const word = stagedWords(emitter, staged);
  const words = Array.from({ length: layout.sizeOf("register") / 2 }, (_, index) => word(index) as Register);
  return Tile.ofWords(dtype, layout, words);
}
