/**
 * @file Loads and stores of tiles of a tensor view: address arithmetic from strides, bounds from sizes.
 *
 * Addresses are sums of one term for each index and each coordinate of the thread; the terms that vary least are added first, so that
 * a loop adds only what it changes. What differs between a thread's elements is a constant times a stride.
 */
import { elementBytes, type Operation, type Value } from "../../ir/index.ts";
import type { LinearLayout } from "../../layout/index.ts";
import { groupAccesses, loadGroups, loadTarget, movesWords, storeGroups } from "./access.ts";
import { type CopySource, remainingFrom } from "./async-copy.ts";
import { boolAnd } from "./bools.ts";
import { coordinatesAlong, ownerGuard } from "./coordinates.ts";
import { divisorOf, type Element, elementKey, isConstant, isInteger, isSum, operandOf, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { isRegister, type Operand, type Register } from "./instruction.ts";
import { addIntegers, multiplyIntegers, multiplyWide } from "./integers.ts";
import type { Lowering } from "./lowering.ts";
import { bytesToBool, initialise } from "./memory.ts";
import { isHalf, type Tile, type View } from "./tile.ts";

/** A tile-shaped piece of a view. */
interface Window {
  readonly view: View;
  /** i32, one for each axis of the view. */
  readonly indices: readonly Element[];
  readonly shape: readonly number[];
  readonly inBounds: readonly boolean[];
  readonly layout: LinearLayout | undefined;
  /** The registers of the layout that are asked about; all if missing. */
  readonly registers?: readonly number[];
}

/** A window that is elsewhere in the next turn of a loop. */
export interface Motion {
  /** How far it moves, one number for each axis of the view. */
  readonly distances: readonly number[];
  /** A register that has the window's origin already. */
  readonly origin?: Register;
}

export function lowerViewLoad(lowering: Lowering, operation: Operation): Tile {
  const { emitter } = lowering;
  const window = windowOf(lowering, operation, operation.operands.slice(1), operation.results[0]!);
  const { dtype, root } = window.view;
  const addresses = addressesOf(emitter, window);
  const plan = (divisor: number) =>
    groupAccesses({ dtype, addresses, masks: masksOf(emitter, window, divisor) }, emitter.target.maxVectorBytes);
  const destination = { space: "global", root } as const;
  const vectors = vectorVersion(emitter, window, addresses);
  const preferred = plan(vectors?.width ?? 1);
  const packed = isHalf(dtype) && addresses.length % 2 === 0 && movesWords(preferred);
  const target = loadTarget(emitter, dtype, window.layout, addresses.length, packed);
  if (preferred.some(({ mask }) => mask !== undefined && mask !== true))
    initialise(emitter, dtype, target.registers, packed, undefined);
  if (!vectors) loadGroups(emitter, dtype, preferred, target, destination);
  else {
    const narrow = (): void => {
      const groups = plan(1);
      if (!packed) {
        loadGroups(emitter, dtype, groups, target, destination);
        return;
      }
      // Single elements, put together to the words that the vectors would have filled.
      const single = loadTarget(emitter, dtype, window.layout, addresses.length, false);
      initialise(emitter, dtype, single.registers, false, undefined);
      loadGroups(emitter, dtype, groups, single, destination);
      single.tile.words(emitter).forEach((word, i) => {
        emitter.emit("mov.b32", [target.registers[i]!, word as Operand]);
      });
    };
    emitter.push({
      kind: "if",
      label: emitter.label("vectors"),
      condition: { predicate: vectors.condition },
      whenTrue: emitter.block(() => loadGroups(emitter, dtype, preferred, target, destination)),
      whenFalse: emitter.block(narrow),
    });
  }
  return dtype === "bool" ? bytesToBool(emitter, target.tile) : target.tile;
}

export function lowerViewStore(lowering: Lowering, operation: Operation): void {
  const { emitter } = lowering;
  const stored = operation.operands[1]!;
  const window = windowOf(lowering, operation, operation.operands.slice(2), stored);
  const { dtype, root } = window.view;
  const addresses = addressesOf(emitter, window);
  const owner = ownerGuard(emitter, window.layout);
  const tile = lowering.tile(stored);
  const store = (divisor: number): void => {
    const groups = groupAccesses(
      { dtype, addresses, masks: masksOf(emitter, window, divisor) },
      emitter.target.maxVectorBytes,
    );
    storeGroups(emitter, tile, groups, owner, { space: "global", root });
  };
  const vectors = vectorVersion(emitter, window, addresses);
  if (!vectors) {
    store(1);
    return;
  }
  emitter.push({
    kind: "if",
    label: emitter.label("vectors"),
    condition: { predicate: vectors.condition },
    whenTrue: emitter.block(() => store(vectors.width)),
    whenFalse: emitter.block(() => store(1)),
  });
}

function windowOf(lowering: Lowering, operation: Operation, indices: readonly Value[], tile: Value): Window {
  return {
    view: lowering.view(operation.operands[0]!),
    indices: indices.map((index) => lowering.scalar(index)),
    shape: (tile.type as { shape: readonly number[] }).shape,
    inBounds: operation.attributes.inBounds as readonly boolean[],
    layout: lowering.layoutOf(tile),
  };
}

/** What a copy of the window (async-copy.ts) reads for the given registers: bounds along the last axis are counts of elements, so that they need no alignment. */
export function copyWindow(
  lowering: Lowering,
  operation: Operation,
  registers: readonly number[] | undefined,
  motion: Motion | undefined,
): Omit<CopySource, "kind" | "root"> {
  const { emitter } = lowering;
  const all = windowOf(lowering, operation, operation.operands.slice(1), operation.results[0]!);
  const window = registers ? { ...all, registers } : all;
  const { view, indices, inBounds } = window;
  const masks = masksOf(emitter, { ...window, inBounds: [...inBounds.slice(0, -1), true] }, 1);
  const last = coordinatesOf(emitter, window).at(-1)!;
  const remaining = inBounds.at(-1) ? undefined : remainingFrom(emitter, view.sizes.at(-1)!, indices.at(-1)!, last);
  return { ...locate(emitter, window, motion), masks, remaining };
}

/** The coordinates of the thread's elements along each axis of the tile. */
function coordinatesOf(emitter: Emitter, { layout, shape, registers }: Window): (readonly Element[])[] {
  return shape.map((_, axis) => {
    const all = coordinatesAlong(emitter, layout!, axis);
    return registers ? registers.map((register) => all[register]!) : all;
  });
}

const addressesOf = (emitter: Emitter, window: Window): readonly Element[] => locate(emitter, window).addresses;

/**
 * The address of each element; for a window that moves also its origin, in this turn and in the next, where all elements of a thread are at
 * known coordinates from one.
 */
function locate(
  emitter: Emitter,
  window: Window,
  motion?: Motion,
): { readonly addresses: readonly Element[]; readonly origin?: Element; readonly next?: Element } {
  const { view, indices, shape } = window;
  const size = elementBytes[view.dtype];
  const strides = view.strides.map((stride) => multiplyIntegers(emitter, stride, size, "i64"));
  const leading = strides.length - shape.length;
  const uniform = [view.pointer, ...indices.map((index, axis) => multiplyWide(emitter, index, strides[axis]!))];
  const coordinates = coordinatesOf(emitter, window).map((list) => list.map(splitCoordinate));
  // Along an axis whose stride is known only at run time, an element's address is that of the one before plus the distance: this keeps one
  // distance in registers, not one for each element.
  const befores = coordinates.map((list, axis) =>
    isInteger(strides[leading + axis]!)
      ? undefined
      : predecessors([...list.map(({ offset }) => offset), ...(motion ? [motion.distances[leading + axis]!] : [])]),
  );
  const known = new Map<string, Element>();
  const addressAt = (bases: readonly Element[], offsets: readonly number[]): Element => {
    const key = `${bases.map(elementKey).join()}+${offsets.join()}`;
    let address = known.get(key);
    if (address === undefined) {
      const axis = offsets.findIndex((offset, i) => offset !== 0 && befores[i] !== undefined);
      if (axis >= 0) {
        const before = befores[axis]!.get(offsets[axis]!)!;
        const distance = multiplyIntegers(
          emitter,
          view.strides[leading + axis]!,
          size * (offsets[axis]! - before),
          "i64",
        );
        const from = addressAt(
          bases,
          offsets.map((offset, i) => (i === axis ? before : offset)),
        );
        address = addIntegers(emitter, from, distance, "pointer");
      } else {
        const terms = motion?.origin
          ? [motion.origin]
          : [...uniform, ...bases.map((base, i) => multiplyWide(emitter, base, strides[leading + i]!, "u32"))];
        const constant = offsets.reduce((sum, offset, i) => {
          const stride = strides[leading + i]!;
          return offset === 0
            ? sum
            : addIntegers(emitter, sum, multiplyIntegers(emitter, stride, offset, "i64"), "i64");
        }, 0 as Element);
        address = [...byDepth(terms), constant].reduce((total, term) => addIntegers(emitter, total, term, "pointer"));
      }
      known.set(key, address);
    }
    return address;
  };
  const addresses = Array.from({ length: coordinates[0]?.length ?? 1 }, (_, register) =>
    addressAt(
      coordinates.map((list) => list[register]!.base),
      coordinates.map((list) => list[register]!.offset),
    ),
  );
  const bases = coordinates.map((list) => list[0]!.base);
  const oneBase = coordinates.every((list, axis) =>
    list.every(({ base }) => elementKey(base) === elementKey(bases[axis]!)),
  );
  if (!motion || !oneBase) return { addresses };
  const { distances } = motion;
  const ahead = addressAt(bases, distances.slice(leading));
  const next = distances.slice(0, leading).reduce<Element>((total, distance, axis) => {
    const bytes = multiplyIntegers(emitter, strides[axis]!, distance, "i64");
    return addIntegers(emitter, total, bytes, "pointer");
  }, ahead);
  const origin = addressAt(
    bases,
    bases.map(() => 0),
  );
  return { addresses, origin, next };
}

/** The part of a coordinate that is in a register, or 0, and its constant part. */
function splitCoordinate(coordinate: Element): { base: Element; offset: number } {
  if (isInteger(coordinate)) return { base: 0, offset: Number(coordinate) };
  return isSum(coordinate) ? { base: coordinate.base, offset: coordinate.offset } : { base: coordinate, offset: 0 };
}

/** For each of the offsets the next smaller one; 0 for the smallest. */
function predecessors(offsets: readonly number[]): Map<number, number> {
  const sorted = [...new Set([0, ...offsets])].sort((a, b) => a - b);
  return new Map(sorted.slice(1).map((offset, i) => [offset, sorted[i]!]));
}

const depthOf = (element: Element): number =>
  isRegister(element) ? element.depth : isSum(element) ? element.base.depth : 0;
const byDepth = (terms: readonly Element[]): Element[] => [...terms].sort((a, b) => depthOf(a) - depthOf(b));

/**
 * Whether each element lies in the view, or undefined where nothing can lie outside. `divisor` is known to divide the last size and
 * index: then the elements of one vector are all inside or all outside.
 */
function masksOf(emitter: Emitter, window: Window, divisor: number): Element[] | undefined {
  const { view, indices, shape, inBounds } = window;
  if (inBounds.every(Boolean)) return undefined;
  const leading = view.sizes.length - shape.length;
  const perAxis = coordinatesOf(emitter, window).map((coordinates, axis) => {
    if (inBounds[axis]) return undefined;
    const size = view.sizes[leading + axis]!;
    const unit = axis === shape.length - 1 ? Math.max(divisor, divisorOf(size)) : divisorOf(size);
    const known = new Map<string | number, Element>();
    return coordinates.map((coordinate) => {
      const at = addIntegers(emitter, indices[leading + axis]!, coordinate, "i32");
      const lowered = lowerToMultiple(at, unit);
      const key = elementKey(lowered);
      let inside = known.get(key);
      if (inside === undefined) {
        // Unsigned, so that a negative index is outside too.
        inside = emitter.pure("pred", "setp.lt.u32", [
          registerOf(emitter, lowered, "i32"),
          operandOf(emitter, size, "i32"),
        ]);
        known.set(key, inside);
      }
      return inside;
    });
  });
  const count = coordinatesOf(emitter, window)[0]?.length ?? 1;
  return Array.from({ length: count }, (_, register) =>
    perAxis.reduce<Element>((mask, list) => (list ? boolAnd(emitter, mask, list[register]!) : mask), true),
  );
}

function lowerToMultiple(element: Element, unit: number): Element {
  if (isInteger(element)) return Number(element) - (((Number(element) % unit) + unit) % unit);
  if (!isSum(element)) return element;
  const power = Math.min(unit, element.base.divisor);
  const offset = element.offset - (((element.offset % power) + power) % power);
  return offset === 0 ? element.base : { ...element, offset };
}

/**
 * A tile whose last axis is checked against a size that is known only at run time: two versions, one with vectors for sizes that are a
 * multiple of the vector (as a head dimension or an aligned row is), one for all others. Undefined where vectors gain nothing.
 */
function vectorVersion(
  emitter: Emitter,
  window: Window,
  addresses: readonly Element[],
): { condition: Register; width: number } | undefined {
  const { view, indices, shape, inBounds, layout } = window;
  const axis = shape.length - 1;
  if (!layout || inBounds[axis]) return undefined;
  const size = view.sizes.at(-1)!;
  const index = indices.at(-1)!;
  const widest = groupAccesses({ dtype: view.dtype, addresses, masks: undefined }, emitter.target.maxVectorBytes);
  const width = Math.min(Math.max(...widest.map(({ registers }) => registers.length)), divisorOf(index));
  if (width === 1 || divisorOf(size) >= width || isConstant(size)) return undefined;
  const rest = emitter.pure("b32", "and.b32", [registerOf(emitter, size, "i32"), width - 1]);
  return { condition: emitter.pure("pred", "setp.eq.s32", [rest, 0]), width };
}
