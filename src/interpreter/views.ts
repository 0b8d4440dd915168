/**
 * @file Views: [address, sizes..., strides...] in a Float64Array. A window is the tile's extent over the last axes from given indices;
 * it becomes a tile of addresses and a mask of what lies inside the view, and then goes the way of raw pointers.
 */
import { type Operation, shapeOf, type ViewType } from "../ir/index.ts";
import { Access } from "./access.ts";
import type { TileArray } from "./arrays.ts";
import type { Machine } from "./machine.ts";
import type { Plan } from "./operation.ts";
import { clear } from "./pointers.ts";
import { checkStoredNan } from "./results.ts";
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

/** The window of one view_load or view_store: addresses and mask of its elements, made anew for every execution. */
class Window {
  readonly addresses: Float64Array;
  readonly mask: Uint8Array;
  readonly #machine: Machine;
  readonly #operation: Operation;
  readonly #view: Float64Array;
  readonly #indices: readonly Int32Array[];
  readonly #shape: readonly number[];

  constructor(
    machine: Machine,
    operation: Operation,
    view: Float64Array,
    indices: readonly Int32Array[],
    shape: readonly number[],
    length: number,
  ) {
    this.#machine = machine;
    this.#operation = operation;
    this.#view = view;
    this.#indices = indices;
    this.#shape = shape;
    this.addresses = new Float64Array(length);
    this.mask = new Uint8Array(length);
  }

  /** Places the window at the current indices; true when all of it is inside the view. */
  place(): boolean {
    const view = this.#view;
    const shape = this.#shape;
    const rank = this.#indices.length;
    const leading = rank - shape.length;
    let address = view[0]!;
    for (let axis = 0; axis < rank; axis++) {
      const index = this.#indices[axis]![0]!;
      const size = view[1 + axis]!;
      if (axis < leading && !(index >= 0 && index < size)) this.#failIndex(axis, index, size);
      address += index * view[1 + rank + axis]!;
    }
    // From the last axis outwards: the block of the inner axes repeats along each axis, shifted by its stride.
    this.addresses[0] = address;
    this.mask[0] = 1;
    let block = 1;
    let whole = true;
    for (let tileAxis = shape.length - 1; tileAxis >= 0; tileAxis--) {
      const axis = leading + tileAxis;
      const extent = shape[tileAxis]!;
      const start = this.#indices[axis]![0]!;
      const inside = start >= 0 && start + extent <= view[1 + axis]!;
      this.#repeat(block, extent, view[1 + rank + axis]!, start, inside ? Number.POSITIVE_INFINITY : view[1 + axis]!);
      if (!inside) {
        whole = false;
        this.#checkPromise(tileAxis, start, extent, view[1 + axis]!);
      }
      block *= extent;
    }
    return whole;
  }

  /** Writes the block `extent` times, `stride` apart; indices from `start` that are not in [0, size) are masked. */
  #repeat(block: number, extent: number, stride: number, start: number, size: number): void {
    const { addresses, mask } = this;
    for (let i = extent - 1; i >= 0; i--) {
      const inside = start + i >= 0 && start + i < size ? 1 : 0;
      const shift = i * stride;
      const to = i * block;
      for (let inner = 0; inner < block; inner++) {
        addresses[to + inner] = addresses[inner]! + shift;
        mask[to + inner] = mask[inner]! & inside;
      }
    }
  }

  #checkPromise(tileAxis: number, start: number, extent: number, size: number): void {
    if (!this.#machine.checks.promises || !(this.#operation.attributes.inBounds as boolean[])[tileAxis]) return;
    const first = start < 0 ? 0 : Math.max(0, size - start);
    const element = this.#shape.map((_, axis) => (axis === tileAxis ? first : 0));
    const linear = element.reduce((total, index, axis) => total * this.#shape[axis]! + index, 0);
    this.#machine.fail(
      "BROKEN_PROMISE",
      this.#operation,
      linear,
      `tile axis ${tileAxis} was promised to be in bounds, but covers ${start} to ${start + extent - 1} of a view of size ${size}`,
      this.#shape,
    );
  }

  #failIndex(axis: number, index: number, size: number): never {
    const what = `index ${index} along axis ${axis} is outside a view of size ${size}`;
    return this.#machine.fail("OUT_OF_BOUNDS", this.#operation, undefined, what);
  }
}

export const viewLoad: Plan = ({ operation, operands, result, machine }) => {
  const [view, ...indices] = operands as [Float64Array, ...Int32Array[]];
  const out = result();
  const shape = operation.attributes.shape as readonly number[];
  const window = new Window(machine, operation, view, indices, shape, out.length);
  const gather = gatherInto(operation.results[0]!.type.dtype, out);
  const access = new Access(machine, operation, out.length, "reads");
  return () => {
    const whole = window.place();
    if (!whole) clear(out);
    access.forEachRegion(window.addresses, whole ? undefined : window.mask, (region) => {
      access.noteRead(region);
      gather(region.data, access.elements);
    });
  };
};

export const viewStore: Plan = ({ operation, operands, machine }) => {
  const [view, value, ...indices] = operands as [Float64Array, TileArray, ...Int32Array[]];
  const type = operation.operands[1]!.type;
  const window = new Window(machine, operation, view, indices, shapeOf(type), value.length);
  const scatter = scatterFrom(type.dtype, value);
  const access = new Access(machine, operation, value.length, "writes");
  return () => {
    const mask = window.place() ? undefined : window.mask;
    checkStoredNan(machine, operation, value, mask);
    access.forEachRegion(window.addresses, mask, (region) =>
      access.noteWrite(region, () => scatter(region.data, access.elements)),
    );
  };
};
