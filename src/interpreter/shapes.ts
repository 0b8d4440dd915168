/**
 * @file Values out of nothing (constant, arange, program ids) and the same values in another shape. reshape and expand_dims share
 * memory; broadcast, trans, join and split copy by index maps made while planning.
 */
import { elementCount, shapeOf } from "../ir/index.ts";
import { roundingPass, type TileArray } from "./arrays.ts";
import type { Plan, Step } from "./operation.ts";

/** Strides of a row-major shape. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** For each element of a row-major tile of `shape`, where strides lead. */
function indexMap(shape: readonly number[], strides: readonly number[]): Int32Array {
  const map = new Int32Array(elementCount(shape));
  let block = 1;
  // Built from the last axis outwards: the block of the inner axes repeats, shifted by the axis' stride.
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    for (let i = 1; i < shape[axis]!; i++)
      for (let inner = 0; inner < block; inner++) map[i * block + inner] = map[inner]! + i * strides[axis]!;
    block *= shape[axis]!;
  }
  return map;
}

function gatherFloats(out: Float32Array, x: Float32Array, map: Int32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = x[map[i]!]!;
}
/** For any dtype; the type says Int32Array for the sake of the compiler. */
function gatherAny(out: Int32Array, x: Int32Array, map: Int32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = x[map[i]!]!;
}
function gatherStep(out: TileArray, x: TileArray, map: Int32Array): Step {
  if (out instanceof Float32Array) return () => gatherFloats(out, x as Float32Array, map);
  return () => gatherAny(out as Int32Array, x as Int32Array, map);
}

/** `fill` for any dtype. */
const fill = (out: TileArray, value: number | bigint, from = 0, to = out.length): void => {
  (out as Int32Array).fill(value as number, from, to);
};

export const constant: Plan = ({ operation, result }) => {
  const { value, dtype } = operation.attributes;
  const out = result();
  fill(out, typeof value === "boolean" ? Number(value) : (value as number | bigint));
  roundingPass(dtype as "f16", out)?.();
  return undefined;
};

export const arange: Plan = ({ operation, result }) => {
  const start = operation.attributes.start as number;
  const out = result();
  for (let i = 0; i < out.length; i++) out[i] = start + i;
  return undefined;
};

export const programId: Plan = ({ operation, result, machine }) => {
  const out = result();
  const axis = operation.attributes.axis as number;
  const source = operation.opcode === "program_id" ? machine.program : machine.grid;
  return () => {
    out[0] = source[axis]!;
  };
};

export const splat: Plan = ({ operands, result }) => {
  const [x] = operands;
  const out = result();
  return () => fill(out, x![0]!);
};

export const sameElements: Plan = ({ operands, alias }) => {
  alias(operands[0]!);
  return undefined;
};

export const broadcast: Plan = ({ operation, operands, result, alias }) => {
  const from = shapeOf(operation.operands[0]!.type);
  const shape = operation.attributes.shape as readonly number[];
  const [x] = operands;
  if (elementCount(from) === elementCount(shape)) {
    alias(x!);
    return undefined;
  }
  const out = result();
  const inner = shape.at(-1)!;
  if (from.length === 2 && from[1] === 1 && from[0] === shape[0])
    return () => {
      for (let row = 0; row < x!.length; row++) fill(out, x![row]!, row * inner, (row + 1) * inner);
    };
  const strides = rowMajorStrides(from).map((stride, axis) => (from[axis] === 1 ? 0 : stride));
  return gatherStep(out, x!, indexMap(shape, strides));
};

export const trans: Plan = ({ operation, operands, result }) => {
  const permutation = operation.attributes.permutation as readonly number[];
  const strides = rowMajorStrides(shapeOf(operation.operands[0]!.type));
  const shape = shapeOf(operation.results[0]!.type);
  return gatherStep(
    result(),
    operands[0]!,
    indexMap(
      shape,
      permutation.map((axis) => strides[axis]!),
    ),
  );
};

export const join: Plan = ({ operands, result }) => {
  const [a, b] = operands as Int32Array[];
  const out = result() as Int32Array;
  return () => {
    for (let i = 0; i < a!.length; i++) {
      out[2 * i] = a![i]!;
      out[2 * i + 1] = b![i]!;
    }
  };
};

export const gather: Plan = ({ operation, operands, result, machine }) => {
  const shape = shapeOf(operation.operands[0]!.type);
  const axis = operation.attributes.axis as number;
  const [x, indices] = operands as Int32Array[];
  const out = result() as Int32Array;
  const [extent, count] = [shape[axis]!, shapeOf(operation.operands[1]!.type)[axis]!];
  const inner = elementCount(shape.slice(axis + 1));
  return () => {
    for (let i = 0; i < out.length; i++) {
      const at = indices![i]!;
      if (at < 0 || at >= extent)
        machine.fail("OUT_OF_BOUNDS", operation, i, `takes element ${at} of an axis of ${extent}`);
      const outer = Math.floor(i / (count * inner));
      out[i] = x![(outer * extent + at) * inner + (i % inner)]!;
    }
  };
};

export const histogram: Plan = ({ operands, result }) => {
  const [x] = operands as Int32Array[];
  const out = result() as Int32Array;
  return () => {
    out.fill(0);
    for (const bin of x!) if (bin >= 0 && bin < out.length) out[bin]!++;
  };
};

export const split: Plan = ({ operands, result }) => {
  const x = operands[0] as Int32Array;
  const [a, b] = [result(0) as Int32Array, result(1) as Int32Array];
  return () => {
    for (let i = 0; i < a.length; i++) {
      a[i] = x[2 * i]!;
      b[i] = x[2 * i + 1]!;
    }
  };
};
