/**
 * @file Loads and stores of one thread's elements: grouped into vectors as far as the addresses are known to lie side by side and aligned
 * and the elements share one mask; each group is one instruction under that mask.
 */
import { elementBytes } from "../../ir/index.ts";
import type { LinearLayout } from "../../layout/index.ts";
import { boolAnd } from "./bools.ts";
import { type Element, type ElementKind, elementKey, isInteger, isSum, operandOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import {
  address,
  type Guard,
  type MemoryAccess,
  type Operand,
  type Register,
  type SharedBuffer,
  vector,
} from "./instruction.ts";
import { isHalf, Tile } from "./tile.ts";

/** One access: `registers` of the tile, at rising addresses from `base + offset`. */
export interface AccessGroup {
  readonly base: Element;
  readonly offset: number;
  readonly registers: readonly number[];
  /** More registers that hold the same element as the first of `registers` and so on. */
  readonly copies: readonly (readonly number[])[];
  readonly mask: Element | undefined;
}

export interface AccessRequest {
  readonly dtype: ElementKind;
  /** An address for each register. */
  readonly addresses: readonly Element[];
  /** A bool for each register. */
  readonly masks: readonly Element[] | undefined;
}

/** Bytes of an element in memory. */
export const bytesOf = (kind: ElementKind): number => (kind === "pointer" ? 8 : elementBytes[kind]);

/** Where an access goes, and what it means for other threads. */
export interface Destination {
  readonly space: "global" | "shared";
  /** Of shared memory: addresses are relative to this buffer. */
  readonly buffer?: SharedBuffer;
  /** Of global memory: the root. */
  readonly root?: string;
}
const accessTo = ({ buffer, root }: Destination, kind: "read" | "write", group: number): MemoryAccess => ({
  kind,
  place: buffer ?? root!,
  group,
});

interface Place {
  readonly offset: number;
  readonly registers: number[];
}

/** The accesses that cover all registers. `maxBytes` bounds the width of one. */
export function groupAccesses({ dtype, addresses, masks }: AccessRequest, maxBytes: number): AccessGroup[] {
  const size = bytesOf(dtype);
  const runs = new Map<string, { base: Element; mask: Element | undefined; places: Map<number, Place> }>();
  addresses.forEach((at, register) => {
    const mask = masks?.[register];
    if (mask === false) return;
    const base = isSum(at) ? at.base : isInteger(at) ? 0 : at;
    const offset = isSum(at) ? at.offset : isInteger(at) ? Number(at) : 0;
    const key = `${elementKey(base)}?${mask === undefined ? "" : elementKey(mask)}`;
    let run = runs.get(key);
    if (!run) {
      run = { base, mask, places: new Map() };
      runs.set(key, run);
    }
    const place = run.places.get(offset);
    if (place) place.registers.push(register);
    else run.places.set(offset, { offset, registers: [register] });
  });
  const groups: AccessGroup[] = [];
  for (const { base, mask, places } of runs.values()) {
    const aligned = typeof base === "object" && "divisor" in base ? base.divisor : 1;
    const sorted = [...places.values()].sort((a, b) => a.offset - b.offset);
    for (let i = 0; i < sorted.length; ) {
      const { offset } = sorted[i]!;
      let width = 1;
      const fits = (wider: number): boolean =>
        wider * size <= Math.min(maxBytes, aligned) &&
        offset % (wider * size) === 0 &&
        sorted[i + wider - 1]?.offset === offset + (wider - 1) * size;
      while (fits(width * 2)) width *= 2;
      const taken = sorted.slice(i, i + width).map(({ registers }) => registers);
      groups.push({
        base,
        offset,
        registers: taken.map((registers) => registers.at(-1)!),
        copies: taken.map((registers) => registers.slice(0, -1)),
        mask,
      });
      i += width;
    }
  }
  return groups;
}

/** How a group of `bytes` moves: so many registers of a type. Elements of 4 and 8 bytes keep their own registers. */
function vectorType(bytes: number, elementSize: number): { count: number; type: string } {
  if (elementSize === 8) return { count: bytes / 8, type: "b64" };
  if (bytes < 4) return { count: 1, type: bytes === 2 ? "b16" : "u8" };
  return { count: bytes / 4, type: "b32" };
}
const vectorSuffix = (count: number): string => (count === 1 ? "" : `.v${count}`);

/** The mask and the owner's predicate as one guard; undefined for always, false for never. */
export function guardOf(emitter: Emitter, mask: Element | undefined, owner?: Guard): Guard | undefined {
  const own = owner?.predicate;
  if (mask === undefined || mask === true) return own && { predicate: own };
  const both = own ? boolAnd(emitter, mask, own) : mask;
  return { predicate: registerOf(emitter, both, "bool") };
}

const addressOf = (emitter: Emitter, { base, offset }: AccessGroup, buffer: SharedBuffer | undefined) =>
  address(registerOf(emitter, base, buffer ? "i32" : "pointer"), offset, buffer);

/** The registers into which a tile is loaded, given before the load so that two paths can fill them. */
export interface LoadTarget {
  readonly tile: Tile;
  /** Halves: whether `registers` are words. */
  readonly packed: boolean;
  readonly registers: readonly Register[];
}

export function loadTarget(
  emitter: Emitter,
  dtype: ElementKind,
  layout: LinearLayout | undefined,
  count: number,
  packed: boolean,
): LoadTarget {
  const wide =
    dtype === "i64" || dtype === "pointer" ? "b64" : dtype === "f32" ? "f32" : isHalf(dtype) && !packed ? "b16" : "b32";
  const registers = Array.from({ length: packed ? count / 2 : count }, () => emitter.register(wide));
  const tile = packed ? Tile.ofWords(dtype, layout, registers) : Tile.ofElements(dtype, layout, registers);
  return { tile, packed, registers };
}

/** Whether each group moves whole words of a 16-bit tile: pairs of registers (2i, 2i + 1). */
export const movesWords = (groups: readonly AccessGroup[]): boolean =>
  groups.every(
    ({ registers, copies }) =>
      registers.length % 2 === 0 &&
      copies.every((list) => list.length === 0) &&
      registers.every((register, i) => (i % 2 === 0 ? register % 2 === 0 : register === registers[i - 1]! + 1)),
  );

/**
 * Loads the groups into the target; where a mask is false the register keeps what it had. Bool and i8 come as bytes: `bool` registers
 * are 32-bit here (0 or 1).
 */
export function loadGroups(
  emitter: Emitter,
  dtype: ElementKind,
  groups: readonly AccessGroup[],
  target: LoadTarget,
  destination: Destination,
  accessGroup = emitter.accessGroup(),
): void {
  const size = bytesOf(dtype);
  const { space, buffer } = destination;
  const access = accessTo(destination, "read", accessGroup);
  for (const group of groups) {
    const guard = guardOf(emitter, group.mask);
    const { count, type } = vectorType(group.registers.length * size, size);
    const from = addressOf(emitter, group, buffer);
    const into = (registers: readonly Operand[]): void => {
      const destination = registers.length === 1 ? registers[0]! : vector(registers);
      emitter.emit(`ld.${space}${vectorSuffix(count)}.${type}`, [destination, from], { guard, access });
    };
    const { registers } = group;
    if (target.packed) {
      into(registers.filter((_, i) => i % 2 === 0).map((register) => target.registers[register / 2]!));
      continue;
    }
    const own = registers.map((register) => target.registers[register]!);
    if (size >= 4 || (size === 2 && registers.length === 1)) into(own);
    else if (size === 1 && registers.length === 1)
      emitter.emit(`ld.${space}.${dtype === "i8" ? "s8" : "u8"}`, [own[0]!, from], { guard, access });
    else {
      const pieces = Array.from({ length: count }, () => emitter.register(type === "b32" ? "b32" : "b16"));
      into(pieces);
      spread(emitter, dtype, pieces, own, guard);
    }
    group.copies.forEach((copies, i) => {
      for (const copy of copies)
        emitter.emit(size === 8 ? "mov.b64" : size === 2 ? "mov.b16" : "mov.b32", [target.registers[copy]!, own[i]!]);
    });
  }
}

/** Takes the elements of 1 or 2 bytes out of loaded pieces. */
function spread(
  emitter: Emitter,
  dtype: ElementKind,
  pieces: readonly Register[],
  own: readonly Register[],
  guard: Guard | undefined,
): void {
  if (bytesOf(dtype) === 2) {
    pieces.forEach((piece, i) => {
      emitter.emit("mov.b32", [vector([own[2 * i]!, own[2 * i + 1]!]), piece], { guard });
    });
    return;
  }
  const perPiece = own.length / pieces.length;
  const extract = dtype === "i8" ? "bfe.s32" : "bfe.u32";
  pieces.forEach((piece, i) => {
    let word = piece;
    if (piece.class === "b16") {
      word = emitter.register("b32");
      emitter.emit("cvt.u32.u16", [word, piece], { guard });
    }
    for (let byte = 0; byte < perPiece; byte++)
      emitter.emit(extract, [own[i * perPiece + byte]!, word, 8 * byte, 8], { guard });
  });
}

/** Stores the groups of a tile. */
export function storeGroups(
  emitter: Emitter,
  tile: Tile,
  groups: readonly AccessGroup[],
  owner: Guard | undefined,
  destination: Destination,
  accessGroup = emitter.accessGroup(),
): void {
  const dtype = tile.kind;
  const size = bytesOf(dtype);
  const { space, buffer } = destination;
  const access = accessTo(destination, "write", accessGroup);
  const packed = isHalf(dtype) && tile.packable && movesWords(groups);
  const values = packed ? tile.words(emitter) : tile.elements(emitter);
  for (const group of groups) {
    const guard = guardOf(emitter, group.mask, owner);
    const { count, type } = vectorType(group.registers.length * size, size);
    const own = (packed ? group.registers.filter((_, i) => i % 2 === 0).map((r) => r / 2) : group.registers).map(
      (register) => values[register]!,
    );
    const operands = packed ? own.map((word) => wordRegister(emitter, word)) : gather(emitter, dtype, own);
    const source = count === 1 ? operands[0]! : vector(operands);
    emitter.emit(`st.${space}${vectorSuffix(count)}.${type}`, [addressOf(emitter, group, buffer), source], {
      guard,
      access,
    });
  }
}

const wordRegister = (emitter: Emitter, word: Element): Operand =>
  typeof word === "number" ? emitter.pure("b32", "mov.b32", [word]) : operandOf(emitter, word, "i32");

/** The elements of one access as the registers that it stores. */
function gather(emitter: Emitter, dtype: ElementKind, elements: readonly Element[]): Operand[] {
  const size = bytesOf(dtype);
  if (size >= 4) return elements.map((element) => registerOf(emitter, element, dtype));
  if (size === 2) {
    const halves = elements.map((element) => registerOf(emitter, element, dtype));
    if (halves.length === 1) return halves;
    const words: Operand[] = [];
    for (let i = 0; i < halves.length; i += 2)
      words.push(emitter.op("b32", "mov.b32", vector([halves[i]!, halves[i + 1]!])));
    return words;
  }
  const bytes = elements.map((element) => byteOf(emitter, element, dtype));
  if (bytes.length === 1) return bytes;
  const pairs: Register[] = [];
  for (let i = 0; i < bytes.length; i += 2) pairs.push(emitter.op("b32", "prmt.b32", bytes[i]!, bytes[i + 1]!, 0x0040));
  if (pairs.length === 1) return [emitter.op("b16", "cvt.u16.u32", pairs[0]!)];
  const words: Operand[] = [];
  for (let i = 0; i < pairs.length; i += 2) words.push(emitter.op("b32", "prmt.b32", pairs[i]!, pairs[i + 1]!, 0x5410));
  return words;
}

/** An i8, or a bool as 0 or 1, in the low byte of a register. */
export function byteOf(emitter: Emitter, element: Element, dtype: ElementKind): Register {
  if (dtype !== "bool") return registerOf(emitter, element, dtype);
  if (typeof element === "boolean") return registerOf(emitter, element ? 1 : 0, "i32");
  return emitter.op("b32", "selp.b32", 1, 0, registerOf(emitter, element, "bool"));
}
