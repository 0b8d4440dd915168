/**
 * @file How each operation carries axis information from its operands to its result. Wrap-around: groups that start at a multiple of
 * their size cannot straddle 2^31, and a power of two that divides a sum still divides it modulo 2^32; index arithmetic that overflows
 * within an unaligned run is taken not to happen, since no buffer holds both of its ends.
 */
import {
  type ComparePredicate,
  elementBytes,
  isInteger,
  type Operation,
  ops,
  shapeOf,
  type Value,
} from "../ir/index.ts";
import {
  type AxisInfo,
  axesOf,
  elementDivisibility,
  groupDivisibility,
  infoOf,
  largestDivisor,
  meet,
  powerOfTwoIn,
  unitOf,
  unknownInfo,
} from "./axis-info.ts";
import { integerConstantOf } from "./fold.ts";
import type { Range } from "./ranges.ts";

/** What a transfer function may ask about values. */
export interface AxisContext {
  info(value: Value): AxisInfo;
  range(value: Value): Range | undefined;
}

type Transfer = (operation: Operation, context: AxisContext) => AxisInfo | undefined;

/** The information about the i-th result of an operation without blocks. */
export function transfer(operation: Operation, result: Value, context: AxisContext): AxisInfo {
  return transfers[operation.opcode]?.(operation, context) ?? constancyOnly(operation, result, context);
}

/** Of any elementwise operation: equal operands give equal results. Of others: nothing. */
function constancyOnly(operation: Operation, result: Value, { info }: AxisContext): AxisInfo {
  if (!ops[operation.opcode].elementwise) return unknownInfo(result);
  const operands = operation.operands.map(info);
  return infoOf(axesOf(result), (axis) => [1, 1, Math.min(...operands.map(({ constancy }) => constancy[axis]!))]);
}

const first: Transfer = ({ operands: [x] }, { info }) => info(x!);

/** The same divisor of all elements, along every axis. */
function withElementDivisibility(value: Value, divisibility: number, constancy: (axis: number) => number): AxisInfo {
  return infoOf(axesOf(value), (axis) => [1, divisibility, constancy(axis)]);
}

// --- values and shapes --------------------------------------------------------------------------------------------------------

const constant: Transfer = ({ results: [result] }) => {
  const value = integerConstantOf(result!);
  return withElementDivisibility(
    result!,
    value === undefined ? 1 : powerOfTwoIn(value),
    (axis) => axesOf(result!)[axis]!,
  );
};

const arange: Transfer = ({ attributes, results: [result] }) =>
  infoOf(axesOf(result!), () => [axesOf(result!)[0]!, powerOfTwoIn(attributes.start as number), 1]);

const splat: Transfer = ({ operands: [x], results: [result] }, { info }) =>
  withElementDivisibility(result!, elementDivisibility(info(x!)), (axis) => axesOf(result!)[axis]!);

const broadcast: Transfer = ({ operands: [x], results: [result] }, { info }) => {
  const source = info(x!);
  return infoOf(axesOf(result!), (axis) =>
    axesOf(x!)[axis] === axesOf(result!)[axis]
      ? [source.contiguity[axis]!, source.divisibility[axis]!, source.constancy[axis]!]
      : [1, source.divisibility[axis]!, axesOf(result!)[axis]!],
  );
};

const expandDims: Transfer = ({ operands: [x], attributes, results: [result] }, { info }) => {
  const source = info(x!);
  const inserted = attributes.axis as number;
  const every = elementDivisibility(source, unitOf(x!));
  return infoOf(axesOf(result!), (axis) => {
    if (axis === inserted || shapeOf(x!.type).length === 0) return [1, every, 1];
    const from = axis > inserted ? axis - 1 : axis;
    return [source.contiguity[from]!, source.divisibility[from]!, source.constancy[from]!];
  });
};

/** The last axis is the order of memory: its runs survive as far as both last axes reach. */
const reshape: Transfer = ({ operands: [x], results: [result] }, { info }) => {
  const source = info(x!);
  const unit = unitOf(x!);
  const every = elementDivisibility(source, unit);
  const lastOfSource = source.contiguity.length - 1;
  return infoOf(axesOf(result!), (axis) => {
    if (axis < axesOf(result!).length - 1) return [1, every, 1];
    const extent = axesOf(result!)[axis]!;
    const contiguity = Math.min(source.contiguity[lastOfSource]!, extent);
    const divisibility = groupDivisibility(source, lastOfSource, contiguity, unit);
    return [contiguity, divisibility, Math.min(source.constancy[lastOfSource]!, extent)];
  });
};

const trans: Transfer = ({ operands: [x], attributes, results: [result] }, { info }) => {
  const source = info(x!);
  return infoOf(axesOf(result!), (axis) => {
    const from = (attributes.permutation as number[])[axis]!;
    return [source.contiguity[from]!, source.divisibility[from]!, source.constancy[from]!];
  });
};

const join: Transfer = ({ operands: [a, b], results: [result] }, { info }) => {
  const both = meet(info(a!), info(b!), 1);
  const every = elementDivisibility(both);
  const last = axesOf(result!).length - 1;
  return infoOf(axesOf(result!), (axis) =>
    axis === last
      ? [1, every, a === b ? 2 : 1]
      : [both.contiguity[axis]!, both.divisibility[axis]!, both.constancy[axis]!],
  );
};

const split: Transfer = ({ operands: [x], results: [result] }, { info }) => {
  const source = info(x!);
  return infoOf(axesOf(result!), (axis) =>
    shapeOf(result!.type).length === 0
      ? [1, elementDivisibility(source), 1]
      : [source.contiguity[axis]!, source.divisibility[axis]!, source.constancy[axis]!],
  );
};

const reduce: Transfer = ({ operands: [x], attributes, results: [result] }, { info }) => {
  if (!isInteger(x!.type.dtype)) return undefined;
  const source = info(x!);
  const { kind, axis: reduced } = attributes;
  // Sums, products, extremes and bitwise combinations of multiples are multiples; an index is anything.
  const every = kind === "argmax" || kind === "argmin" ? 1 : elementDivisibility(source);
  const constancy = source.constancy.filter((_, axis) => axis !== reduced);
  return withElementDivisibility(result!, every, (axis) => constancy[axis] ?? 1);
};

// --- arithmetic ---------------------------------------------------------------------------------------------------------------

/** a + b, or a further by b: a run plus a constant is a run. `unit` as in `unitOf` of the result. */
function sum(a: AxisInfo, b: AxisInfo, unit: number, runsOfB: boolean): AxisInfo {
  return infoOf(a.contiguity, (axis) => {
    const contiguity = Math.max(
      Math.min(a.contiguity[axis]!, b.constancy[axis]!),
      runsOfB ? Math.min(a.constancy[axis]!, b.contiguity[axis]!) : 1,
    );
    const divisibility = Math.min(
      groupDivisibility(a, axis, contiguity, unit),
      groupDivisibility(b, axis, contiguity) * unit,
    );
    return [contiguity, divisibility, Math.min(a.constancy[axis]!, b.constancy[axis]!)];
  });
}

const add: Transfer = ({ operands: [a, b], results: [result] }, { info }) =>
  isInteger(result!.type.dtype) ? sum(info(a!), info(b!), 1, true) : undefined;

const sub: Transfer = ({ operands: [a, b], results: [result] }, { info }) =>
  isInteger(result!.type.dtype) ? sum(info(a!), info(b!), 1, false) : undefined;

const addPointer: Transfer = ({ operands: [pointer, offset] }, { info }) =>
  sum(info(pointer!), info(offset!), unitOf(pointer!), true);

const both =
  (divisibility: (a: number, b: number) => number): Transfer =>
  ({ operands: [a, b], results: [result] }, { info }) => {
    if (!isInteger(result!.type.dtype)) return undefined;
    const [left, right] = [info(a!), info(b!)];
    const every = divisibility(elementDivisibility(left), elementDivisibility(right));
    return withElementDivisibility(result!, every, (axis) => Math.min(left.constancy[axis]!, right.constancy[axis]!));
  };

const sameDivisibility: Transfer = ({ operands: [x], results: [result] }, { info }) => {
  if (!isInteger(result!.type.dtype)) return undefined;
  const source = info(x!);
  return withElementDivisibility(result!, elementDivisibility(source), (axis) => source.constancy[axis]!);
};

const multipleOf: Transfer = ({ operands: [x], attributes, results: [result] }, { info }) => {
  const source = info(x!);
  const promised = powerOfTwoIn(attributes.divisor as number);
  return infoOf(axesOf(result!), (axis) => [
    source.contiguity[axis]!,
    Math.max(source.divisibility[axis]!, promised),
    source.constancy[axis]!,
  ]);
};

/** floor(x / divisor): within a group that starts at a multiple of its size, which divides the divisor, there is one quotient. */
function floorDivide(x: Value, divisor: bigint, { info }: AxisContext): AxisInfo {
  const source = info(x);
  const power = powerOfTwoIn(divisor);
  return infoOf(source.contiguity, (axis) => {
    const [contiguity, divisibility] = [source.contiguity[axis]!, source.divisibility[axis]!];
    const constancy = Math.max(source.constancy[axis]!, Math.min(contiguity, divisibility, power));
    const exact = BigInt(power) === divisor && contiguity <= power && divisibility >= power;
    return [1, exact ? divisibility / power : 1, constancy];
  });
}

/** x mod divisor, never negative: within such a group, the remainders run as x does. */
function floorRemainder(x: Value, divisor: bigint, { info }: AxisContext): AxisInfo {
  const source = info(x);
  const power = powerOfTwoIn(divisor);
  return infoOf(source.contiguity, (axis) => {
    const contiguity = Math.min(source.contiguity[axis]!, source.divisibility[axis]!, power);
    return [contiguity, Math.min(groupDivisibility(source, axis, contiguity), power), source.constancy[axis]!];
  });
}

const isNonNegative = (value: Value, { range }: AxisContext): boolean => (range(value)?.low ?? -1n) >= 0n;

const div: Transfer = ({ operands: [a, b] }, context) => {
  const divisor = integerConstantOf(b!);
  return divisor !== undefined && divisor > 0n && isNonNegative(a!, context)
    ? floorDivide(a!, divisor, context)
    : undefined;
};

const rem: Transfer = (operation, context) => {
  const [a, b] = operation.operands;
  const divisor = integerConstantOf(b!);
  if (divisor !== undefined && divisor > 0n && isNonNegative(a!, context)) return floorRemainder(a!, divisor, context);
  return both(Math.min)(operation, context);
};

const shl: Transfer = (operation, context) => {
  const count = integerConstantOf(operation.operands[1]!);
  const scale = count !== undefined && count >= 0n && count < 31n ? 2 ** Number(count) : 1;
  return both((a) => a * scale)(operation, context);
};

const shr: Transfer = ({ operands: [a, b] }, context) => {
  const count = integerConstantOf(b!);
  return count !== undefined && count >= 0n && count < 31n ? floorDivide(a!, 1n << count, context) : undefined;
};

const and: Transfer = (operation, context) => {
  const [a, b] = operation.operands;
  const mask = integerConstantOf(b!);
  if (mask !== undefined && mask > 0n && (mask & (mask + 1n)) === 0n) return floorRemainder(a!, mask + 1n, context);
  const masked = both(Math.max)(operation, context);
  if (!masked || mask === undefined || mask >= 0n || -mask !== BigInt(powerOfTwoIn(mask))) return masked;
  // x & -2^n is floor(x / 2^n) * 2^n: constant where the quotient is.
  const { constancy } = floorDivide(a!, -mask, context);
  return { ...masked, constancy };
};

const cast: Transfer = ({ operands: [x], results: [result] }, { info }) => {
  const [from, to] = [x!.type.dtype, result!.type.dtype];
  if (!isInteger(from) || !isInteger(to)) return undefined;
  const source = info(x!);
  if (elementBytes[to] > elementBytes[from] && from !== "i8") return source;
  // Only runs that start at a multiple of their size do not straddle a point where the narrower type wraps around.
  return infoOf(axesOf(result!), (axis) => {
    const contiguity = to === "i8" ? 1 : Math.min(source.contiguity[axis]!, source.divisibility[axis]!);
    return [contiguity, groupDivisibility(source, axis, contiguity), source.constancy[axis]!];
  });
};

/** run < constant has one answer within a group that starts at a multiple of its size, which divides the constant. */
const compare: Transfer = ({ operands: [a, b], attributes, results: [result] }, { info }) => {
  if (!isInteger(a!.type.dtype)) return undefined;
  const [left, right] = [info(a!), info(b!)];
  const aligned = (run: AxisInfo, bound: AxisInfo, axis: number): number =>
    Math.min(run.contiguity[axis]!, run.divisibility[axis]!, bound.constancy[axis]!, elementDivisibility(bound));
  const predicate = attributes.predicate as ComparePredicate;
  return infoOf(axesOf(result!), (axis) => {
    let constancy = Math.min(left.constancy[axis]!, right.constancy[axis]!);
    if (predicate === "lt" || predicate === "ge") constancy = Math.max(constancy, aligned(left, right, axis));
    if (predicate === "gt" || predicate === "le") constancy = Math.max(constancy, aligned(right, left, axis));
    return [1, 1, constancy];
  });
};

const select: Transfer = ({ operands: [condition, a, b] }, { info }) => {
  const [where, left, right] = [info(condition!), info(a!), info(b!)];
  const unit = unitOf(a!);
  return infoOf(axesOf(a!), (axis) => {
    const constancy = where.constancy[axis]!;
    const contiguity = Math.min(left.contiguity[axis]!, right.contiguity[axis]!, constancy);
    const divisibility = Math.min(
      groupDivisibility(left, axis, contiguity, unit),
      groupDivisibility(right, axis, contiguity, unit),
    );
    return [contiguity, divisibility, Math.min(left.constancy[axis]!, right.constancy[axis]!, constancy)];
  });
};

const transfers: Readonly<Partial<Record<Operation["opcode"], Transfer>>> = {
  constant,
  arange,
  splat,
  broadcast,
  expand_dims: expandDims,
  reshape,
  trans,
  join,
  split,
  convert_layout: first,
  reduce,
  add,
  sub,
  mul: both((a, b) => Math.min(a * b, largestDivisor)),
  div,
  rem,
  shl,
  shr,
  and,
  or: both(Math.min),
  xor: both(Math.min),
  min: both(Math.min),
  max: both(Math.min),
  neg: sameDivisibility,
  abs: sameDivisibility,
  multiple_of: multipleOf,
  cast,
  compare,
  select,
  add_pointer: addPointer,
};
