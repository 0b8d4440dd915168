/**
 * @file Loads, stores and atomics through tiles of pointers.
 */
import { type AtomicKind, type DType, elementBytes, type Operation, shapeOf } from "../../ir/index.ts";
import { groupAccesses, guardOf, loadGroups, loadTarget, movesWords, storeGroups } from "./access.ts";
import { ALL_MEMORY } from "./barriers.ts";
import { ownerGuard } from "./coordinates.ts";
import {
  type Element,
  type ElementKind,
  isInteger,
  isSum,
  moveType,
  operandOf,
  registerClassOf,
  registerOf,
} from "./element.ts";
import { mapElements } from "./elementwise.ts";
import type { Emitter } from "./emitter.ts";
import { address, type Register } from "./instruction.ts";
import { addIntegers, multiplyIntegers, multiplyWide, widen } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { distribute } from "./shared.ts";
import { isHalf, Tile } from "./tile.ts";

/** `pointer + offset` elements. The constant part of an i32 offset goes around the extension to 64 bits: an address never wraps. */
export function lowerAddPointer(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const [pointer, offset] = operation.operands.map((value) => lowering.tile(value));
  const size = elementBytes[operation.operands[0]!.type.dtype];
  const kind = offset!.kind as "i32" | "u32" | "i64";
  const elements = mapElements(
    emitter,
    [pointer!.elements(emitter), offset!.elements(emitter)],
    (_, [from, distance]) => addIntegers(emitter, from!, scaledOffset(emitter, distance!, kind, size), "pointer"),
  );
  return Tile.ofElements("pointer", pointer!.layout, elements);
}

function scaledOffset(emitter: Emitter, offset: Element, kind: "i32" | "u32" | "i64", size: number): Element {
  if (isInteger(offset) || kind === "i64") return multiplyIntegers(emitter, offset, size, "i64");
  if (kind === "u32") return multiplyIntegers(emitter, widen(emitter, offset, "u32"), size, "i64");
  if (!isSum(offset)) return multiplyWide(emitter, offset, size);
  return addIntegers(emitter, multiplyWide(emitter, offset.base, size), offset.offset * size, "i64");
}

export function lowerLoad(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const [pointer, mask, other] = operation.operands.map((value) => lowering.tile(value));
  const dtype = operation.operands[0]!.type.dtype;
  const addresses = pointer!.elements(emitter);
  const masks = mask?.elements(emitter);
  const layout = lowering.layoutOf(operation.results[0]!);
  const groups = groupAccesses({ dtype, addresses, masks }, emitter.target.maxVectorBytes);
  const packed = isHalf(dtype) && addresses.length % 2 === 0 && movesWords(groups) && covers(groups, addresses.length);
  const target = loadTarget(emitter, dtype, layout, addresses.length, packed);
  if (masks?.some((element) => element !== true)) initialise(emitter, dtype, target.registers, packed, other);
  const root = lowering.roots.rootOf(operation.operands[0]!);
  loadGroups(emitter, dtype, groups, target, { space: "global", root });
  return dtype === "bool" ? bytesToBool(emitter, target.tile) : target.tile;
}

const covers = (groups: readonly { registers: readonly number[] }[], count: number): boolean =>
  groups.reduce((total, { registers }) => total + registers.length, 0) === count;

/** What masked-out elements are: `other`, or 0. */
export function initialise(
  emitter: Emitter,
  dtype: DType,
  registers: readonly Register[],
  packed: boolean,
  other: Tile | undefined,
): void {
  const values = packed ? other?.words(emitter) : other?.elements(emitter);
  const kind: ElementKind = packed || dtype === "bool" ? "i32" : dtype;
  registers.forEach((register, i) => {
    const value = values?.[i] ?? (kind === "f32" || isHalf(kind) ? ({ kind: "float", bits: 0 } as const) : 0);
    const type = moveType[register.class];
    if (dtype === "bool" && typeof value !== "number")
      emitter.emit("selp.b32", [register, 1, 0, registerOf(emitter, value, "bool")]);
    else emitter.emit(`mov.${type}`, [register, operandOf(emitter, value, kind)]);
  });
}

/** Bytes held in 32-bit registers as predicates. */
export const bytesToBool = (emitter: Emitter, tile: Tile): Tile =>
  Tile.ofElements(
    "bool",
    tile.layout,
    tile.elements(emitter).map((byte) => emitter.op("pred", "setp.ne.s32", byte as Register, 0)),
  );

export function lowerStore(lowering: Lowering, operation: Operation): void {
  const { emitter } = lowering;
  const [pointer, value, mask] = operation.operands.map((operand) => lowering.tile(operand));
  const request = {
    dtype: operation.operands[0]!.type.dtype,
    addresses: pointer!.elements(emitter),
    masks: mask?.elements(emitter),
  };
  const groups = groupAccesses(request, emitter.target.maxVectorBytes);
  const owner = ownerGuard(emitter, pointer!.layout);
  const root = lowering.roots.rootOf(operation.operands[0]!);
  storeGroups(emitter, value!, groups, owner, { space: "global", root });
}

/** Which atomic operation, on which type. */
function atomicType(kind: AtomicKind | "cas", dtype: DType): string {
  if (kind === "exchange") return "exch.b32";
  if (kind === "cas" || kind === "and" || kind === "or" || kind === "xor") return `${kind}.b32`;
  if (kind === "add") return `add.${dtype === "f32" ? "f32" : "u32"}`;
  return `${kind}.${dtype === "i32" ? "s32" : "u32"}`;
}

/**
 * atomic_rmw and atomic_cas. Each element is done by one thread; the old values then go to all that hold copies. A scalar
 * atomic is how programs wait for each other, so it orders all memory accesses (acquire and release); a tile of them orders nothing.
 */
export function lowerAtomic(lowering: Lowering, operation: Operation): Tile[] {
  const { emitter } = lowering;
  const { opcode, operands, results } = operation;
  const dtype = operands[0]!.type.dtype;
  const [pointer, ...others] = operands.map((value) => lowering.tile(value));
  const isCas = opcode === "atomic_cas";
  const values = (isCas ? others : others.slice(0, 1)).map((tile) => tile.elements(emitter));
  const masks = isCas ? undefined : others[1]?.elements(emitter);
  const layout = pointer!.layout;
  const owner = ownerGuard(emitter, layout);
  const used = lowering.isUsed(results[0]!);
  const scalar = shapeOf(operands[0]!.type).length === 0;
  const place = scalar ? ALL_MEMORY : lowering.roots.rootOf(operands[0]!);
  const order = scalar ? ".acq_rel.gpu" : ".relaxed.gpu";
  const type = atomicType(isCas ? "cas" : (operation.attributes.kind as AtomicKind), dtype);
  const commutes = !used && !scalar && type !== "exch.b32" && !isCas;
  const access = { kind: "write", place, group: emitter.accessGroup(), ...(commutes && { commutes: type }) } as const;

  const old = pointer!.elements(emitter).map((at, register): Element => {
    const mask = masks?.[register];
    const from = isSum(at) ? address(at.base, at.offset) : address(registerOf(emitter, at, "pointer"));
    const sources = values.map((list) => registerOf(emitter, list[register]!, dtype));
    const guard = mask === false ? undefined : guardOf(emitter, mask, owner);
    if (mask === false) return 0;
    // `red` knows no order but relaxed, and no exchange.
    if (commutes) {
      emitter.emit(`red${order}.global.${type}`, [from, ...sources], { guard, access });
      return 0;
    }
    const result = emitter.register(registerClassOf[dtype]);
    if (guard)
      emitter.emit(`mov.${moveType[result.class]}`, [result, dtype === "f32" ? { kind: "float", bits: 0 } : 0]);
    emitter.emit(`atom${order}.global.${type}`, [result, from, ...sources], { guard, access });
    return result;
  });
  if (!used) return [];
  const tile = Tile.ofElements(
    dtype,
    layout,
    old.map((element) => (element === 0 && dtype === "f32" ? { kind: "float", bits: 0 } : element)),
  );
  return [owner ? distribute(emitter, tile) : tile];
}
