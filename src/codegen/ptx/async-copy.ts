/**
 * @file Copies of a tile from global to shared memory that pass no registers and that the threads do not wait for (cp.async). A thread copies
 * the elements that the tile's layout gives it, in the widest pieces that lie side by side in both memories. What is masked out or lies
 * outside a view becomes 0: the instruction reads fewer bytes than it writes and fills up with zeros.
 */
import { type Operation, shapeOf, type Value } from "../../ir/index.ts";
import type { LinearLayout } from "../../layout/index.ts";
import { bytesOf, groupAccesses } from "./access.ts";
import { boolAnd } from "./bools.ts";
import { boundedElements } from "./bounded-mask.ts";
import { ownerGuard } from "./coordinates.ts";
import {
  divisorOf,
  type Element,
  type ElementKind,
  elementKey,
  isInteger,
  isSum,
  operandOf,
  registerOf,
} from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { address, type Operand, type SharedBuffer } from "./instruction.ts";
import { addIntegers, multiplyIntegers, subtractIntegers } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { type StagedPlace, sharedAddresses } from "./shared.ts";
import { copyWindow, type Motion } from "./views.ts";

/** The narrowest copy that the hardware has, in bytes. */
export const NARROWEST = 4;

/** The elements of a load, one for each register of its layout. */
export interface CopySource {
  readonly kind: ElementKind;
  /** The memory that it lies in (roots.ts). */
  readonly root: string;
  readonly addresses: readonly Element[];
  /** Which elements are copied; the others become 0. */
  readonly masks: readonly Element[] | undefined;
  /** How many elements from this one on exist, where that is known only at run time. */
  readonly remaining: readonly Element[] | undefined;
  /** Of a window that moves (views.ts): where it is, and where it will be in the next turn. */
  readonly origin?: Element;
  readonly next?: Element;
}

/** One instruction: so many bytes from the element in `register` on. */
export interface CopyPiece {
  readonly register: number;
  readonly bytes: number;
}

/** Which form of a load's source is asked for. */
export interface CopyForm {
  /** The registers of its layout; all if missing. */
  readonly registers?: readonly number[];
  readonly motion?: Motion | undefined;
  /** Whether a bound in the mask of a load through pointers becomes a count of elements. */
  readonly bounded?: boolean;
}

/** Whether a load has such a copy at all. */
export const isCopyable = ({ operands: [from], results: [tile] }: Operation): boolean =>
  from!.type.dtype !== "bool" && shapeOf(tile!.type).length === 2;

/** The source of a copyable load whose operands have been lowered; undefined for one that has no copy of this form. */
export function copySource(
  lowering: Lowering,
  load: Operation,
  { registers, motion, bounded = false }: CopyForm = {},
): CopySource | undefined {
  const { emitter } = lowering;
  const [first, ...rest] = load.operands;
  const kind = first!.type.dtype;
  const root = lowering.roots.rootOf(first!);
  if (load.opcode === "view_load") return { kind, root, ...copyWindow(lowering, load, registers, motion) };
  const pick = (list: readonly Element[]) => (registers ? registers.map((register) => list[register]!) : list);
  const elementsOf = (value: Value) => pick(lowering.tile(value).elements(emitter));
  const [mask, other] = rest;
  // Only zeros come for free.
  if (other && elementsOf(other).some((element) => !isZero(element))) return undefined;
  const addresses = elementsOf(first!);
  if (!bounded) return { kind, root, addresses, masks: mask && elementsOf(mask), remaining: undefined };
  const parts = mask && boundedElements(lowering, mask);
  return parts && { kind, root, addresses, masks: parts.masks && pick(parts.masks), remaining: pick(parts.remaining) };
}

const isZero = (element: Element): boolean =>
  isInteger(element)
    ? Number(element) === 0
    : typeof element === "object" && element.kind === "float" && element.bits === 0;

/** The instructions that copy a tile to `memory`: the same in every turn. Undefined where one would be too narrow. */
export function planCopy(
  emitter: Emitter,
  source: CopySource,
  layout: LinearLayout,
  memory: LinearLayout,
): CopyPiece[] | undefined {
  const targets = sharedAddresses(emitter, layout, memory, source.kind);
  const size = bytesOf(source.kind);
  // A register without a copy would keep what was in memory before.
  if (source.masks?.includes(false)) return undefined;
  const pieces: CopyPiece[] = [];
  for (const { registers, copies } of groupAccesses({ ...source, dtype: source.kind }, emitter.target.maxVectorBytes)) {
    // What lies in one place of global memory but several of the tile would be copied to one of these only.
    if (copies.some((list) => list.length > 0)) return undefined;
    // A vector in global memory is one in shared memory too, or several.
    let count = registers.length;
    const chunk = (i: number): readonly number[] => registers.slice(i, i + count);
    const fits = (): boolean =>
      registers.every((_, i) => i % count !== 0 || isOnePiece(source, targets, chunk(i), size));
    while (!fits()) count /= 2;
    if (count * size < NARROWEST) return undefined;
    for (let i = 0; i < registers.length; i += count) pieces.push({ register: registers[i]!, bytes: count * size });
  }
  return pieces;
}

/** Whether the elements of the registers follow each other, from an aligned place and within one row. */
function isOnePiece(
  { remaining }: CopySource,
  targets: readonly Element[],
  registers: readonly number[],
  size: number,
): boolean {
  const first = targets[registers[0]!]!;
  const total = registers.length * size;
  const follows = (list: readonly Element[], step: number): boolean =>
    registers.every((register, i) => isAhead(list[register]!, list[registers[0]!]!, i * step));
  return divisorOf(first) >= total && follows(targets, size) && (!remaining || follows(remaining, -1));
}

/** Whether `element` is `from + distance`. */
function isAhead(element: Element, from: Element, distance: number): boolean {
  const [a, b] = [element, from].map((either) => {
    if (isInteger(either)) return { base: undefined, offset: Number(either) };
    return isSum(either) ? { base: either.base.id, offset: either.offset } : { base: elementKey(either), offset: 0 };
  });
  return a!.base === b!.base && a!.offset - b!.offset === distance;
}

/** A copy of a tile: what to issue, and where it goes. */
export interface Copy {
  readonly pieces: readonly CopyPiece[];
  readonly layout: LinearLayout;
  readonly memory: LinearLayout;
  readonly place: StagedPlace;
}

/** Issues a copy, of zeros where `condition` (alike in all threads) is false. `source` is for the pieces' registers. */
export function issueCopy(
  emitter: Emitter,
  source: CopySource,
  { pieces, layout, memory, place }: Copy,
  condition: Element,
): void {
  const { buffer, group = emitter.accessGroup(), ...origin } = place;
  const registers = pieces.map(({ register }) => register);
  const targets = sharedAddresses(emitter, layout, memory, source.kind, origin, registers);
  const guard = ownerGuard(emitter, layout);
  const access = { kind: "write", place: buffer, group } as const;
  const read = { kind: "read", place: source.root, group } as const;
  pieces.forEach(({ bytes }, i) => {
    const to = addressOf(emitter, targets[i]!, "i32", buffer);
    const from = addressOf(emitter, source.addresses[i]!, "pointer");
    const size = sourceSize(emitter, source, i, bytes, condition);
    // Past the first-level cache, which a tile that is read once would only pollute; only the widest copies can.
    const cache = bytes === 16 ? "cg" : "ca";
    emitter.emit(`cp.async.${cache}.shared.global`, [to, from, bytes, ...(size === undefined ? [] : [size])], {
      guard,
      access,
      source: read,
    });
  });
}

const addressOf = (emitter: Emitter, element: Element, kind: ElementKind, buffer?: SharedBuffer) =>
  isSum(element)
    ? address(element.base, element.offset, buffer)
    : address(registerOf(emitter, element, kind), 0, buffer);

/** The bytes that exist of element `i` and those after it; undefined for all. */
function sourceSize(
  emitter: Emitter,
  source: CopySource,
  i: number,
  bytes: number,
  condition: Element,
): Operand | undefined {
  const remaining = source.remaining?.[i];
  const mask = boolAnd(emitter, condition, source.masks?.[i] ?? true);
  let size: Element = bytes;
  if (remaining !== undefined) {
    const exist = multiplyIntegers(emitter, remaining, bytesOf(source.kind), "i32");
    const some = emitter.pure("b32", "max.s32", [registerOf(emitter, exist, "i32"), 0]);
    size = emitter.pure("b32", "min.s32", [some, bytes]);
  }
  if (mask === false) return 0;
  if (mask !== true)
    size = emitter.pure("b32", "selp.b32", [operandOf(emitter, size, "i32"), 0, registerOf(emitter, mask, "bool")]);
  return size === bytes ? undefined : operandOf(emitter, size, "i32");
}

/** `size - coordinate` for each of the coordinates, from `index` on. */
export const remainingFrom = (
  emitter: Emitter,
  size: Element,
  index: Element,
  coordinates: readonly Element[],
): Element[] =>
  coordinates.map((coordinate) =>
    subtractIntegers(emitter, size, addIntegers(emitter, index, coordinate, "i32"), "i32"),
  );
