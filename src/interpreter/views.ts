/**
 * @file Views: [address, sizes..., strides...] in a Float64Array. A window is the tile's extent over the last axes from given indices.
 * Bounds are checked at its corners.
 */
import { type Operation, shapeOf, type ViewType } from "../ir/index.ts";
import { Access } from "./access.ts";
import type { TileArray } from "./arrays.ts";
import type { Machine } from "./machine.ts";
import { type Region, regionIndex } from "./memory.ts";
import type { Plan } from "./operation.ts";
import { clear } from "./pointers.ts";
import { checkStoredNan } from "./results.ts";
import { rowMajorStrides } from "./shapes.ts";
import { gatherInto, scatterFrom } from "./transfers.ts";

export const makeView: Plan = ({ operands, result }) => {
  const out = result();
  return () => {
    for (let i = 0; i < operands.length; i++) out[i] = Number(operands[i]![0]!);
  };
};

export const viewPointer: Plan = ({ operands, result }) => {
  const out = result();
  return () => {
    out[0] = operands[0]![0]!;
  };
};

export const viewSize: Plan = ({ operation, operands, result }) => {
  const out = result();
  const at = 1 + (operation.attributes.axis as number);
  return () => {
    out[0] = operands[0]![at]!;
  };
};

export const viewStride: Plan = ({ operation, operands, result }) => {
  const out = result();
  const { rank } = operation.operands[0]!.type as ViewType;
  const at = 1 + rank + (operation.attributes.axis as number);
  return () => {
    out[0] = BigInt(operands[0]![at]! as number);
  };
};

/**
 * The window of one view_load or view_store. Placing it sets `elements` of its access: the index of each tile element in the region's
 * array, NaN where it is outside the view.
 */
class Window {
  readonly #access: Access;
  readonly #machine: Machine;
  readonly #operation: Operation;
  readonly #view: Float64Array;
  readonly #indices: readonly Int32Array[];
  readonly #shape: readonly number[];
  /** Axes of the view before those of the tile. */
  readonly #leading: number;

  constructor(
    access: Access,
    machine: Machine,
    operation: Operation,
    view: Float64Array,
    indices: readonly Int32Array[],
    shape: readonly number[],
  ) {
    this.#access = access;
    this.#machine = machine;
    this.#operation = operation;
    this.#view = view;
    this.#indices = indices;
    this.#shape = shape;
    this.#leading = indices.length - shape.length;
  }

  /** Places the window at the current indices. Gives the region that it lies in; undefined when all of it is outside the view. */
  place(): Region | undefined {
    const view = this.#view;
    const rank = this.#indices.length;
    let start = view[0]!;
    // Addresses of the first and last elements that are inside the view.
    let lowest = start;
    let highest = start;
    let empty = false;
    for (let axis = 0; axis < rank; axis++) {
      const index = this.#indices[axis]![0]!;
      const size = view[1 + axis]!;
      const stride = view[1 + rank + axis]!;
      const tileAxis = axis - this.#leading;
      const extent = tileAxis < 0 ? 1 : this.#shape[tileAxis]!;
      if (index < 0 || index + extent > size) this.#checkOverhang(axis, index, extent, size);
      const first = Math.max(index, 0);
      const last = Math.min(index + extent, size) - 1;
      if (last < first) empty = true;
      start += index * stride;
      lowest += Math.min(first * stride, last * stride);
      highest += Math.max(first * stride, last * stride);
    }
    if (empty) return undefined;
    const region = this.#machine.regions[regionIndex(lowest)];
    if (!region || lowest - region.base < region.low || highest - region.base >= region.high)
      return this.#failBounds(start);
    this.#fill(start - region.base);
    return region;
  }

  /** Sets `elements`, given the one of the tile's first element: from the last axis outwards, the inner axes' block repeats. */
  #fill(start: number): void {
    const { elements } = this.#access;
    const [view, rank] = [this.#view, this.#indices.length];
    elements[0] = start;
    let block = 1;
    for (let axis = rank - 1; axis >= this.#leading; axis--) {
      const extent = this.#shape[axis - this.#leading]!;
      const index = this.#indices[axis]![0]!;
      const [size, stride] = [view[1 + axis]!, view[1 + rank + axis]!];
      for (let i = extent - 1; i >= 0; i--) {
        const inside = index + i >= 0 && index + i < size;
        repeat(elements, block, i * block, inside ? i * stride : Number.NaN);
      }
      block *= extent;
    }
  }

  /** The window reaches outside the view along an axis: is that allowed? */
  #checkOverhang(axis: number, index: number, extent: number, size: number): void {
    const tileAxis = axis - this.#leading;
    if (tileAxis < 0) {
      const what = `index ${index} along axis ${axis} is outside a view of size ${size}`;
      this.#machine.fail("OUT_OF_BOUNDS", this.#operation, undefined, what);
    }
    if (!this.#machine.checks.promises || !(this.#operation.attributes.inBounds as boolean[])[tileAxis]) return;
    const outside = index < 0 ? 0 : Math.max(0, size - index);
    this.#access.fail(
      "BROKEN_PROMISE",
      outside * rowMajorStrides(this.#shape)[tileAxis]!,
      `tile axis ${tileAxis} was promised to be in bounds, but covers ${index} to ${index + extent - 1} of a view of size ${size}`,
    );
  }

  /** The view reaches outside its memory: finds the first element that does. */
  #failBounds(start: number): never {
    this.#fill(start);
    const addresses = this.#access.elements;
    const element = addresses.findIndex(
      (address) => !Number.isNaN(address) && this.#access.problem(address) !== undefined,
    );
    return this.#access.fail("OUT_OF_BOUNDS", element, this.#access.problem(addresses[element]!)!);
  }
}

/** values[to + i] = values[i] + shift for the first `block` values. */
function repeat(values: Float64Array, block: number, to: number, shift: number): void {
  for (let i = 0; i < block; i++) values[to + i] = values[i]! + shift;
}

export const viewLoad: Plan = ({ operation, operands, result, machine }) => {
  const [view, ...indices] = operands as [Float64Array, ...Int32Array[]];
  const out = result();
  const access = new Access(machine, operation, out.length, "reads");
  const window = new Window(access, machine, operation, view, indices, operation.attributes.shape as readonly number[]);
  const gather = gatherInto(operation.results[0]!.type.dtype, out);
  return () => {
    clear(out);
    const region = window.place();
    if (!region) return;
    access.noteRead(region);
    gather(region.data, access.elements);
  };
};

export const viewStore: Plan = ({ operation, operands, machine }) => {
  const [view, value, ...indices] = operands as [Float64Array, TileArray, ...Int32Array[]];
  const type = operation.operands[1]!.type;
  const access = new Access(machine, operation, value.length, "writes");
  const window = new Window(access, machine, operation, view, indices, shapeOf(type));
  const scatter = scatterFrom(type.dtype, value);
  return () => {
    const region = window.place();
    if (!region) return;
    checkStoredNan(machine, operation, value, access.elements);
    access.noteWrite(region, () => scatter(region.data, access.elements));
  };
};
