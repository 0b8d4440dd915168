/**
 * @file reduce and scan. f32 sums and products are accumulated in f64 and each result rounded once, so no back end's order is more
 * accurate; max and min pass over NaN; argmax and argmin give the first index, and 0 if all are NaN.
 *
 * A tile is [outer, extent, inner] around the axis; `start` and `stride` walk one line of it.
 */
import { type DType, type ReduceKind, shapeOf } from "../ir/index.ts";
import type { TileArray } from "./arrays.ts";
import { maximum, minimum } from "./floats.ts";
import { longMaximum, longMinimum } from "./integers.ts";
import type { Plan } from "./operation.ts";

/** Reduces the line x[start], x[start + stride], ... of `extent` numbers. */
type LineReduction = (x: Float32Array, start: number, stride: number, extent: number) => number;

/** Indices of the first extreme: `better(candidate, best)`. */
const firstExtreme =
  (better: (candidate: number, best: number) => boolean): LineReduction =>
  (x, start, stride, extent) => {
    let index = 0;
    for (let i = 1; i < extent; i++) {
      const [value, best] = [x[start + i * stride]!, x[start + index * stride]!];
      if (better(value, best) || (Number.isNaN(best) && !Number.isNaN(value))) index = i;
    }
    return index;
  };

const numberReductions: Readonly<Record<ReduceKind, LineReduction>> = {
  sum(x, start, stride, extent) {
    let sum = 0;
    for (let i = 0, at = start; i < extent; i++, at += stride) sum += x[at]!;
    return sum;
  },
  product(x, start, stride, extent) {
    let product = 1;
    for (let i = 0, at = start; i < extent; i++, at += stride) product *= x[at]!;
    return product;
  },
  max(x, start, stride, extent) {
    let best = x[start]!;
    for (let i = 1, at = start + stride; i < extent; i++, at += stride) {
      const value = x[at]!;
      if (value > best) best = value;
      else if (!(value < best)) best = maximum(best, value); // Equal, or a NaN.
    }
    return best;
  },
  min(x, start, stride, extent) {
    let best = x[start]!;
    for (let i = 1, at = start + stride; i < extent; i++, at += stride) {
      const value = x[at]!;
      if (value < best) best = value;
      else if (!(value > best)) best = minimum(best, value);
    }
    return best;
  },
  and(x, start, stride, extent) {
    let bits = x[start]!;
    for (let i = 1; i < extent; i++) bits &= x[start + i * stride]!;
    return bits;
  },
  or(x, start, stride, extent) {
    let bits = x[start]!;
    for (let i = 1; i < extent; i++) bits |= x[start + i * stride]!;
    return bits;
  },
  xor(x, start, stride, extent) {
    let bits = x[start]!;
    for (let i = 1; i < extent; i++) bits ^= x[start + i * stride]!;
    return bits;
  },
  argmax: firstExtreme((candidate, best) => candidate > best),
  argmin: firstExtreme((candidate, best) => candidate < best),
};

/** A product of integers wraps at every step: in f64 it would lose its low bits. Sums of 2^20 32-bit integers are exact in f64. */
const wrappingProduct: LineReduction = (x, start, stride, extent) => {
  let product = 1;
  for (let i = 0; i < extent; i++) product = Math.imul(product, x[start + i * stride]!);
  return product;
};

const longCombine: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  sum: (a, b) => BigInt.asIntN(64, a + b),
  product: (a, b) => BigInt.asIntN(64, a * b),
  max: longMaximum,
  min: longMinimum,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

function reduceLong(kind: ReduceKind, x: BigInt64Array, start: number, stride: number, extent: number): bigint {
  if (kind === "argmax" || kind === "argmin") {
    let index = 0;
    for (let i = 1; i < extent; i++) {
      const [value, best] = [x[start + i * stride]!, x[start + index * stride]!];
      if (kind === "argmax" ? value > best : value < best) index = i;
    }
    return BigInt(index);
  }
  let total = x[start]!;
  for (let i = 1; i < extent; i++) total = longCombine[kind]!(total, x[start + i * stride]!);
  return total;
}

interface Lines {
  readonly outer: number;
  readonly extent: number;
  readonly inner: number;
}

export function linesOf(shape: readonly number[], axis: number): Lines {
  const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);
  return { outer: product(shape.slice(0, axis)), extent: shape[axis]!, inner: product(shape.slice(axis + 1)) };
}

export const reduce: Plan = ({ operation, operands, result }) => {
  const type = operation.operands[0]!.type;
  const { outer, extent, inner } = linesOf(shapeOf(type), operation.attributes.axis as number);
  const kind = operation.attributes.kind as ReduceKind;
  const [x] = operands;
  const out = result() as TileArray;
  if (x instanceof BigInt64Array) {
    const store: (index: number, value: bigint) => void =
      out instanceof BigInt64Array
        ? (index, value) => {
            out[index] = value;
          }
        : (index, value) => {
            out[index] = Number(value);
          };
    return () => {
      for (let o = 0; o < outer; o++)
        for (let i = 0; i < inner; i++)
          store(o * inner + i, reduceLong(kind, x, o * extent * inner + i, inner, extent));
    };
  }
  const line = kind === "product" && type.dtype !== "f32" ? wrappingProduct : numberReductions[kind];
  const [from, to] = [x as Float32Array, out as Float32Array];
  return () => {
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) to[o * inner + i] = line(from, o * extent * inner + i, inner, extent);
  };
};

/** Combines two numbers of a scan in the precision of the accumulation. */
function scanCombine(kind: string, dtype: DType): (a: number, b: number) => number {
  if (kind === "max") return maximum;
  if (kind === "min") return minimum;
  if (kind === "sum") return (a, b) => a + b;
  return dtype === "f32" ? (a, b) => a * b : Math.imul;
}

export const scan: Plan = ({ operation, operands, result }) => {
  const type = operation.operands[0]!.type;
  const { outer, extent, inner } = linesOf(shapeOf(type), operation.attributes.axis as number);
  const kind = operation.attributes.kind as string;
  const reverse = operation.attributes.reverse as boolean;
  const step = reverse ? -inner : inner;
  const out = result();
  const [x] = operands;
  /** Calls `line` with where each line of the tile starts. */
  const eachLine = (line: (start: number) => void): void => {
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) line((o * extent + (reverse ? extent - 1 : 0)) * inner + i);
  };
  if (x instanceof BigInt64Array) {
    const combine = longCombine[kind]!;
    return () =>
      eachLine((start) => {
        let total = x[start]!;
        out[start] = total;
        for (let i = 1; i < extent; i++) {
          total = combine(total, x[start + i * step]!);
          out[start + i * step] = total;
        }
      });
  }
  const combine = scanCombine(kind, type.dtype);
  const [from, to] = [x as Float32Array, out as Float32Array];
  return () =>
    eachLine((start) => {
      let total = from[start]!;
      to[start] = total;
      for (let i = 1; i < extent; i++) {
        total = combine(total, from[start + i * step]!);
        to[start + i * step] = total;
      }
    });
};
