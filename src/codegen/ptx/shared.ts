/**
 * @file Tiles in shared memory: written from registers, read back in another layout, or left there for a dot that loads its fragments one by
 * one. A memory layout is linear and XOR-swizzled, so an address is the thread's part, XORed or added with a constant.
 */
import type { DType } from "../../ir/index.ts";
import {
  bankConflicts,
  chooseSwizzle,
  type LinearLayout,
  layoutOfTranspose,
  registerOffsets,
  sharedOffsets,
  sharedVectorWidth,
} from "../../layout/index.ts";
import { type AccessGroup, bytesOf, groupAccesses, loadGroups, loadTarget, movesWords, storeGroups } from "./access.ts";
import { linearOfThread, ownerGuard, threadBitsClear, threadColumns } from "./coordinates.ts";
import { type Element, type ElementKind, operandOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { type Register, type SharedBuffer, symbol } from "./instruction.ts";
import { bytesToBool } from "./memory.ts";
import { isHalf, type Tile } from "./tile.ts";

/** The name of the block's shared memory in PTX. */
export const SHARED_MEMORY = "shared_memory";
/** Its alignment, in bytes. */
export const SHARED_ALIGNMENT = 128;

/** A dot's operand that stays in shared memory until the dot loads its fragments. */
export interface StagedTile {
  readonly kind: "staged";
  readonly dtype: DType;
  /** The layout in which the dot wants it. */
  readonly layout: LinearLayout;
  /** From the offset in elements to the tile. */
  readonly memory: LinearLayout;
  readonly place: StagedPlace;
}

/** The same memory, read with the axes in another order. */
export const transposeStaged = (staged: StagedTile, permutation: readonly number[]): StagedTile => ({
  ...staged,
  layout: layoutOfTranspose(staged.layout, permutation),
  memory: layoutOfTranspose(staged.memory, permutation),
});

/** Where in shared memory a staged tile begins. */
export interface StagedPlace {
  readonly buffer: SharedBuffer;
  /** Bytes from the start of the buffer, or from `start`. */
  readonly offset: number;
  /** Of a buffer that holds several turns of a loop: the start of shared memory plus the distance to this turn's part. */
  readonly start?: Register;
  /** See `MemoryAccess`; a new group for each reader if missing. */
  readonly group?: number;
}

const log2 = (size: number): number => 31 - Math.clz32(size);

/** The address of each register's element (of those in `registers`, if given) within a buffer whose layout is `memory`: the buffer's own place is added by the operand. */
export function sharedAddresses(
  emitter: Emitter,
  layout: LinearLayout,
  memory: LinearLayout,
  kind: ElementKind,
  { start, offset = 0 }: { readonly start?: Register; readonly offset?: number } = {},
  registers?: readonly number[],
): Element[] {
  const offsets = sharedOffsets(layout, memory);
  const shift = log2(bytesOf(kind));
  const columns = threadColumns(offsets).map((column) => column << shift);
  const all = registerOffsets(offsets);
  const bases = new Map<number, Register>();
  return (registers ? registers.map((register) => all[register]!) : all).map(({ xor, add }): Element => {
    let base = bases.get(xor);
    if (!base) {
      base = sharedAddress(emitter, columns, xor << shift, start);
      bases.set(xor, base);
    }
    const distance = (add << shift) + offset;
    return distance === 0 ? base : { kind: "sum", base, offset: distance };
  });
}

/** A register with the address of the start of shared memory. */
export const sharedStart = (emitter: Emitter): Register =>
  emitter.pure("b32", "mov.u32", [symbol(SHARED_MEMORY)], SHARED_ALIGNMENT);

/** A register with `start` + (the thread's part ^ `xor`), in bytes; `start` is a multiple of SHARED_ALIGNMENT. */
export function sharedAddress(
  emitter: Emitter,
  columns: readonly number[],
  xor: number,
  start = sharedStart(emitter),
): Register {
  let thread = linearOfThread(emitter, columns);
  if (thread === 0 && xor === 0) return start;
  const lowest = columns.reduce((bits, column) => bits | column, xor);
  const divisor = Math.min(SHARED_ALIGNMENT, lowest & -lowest);
  if (xor !== 0) thread = emitter.pure("b32", "xor.b32", [operandOf(emitter, thread, "i32"), xor], divisor);
  return emitter.pure("b32", "add.s32", [start, operandOf(emitter, thread, "i32")], divisor);
}

/** Writes a tile; of threads that hold copies, one writes. */
export function writeShared(emitter: Emitter, tile: Tile, memory: LinearLayout, buffer: SharedBuffer): void {
  const addresses = sharedAddresses(emitter, tile.layout!, memory, tile.kind);
  const groups = groupAccesses({ dtype: tile.kind, addresses, masks: undefined }, emitter.target.maxVectorBytes);
  storeGroups(emitter, tile, groups, ownerGuard(emitter, tile.layout), { space: "shared", buffer });
  emitter.log?.registers("write", tile.kind, tile.layout!, memory, { buffer, offset: 0 }, widest(groups));
}

export function readShared(
  emitter: Emitter,
  kind: ElementKind,
  layout: LinearLayout,
  memory: LinearLayout,
  place: StagedPlace,
): Tile {
  const { buffer, group, ...origin } = place;
  const addresses = sharedAddresses(emitter, layout, memory, kind, origin);
  const groups = groupAccesses({ dtype: kind, addresses, masks: undefined }, emitter.target.maxVectorBytes);
  const packed = isHalf(kind) && addresses.length % 2 === 0 && movesWords(groups);
  const target = loadTarget(emitter, kind, layout, addresses.length, packed);
  loadGroups(emitter, kind, groups, target, { space: "shared", buffer }, group);
  emitter.log?.registers("read", kind, layout, memory, place, widest(groups));
  return kind === "bool" ? bytesToBool(emitter, target.tile) : target.tile;
}

/** Elements of the widest access. */
const widest = (groups: readonly AccessGroup[]): number => Math.max(...groups.map(({ registers }) => registers.length));

export const bufferFor = (emitter: Emitter, name: string, kind: ElementKind, layout: LinearLayout): SharedBuffer =>
  emitter.sharedBuffer(name, bytesOf(kind) << layout.outBits);

/** The name of buffers through which tiles change their layouts. */
export const CONVERSION = "convert";

/** A tile that was written to shared memory on its way to another layout. */
export interface SharedCopy {
  readonly memory: LinearLayout;
  readonly buffer: SharedBuffer;
}

/** Brings a tile to another layout by way of shared memory: one of the `copies` that are there already, or a new one, which is added to them. */
export function convertThroughShared(
  emitter: Emitter,
  tile: Tile,
  layout: LinearLayout,
  copies: SharedCopy[] = [],
): Tile {
  const memory = chooseSwizzle({ writer: tile.layout!, reader: layout, elementBytes: bytesOf(tile.kind) });
  const most = wavefrontsOf(layout, memory, tile.kind) + wavefrontsOf(tile.layout!, memory, tile.kind);
  let copy = copies.find((other) => wavefrontsOf(layout, other.memory, tile.kind) <= most);
  if (!copy) {
    copy = { memory, buffer: bufferFor(emitter, CONVERSION, tile.kind, layout) };
    writeShared(emitter, tile, memory, copy.buffer);
    copies.push(copy);
  }
  return readShared(emitter, tile.kind, layout, copy.memory, { buffer: copy.buffer, offset: 0 });
}

/** What a warp takes to read or write all its elements. */
function wavefrontsOf(layout: LinearLayout, memory: LinearLayout, kind: ElementKind): number {
  const elementBytes = bytesOf(kind);
  const width = sharedVectorWidth(layout, memory, { elementBytes });
  return (layout.sizeOf("register") / width) * bankConflicts(layout, memory, { elementBytes, width }).wavefronts;
}

/** Gives the elements of the one thread that owns each (see `ownerGuard`) to all threads that should hold them. */
export function distribute(emitter: Emitter, tile: Tile): Tile {
  if (tile.layout) return convertThroughShared(emitter, tile, tile.layout);
  const { kind } = tile;
  const buffer = emitter.sharedBuffer("scalar", bytesOf(kind));
  const addresses = [sharedAddress(emitter, [], 0)];
  const groups = groupAccesses({ dtype: kind, addresses, masks: undefined }, 16);
  storeGroups(emitter, tile, groups, threadBitsClear(emitter, emitter.threads - 1), { space: "shared", buffer });
  const target = loadTarget(emitter, kind, undefined, 1, false);
  loadGroups(emitter, kind, groups, target, { space: "shared", buffer });
  return target.tile;
}
