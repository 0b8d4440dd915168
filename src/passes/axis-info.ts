/**
 * @file What axis analysis knows of an integer or pointer value, axis by axis, as Triton's AxisInfo: how its elements run along the
 * axis. All numbers are powers of two, so that the greatest common divisor of two is the smaller one.
 */
import type { Value } from "../ir/index.ts";
import { elementBytes, shapeOf } from "../ir/index.ts";

/** A scalar counts as one axis of extent 1. An aligned group of size n is elements k·n to k·n + n - 1 along the axis. */
export interface AxisInfo {
  /** Within aligned groups of this size, each element is one more than the last (of pointers: one element further). */
  readonly contiguity: readonly number[];
  /** Divides the first element of each group of `contiguity` elements; of pointers, in bytes. */
  readonly divisibility: readonly number[];
  /** Within aligned groups of this size, all elements are equal. */
  readonly constancy: readonly number[];
}

/** As large as a divisor is ever claimed to be. */
export const largestDivisor = 2 ** 30;

export const axesOf = (value: Value): readonly number[] => {
  const shape = shapeOf(value.type);
  return shape.length === 0 ? [1] : shape;
};

export const infoOf = (
  extents: readonly number[],
  of: (axis: number) => readonly [contiguity: number, divisibility: number, constancy: number],
): AxisInfo => {
  const each = extents.map((_, axis) => of(axis));
  return {
    contiguity: each.map(([contiguity]) => contiguity),
    divisibility: each.map(([, divisibility]) => Math.min(divisibility, largestDivisor)),
    constancy: each.map(([, , constancy]) => constancy),
  };
};

/** Nothing known. */
export const unknownInfo = (value: Value): AxisInfo => infoOf(axesOf(value), () => [1, 1, 1]);

/** The largest power of two that divides n. */
export function powerOfTwoIn(n: number | bigint): number {
  const bits = BigInt(n);
  const lowest = bits & -bits;
  return lowest === 0n || lowest > BigInt(largestDivisor) ? largestDivisor : Number(lowest);
}

/** In `divisibility`, one element further counts for this much: 1, or the bytes of what a pointer points to. */
export const unitOf = (value: Value): number => (value.type.kind === "pointer" ? elementBytes[value.type.dtype] : 1);

/** Divides every element. */
export function elementDivisibility(info: AxisInfo, unit = 1): number {
  return info.divisibility.reduce(
    (most, divisibility, axis) =>
      Math.max(most, info.contiguity[axis] === 1 ? divisibility : Math.min(divisibility, unit)),
    1,
  );
}

/** Divides the first element of each aligned group of `size` elements along `axis`. */
export function groupDivisibility(info: AxisInfo, axis: number, size: number, unit = 1): number {
  const divisibility = info.divisibility[axis]!;
  const first = size >= info.contiguity[axis]! ? divisibility : Math.min(divisibility, size * unit);
  return Math.max(first, elementDivisibility(info, unit));
}

/** What holds of both. */
export function meet(a: AxisInfo, b: AxisInfo, unit: number): AxisInfo {
  return infoOf(a.contiguity, (axis) => {
    const contiguity = Math.min(a.contiguity[axis]!, b.contiguity[axis]!);
    const divisibility = Math.min(
      groupDivisibility(a, axis, contiguity, unit),
      groupDivisibility(b, axis, contiguity, unit),
    );
    return [contiguity, divisibility, Math.min(a.constancy[axis]!, b.constancy[axis]!)];
  });
}

export const sameInfo = (a: AxisInfo, b: AxisInfo): boolean =>
  a.contiguity.every(
    (contiguity, axis) =>
      contiguity === b.contiguity[axis] &&
      a.divisibility[axis] === b.divisibility[axis] &&
      a.constancy[axis] === b.constancy[axis],
  );
