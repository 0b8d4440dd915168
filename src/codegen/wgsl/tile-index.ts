/**
 * @file Which element of a tile is meant: by the thread's register (`held`: one register index an axis of a distribution) or by
 * coordinates alone (`free`: any element, wherever it lives). Shape operations turn an index of their result into one of their operand.
 */
import { type Operation, shapeOf } from "../../ir/index.ts";
import type { Distribution } from "./distribution.ts";
import { type Expr, joinRuns, literal, takeBits } from "./expression.ts";

/**
 * Where four neighbouring elements are computed side by side: this index is number `offset` of the four that start at `base` along
 * `axis`. Loads use it to fetch the four at once.
 */
export interface Lane {
  readonly axis: number;
  readonly offset: number;
  readonly base: TileIndex;
}

export interface TileIndex {
  /** Undefined for a free index. */
  readonly distribution: Distribution | undefined;
  /** Register indices along each axis, or coordinates. */
  readonly at: readonly Expr[];
  readonly lane?: Lane | undefined;
}

export const heldIndex = (distribution: Distribution, at: readonly Expr[]): TileIndex => ({ distribution, at });
export const freeIndex = (at: readonly Expr[]): TileIndex => ({ distribution: undefined, at });

/** The same index with four lanes along `axis`: `offset` of them is meant. */
export function laneOf(base: TileIndex, axis: number, offset: number): TileIndex {
  const at = base.at.map((index, i) => (i === axis ? index.plus(literal(offset)) : index));
  return { distribution: base.distribution, at, lane: { axis, offset, base } };
}

export const indexKey = ({ distribution, at }: TileIndex): string =>
  `${distribution ? "r" : "c"}[${at.map((index) => index.text).join(", ")}]`;

/**
 * The index of operand `number` that element `index` of the result number `result` of a shape operation is made from. `distribution` is that of the
 * operand.
 */
export function sourceIndex(
  operation: Operation,
  result: number,
  index: TileIndex,
  distribution: Distribution,
): TileIndex {
  const to = index.distribution ? distribution : undefined;
  const moved = (
    map: (at: readonly Expr[]) => readonly Expr[],
    axisOf: (axis: number) => number | undefined,
  ): TileIndex => {
    const { lane } = index;
    const axis = lane && axisOf(lane.axis);
    const plain: TileIndex = { distribution: to, at: map(index.at) };
    if (lane === undefined || axis === undefined) return plain;
    return { ...plain, lane: { axis, offset: lane.offset, base: { distribution: to, at: map(lane.base.at) } } };
  };
  const { attributes, operands, opcode } = operation;
  const shape = shapeOf(operands[0]!.type);
  switch (opcode) {
    case "splat":
      return { distribution: to, at: [] };
    case "broadcast":
      return moved(
        (at) => at.map((expression, axis) => (shape[axis] === 1 ? literal(0) : expression)),
        (axis) => (shape[axis] === 1 ? undefined : axis),
      );
    case "expand_dims": {
      const inserted = attributes.axis as number;
      return moved(
        (at) => at.filter((_, axis) => axis !== inserted),
        (axis) => (axis === inserted ? undefined : axis > inserted ? axis - 1 : axis),
      );
    }
    case "trans": {
      const permutation = attributes.permutation as readonly number[];
      return moved(
        (at) => permutation.map((_, axis) => at[permutation.indexOf(axis)]!),
        (axis) => permutation[axis],
      );
    }
    case "split":
      return moved(
        (at) => [...at, literal(result)],
        (axis) => axis,
      );
    case "join":
      return moved(
        (at) => at.slice(0, -1),
        (axis) => (axis === index.at.length - 1 ? undefined : axis),
      );
    case "reshape": {
      const resultShape = shapeOf(operation.results[0]!.type);
      const last = (axis: number) =>
        axis === resultShape.length - 1 && resultShape.at(-1) === shape.at(-1) ? shape.length - 1 : undefined;
      return moved((at) => reshaped(at, resultShape, index.distribution, shape, to), last);
    }
    default:
      throw new Error(`${opcode} is no shape operation: a bug in Tilewright`);
  }
}

/** Moves the bits of an index from one shape to another with the same row-major order of elements. */
function reshaped(
  at: readonly Expr[],
  fromShape: readonly number[],
  from: Distribution | undefined,
  toShape: readonly number[],
  to: Distribution | undefined,
): readonly Expr[] {
  // For each bit of an element's row-major number: the axis and the bit of that axis' index which hold it.
  const sources = packedBits(fromShape, from);
  const targets = packedBits(toShape, to);
  return toShape.map((_, axis) => {
    let result = literal(0);
    for (let source = 0; source < fromShape.length; source++) {
      const runs = targets.flatMap((target, packed) => {
        const held = sources[packed];
        return target?.axis === axis && held?.axis === source ? [{ from: held.bit, to: target.bit, count: 1 }] : [];
      });
      const bits = sources.filter((held) => held?.axis === source).length;
      result = result.plus(takeBits(at[source]!, bits, joinRuns(runs)));
    }
    return result;
  });
}

function packedBits(
  shape: readonly number[],
  held: Distribution | undefined,
): ({ axis: number; bit: number } | undefined)[] {
  const result: ({ axis: number; bit: number } | undefined)[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const bits = Math.log2(shape[axis]!);
    const inRegisters = held?.registerBits(axis);
    for (let bit = 0; bit < bits; bit++) {
      if (!inRegisters) result.push({ axis, bit });
      else result.push(inRegisters.includes(bit) ? { axis, bit: inRegisters.indexOf(bit) } : undefined);
    }
  }
  return result;
}
