/**
 * @file dot by multiply-adds in f32, or in i32 for i8: each thread keeps a micro-tile of accumulators and reads, four k at a time, the rows of a and the
 * columns of b that it needs from shared memory. An operand lies there as its writer holds it, so that it is written in vectors and without bank
 * conflicts: with k fastest (then XOR-swizzled, since lanes read different rows) or with rows fastest. A loop over k keeps the code small.
 */
import { dotResult, type Operation } from "../../ir/index.ts";
import {
  BANK_CYCLE_BYTES,
  bankConflicts,
  LinearLayout,
  layoutOfReduce,
  REGISTER,
  registerParts,
  registersOfReduce,
  sharedOffsets,
  sharedVectorWidth,
  swizzledShared,
  vectorWidth,
} from "../../layout/index.ts";
import { type AccessGroup, groupAccesses, loadGroups, loadTarget } from "./access.ts";
import { castTile } from "./casts.ts";
import { coordinatesAlong, linearOfThread, threadColumns } from "./coordinates.ts";
import { type Element, moveType, operandOf, registerClassOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { isRegister, type Register, type SharedBuffer, symbol } from "./instruction.ts";
import { addIntegers, multiplyIntegers } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { bufferFor, SHARED_ALIGNMENT, SHARED_MEMORY, writeShared } from "./shared.ts";
import { Tile } from "./tile.ts";

/** k in one vector. */
const CHUNK = 4;
/** Vectors of k in one turn of the loop. */
const UNROLL = 2;
const BYTES = 4;

/** What is multiplied and added up: 4 bytes an element. */
type SumKind = "f32" | "i32";

/** One operand in shared memory. */
interface Factor {
  /** From one chunk of k to the next. */
  readonly chunkBytes: number;
  /**
   * For each k of a chunk the value for each accumulator: the chunk number `chunk` after the one that lies `start` bytes from the
   * first.
   */
  load(start: Register | 0, chunk: number, accessGroup: number): Register[][];
}

export function lowerFmaDot(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const [a, b, c] = operation.operands.map((value) => lowering.tile(value));
  const layout = lowering.layoutOf(operation.results[0]!)!;
  const depth = a!.layout!.shape[1]!;
  const kind = dotResult(operation.operands[0]!.type.dtype);
  const factors = [
    factorOf(emitter, "left", castTile(emitter, a!, kind), layout, 0),
    factorOf(emitter, "right", castTile(emitter, b!, kind), layout, 1),
  ] as const;
  const sums = c!.elements(emitter).map((element) => {
    const register = emitter.register(registerClassOf[kind]);
    emitter.emit(`mov.${moveType[register.class]}`, [register, operandOf(emitter, element, kind)]);
    return register;
  });
  const multiplyAdd = kind === "f32" ? "fma.rn.f32" : "mad.lo.s32";
  const groups = factors.map(() => emitter.accessGroup());
  const multiply = (starts: readonly (Register | 0)[], chunk: number): void => {
    const [left, right] = factors.map((factor, i) => factor.load(starts[i]!, chunk, groups[i]!));
    left!.forEach((rows, k) => {
      sums.forEach((sum, register) => {
        emitter.emit(multiplyAdd, [sum, rows[register]!, right![k]![register]!, sum]);
      });
    });
  };
  const chunks = Math.max(1, depth / CHUNK);
  if (chunks <= 2 * UNROLL) for (let chunk = 0; chunk < chunks; chunk++) multiply([0, 0], chunk);
  else loopOverChunks(emitter, chunks, factors, multiply);
  return Tile.ofElements(kind, layout, sums);
}

function loopOverChunks(
  emitter: Emitter,
  chunks: number,
  factors: readonly Factor[],
  multiply: (starts: readonly Register[], chunk: number) => void,
): void {
  const depth = emitter.depth + 1;
  const starts = factors.map(({ chunkBytes }) =>
    emitter.register("b32", { depth, divisor: Math.min(SHARED_ALIGNMENT, chunkBytes * UNROLL) }),
  );
  let again: Register | undefined;
  const body = emitter.block(() => {
    for (let chunk = 0; chunk < UNROLL; chunk++) multiply(starts, chunk);
    starts.forEach((start, i) => {
      emitter.emit("add.s32", [start, start, UNROLL * factors[i]!.chunkBytes]);
    });
    again = emitter.op("pred", "setp.lt.s32", starts[0]!, chunks * factors[0]!.chunkBytes);
  });
  for (const start of starts) emitter.emit("mov.b32", [start, 0]);
  emitter.push({ kind: "loop", label: emitter.label("dot"), enter: undefined, body, repeat: { predicate: again! } });
}

/** Writes an operand to shared memory; `rowAxis` is its axis that is not contracted, which is the same axis of the accumulators. */
function factorOf(emitter: Emitter, name: string, tile: Tile, accumulators: LinearLayout, rowAxis: 0 | 1): Factor {
  const { shape } = tile.layout!;
  const depthAxis = 1 - rowAxis;
  const rows = layoutOfReduce(accumulators, depthAxis);
  const rowOf = registersOfReduce(accumulators, depthAxis);
  const kind = tile.kind as SumKind;
  const buffer = bufferFor(emitter, name, kind, tile.layout!);
  const byRows = swizzledShared({ shape, order: [rowAxis, depthAxis] });
  const byDepth = shape[depthAxis]! < CHUNK ? undefined : depthFastest(tile.layout!, rows, rowAxis);
  const inVectors = vectorWidth(tile.layout!, depthAxis, { elementBytes: BYTES }) >= CHUNK;
  const memory =
    byDepth && (inVectors || writerWavefronts(tile.layout!, byDepth) < writerWavefronts(tile.layout!, byRows))
      ? byDepth
      : byRows;
  writeShared(emitter, tile, memory, buffer);
  if (memory === byRows) {
    const width = vectorWidth(rows, 0, { elementBytes: BYTES });
    emitter.log?.registers("read", kind, firstChunk(rows, memory, rowAxis), memory, { buffer, offset: 0 }, width);
    return rowsFirst(emitter, kind, buffer, rows, rowOf, shape[rowAxis]!, Math.min(CHUNK, shape[depthAxis]!));
  }
  const access = firstChunk(rows, memory, rowAxis);
  emitter.log?.registers("read", kind, access, memory, { buffer, offset: 0 }, CHUNK);
  return depthsFirst(emitter, kind, buffer, rowOf, memory, rowAxis, access);
}

/** What writing takes of a warp, for each element of a lane. */
function writerWavefronts(writer: LinearLayout, memory: LinearLayout): number {
  const width = sharedVectorWidth(writer, memory, { elementBytes: BYTES });
  return bankConflicts(writer, memory, { elementBytes: BYTES, width }).wavefronts / width;
}

/**
 * Shared memory with k fastest. Neighbouring lanes read rows that are as far apart as one thread holds of them: those exchange pieces of a
 * row, or of the rows that the banks hold at once. A piece is a chunk, or longer where lanes that write hold several rows and more than a
 * chunk of each: then both would meet in the banks that short pieces go to.
 */
function depthFastest(writer: LinearLayout, rows: LinearLayout, rowAxis: 0 | 1): LinearLayout {
  const { shape } = writer;
  const depthAxis = 1 - rowAxis;
  const depth = shape[depthAxis]!;
  const bankElements = BANK_CYCLE_BYTES / BYTES;
  const ofPieces = (vec: number, perPhase: number, folded = false): LinearLayout => {
    const exchanged = Math.max(depth, Math.min(depth * perPhase, bankElements));
    const maxPhase = Math.min(8, exchanged / vec, Math.max(1, shape[rowAxis]! / perPhase));
    return swizzledShared({ shape, order: [depthAxis, rowAxis], vec, perPhase, maxPhase, folded });
  };
  const reads = rows.sizeOf(REGISTER) * (depth / CHUNK);
  const wavefronts = (memory: LinearLayout): number =>
    writer.sizeOf(REGISTER) * writerWavefronts(writer, memory) +
    reads * bankConflicts(firstChunk(rows, memory, rowAxis), memory, { elementBytes: BYTES, width: CHUNK }).wavefronts;
  const held = vectorWidth(rows, 0, { elementBytes: BYTES, maxBytes: 64 });
  // Where the banks hold several rows at once, also by as many rows as that, and with rows far apart.
  const shortRows = depth < bankElements;
  let best = ofPieces(CHUNK, held);
  for (const perPhase of shortRows ? [held, bankElements / depth] : [held])
    for (const folded of shortRows ? [false, true] : [false])
      for (let vec = CHUNK; vec === CHUNK || vec < Math.min(depth, bankElements); vec *= 2) {
        const memory = ofPieces(vec, perPhase, folded);
        if (wavefronts(memory) < wavefronts(best)) best = memory;
      }
  return best;
}

/** What a thread reads of the first chunk, as a layout of the operand: registers are (row, k in the chunk). */
function firstChunk(rows: LinearLayout, memory: LinearLayout, rowAxis: 0 | 1): LinearLayout {
  const [rowUnit, depthUnit] = rowAxis === 0 ? [memory.shape[1]!, 1] : [1, memory.shape[1]!];
  const depths = [depthUnit, 2 * depthUnit].slice(0, Math.log2(Math.min(CHUNK, memory.shape[1 - rowAxis]!)));
  return new LinearLayout(
    rows.ins.map((dim) => (dim.name === REGISTER ? { ...dim, bits: dim.bits + depths.length } : dim)),
    memory.outs,
    [...depths, ...rows.columns.map((row) => row * rowUnit)],
  );
}

const startOfShared = (emitter: Emitter): Register =>
  emitter.pure("b32", "mov.u32", [symbol(SHARED_MEMORY)], SHARED_ALIGNMENT);

/** Loads the addresses and gives the values by index. */
function loadAll(
  emitter: Emitter,
  kind: SumKind,
  buffer: SharedBuffer,
  addresses: readonly Element[],
  accessGroup: number,
): readonly Register[] {
  const target = loadTarget(emitter, kind, undefined, addresses.length, false);
  const groups: AccessGroup[] = groupAccesses(
    { dtype: kind, addresses, masks: undefined },
    emitter.target.maxVectorBytes,
  );
  loadGroups(emitter, kind, groups, target, { space: "shared", buffer }, accessGroup);
  return target.registers;
}

/** Element (row, k) at row + k · count. */
function rowsFirst(
  emitter: Emitter,
  kind: SumKind,
  buffer: SharedBuffer,
  rows: LinearLayout,
  rowOf: readonly number[],
  count: number,
  chunk: number,
): Factor {
  const places = coordinatesAlong(emitter, rows, 0).map((row) =>
    addIntegers(emitter, startOfShared(emitter), multiplyIntegers(emitter, row, BYTES, "i32"), "i32"),
  );
  return {
    chunkBytes: chunk * count * BYTES,
    load(start, at, accessGroup) {
      return Array.from({ length: chunk }, (_, k) => {
        const distance = addIntegers(emitter, start, (at * chunk + k) * count * BYTES, "i32");
        const addresses = places.map((place) => addIntegers(emitter, place, distance, "i32"));
        const values = loadAll(emitter, kind, buffer, addresses, accessGroup);
        return rowOf.map((row) => values[row]!);
      });
    },
  };
}

/** Element (row, k) where the swizzled `memory` has it: a chunk's place is XORed to the row's. */
function depthsFirst(
  emitter: Emitter,
  kind: SumKind,
  buffer: SharedBuffer,
  rowOf: readonly number[],
  memory: LinearLayout,
  rowAxis: 0 | 1,
  access: LinearLayout,
): Factor {
  const offsets = sharedOffsets(access, memory);
  const columns = threadColumns(offsets).map((column) => column * BYTES);
  const chunkBits = (memory.shape[1 - rowAxis]! - CHUNK) * BYTES;
  // Bits that a thread or the number of the chunk moves are XORed; the rest of a register's place can be added.
  const moving = columns.reduce((bits, column) => bits | column, chunkBits);
  const parts = registerParts(offsets).map((part) => part * BYTES);
  const chunkBytes = CHUNK * BYTES;
  return {
    chunkBytes,
    load(start, at, accessGroup) {
      const bases = new Map<number, Element>();
      /** The start of shared memory + (the thread's part ^ `xor` ^ `start`). */
      const baseOf = (xor: number): Element => {
        let base = bases.get(xor);
        if (base === undefined) {
          let thread = linearOfThread(emitter, columns);
          const exclusive = (by: Register | number): void => {
            thread = emitter.pure("b32", "xor.b32", [operandOf(emitter, thread, "i32"), by], chunkBytes);
          };
          if (xor !== 0) exclusive(xor);
          if (isRegister(start)) exclusive(start);
          base = addIntegers(emitter, startOfShared(emitter), thread, "i32");
          bases.set(xor, base);
        }
        return base;
      };
      const addresses = parts.map((part) =>
        addIntegers(emitter, baseOf((part & moving) ^ (at * chunkBytes)), part & ~moving, "i32"),
      );
      const values = loadAll(emitter, kind, buffer, addresses, accessGroup);
      return Array.from({ length: CHUNK }, (_, k) => rowOf.map((row) => values[row * CHUNK + k]!));
    },
  };
}
