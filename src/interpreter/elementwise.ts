/**
 * @file Elementwise operations: arithmetic by dtype (loops in `floats.ts` and `integers.ts`), compare, select, pointer arithmetic and
 * the promises about values.
 */
import { type ComparePredicate, type DType, elementBytes, isFloat } from "../ir/index.ts";
import { relations } from "../support/index.ts";
import { roundingPass, type TileArray } from "./arrays.ts";
import { floatBinary, floatFma, floatUnary } from "./floats.ts";
import {
  type Integers,
  integerBinary,
  integerUnary,
  logicalNot,
  longBinary,
  longUnary,
  unsignedShiftRight,
} from "./integers.ts";
import { maxOffset } from "./memory.ts";
import type { OperationContext, Plan, Step } from "./operation.ts";

const inOrder = (first: Step, second: Step | undefined): Step =>
  second
    ? () => {
        first();
        second();
      }
    : first;

function unaryStep(opcode: string, dtype: DType, out: TileArray, x: TileArray): Step {
  if (isFloat(dtype)) {
    const loop = floatUnary[opcode]!;
    return () => loop(out as Float32Array, x as Float32Array);
  }
  if (dtype === "i64") {
    const [to, from, each] = [out as BigInt64Array, x as BigInt64Array, longUnary[opcode]!];
    return () => {
      for (let i = 0; i < to.length; i++) to[i] = each(from[i]!);
    };
  }
  const loop = dtype === "bool" ? logicalNot : integerUnary[opcode]!;
  return () => loop(out as Integers, x as Integers);
}

function binaryStep(opcode: string, dtype: DType, out: TileArray, a: TileArray, b: TileArray): Step {
  if (isFloat(dtype)) {
    const loop = floatBinary[opcode]!;
    return () => loop(out as Float32Array, a as Float32Array, b as Float32Array);
  }
  if (dtype === "i64") {
    const [to, left, right, each] = [out as BigInt64Array, a as BigInt64Array, b as BigInt64Array, longBinary[opcode]!];
    return () => {
      for (let i = 0; i < to.length; i++) to[i] = each(left[i]!, right[i]!);
    };
  }
  const loop = opcode === "shr" && dtype === "u32" ? unsignedShiftRight : integerBinary[opcode]!;
  return () => loop(out as Integers, a as Integers, b as Integers);
}

export const unary: Plan = ({ operation, operands, result }) => {
  const dtype = operation.operands[0]!.type.dtype;
  const out = result();
  return inOrder(unaryStep(operation.opcode, dtype, out, operands[0]!), roundingPass(dtype, out));
};

export const binary: Plan = (context) => {
  const { operation, operands, result } = context;
  const dtype = operation.operands[0]!.type.dtype;
  const out = result();
  const compute = inOrder(
    binaryStep(operation.opcode, dtype, out, operands[0]!, operands[1]!),
    roundingPass(dtype, out),
  );
  const check = checkSecondOperand(context, dtype);
  return check ? inOrder(check, compute) : compute;
};

/** Integer division needs a divisor, a shift an amount in range. */
function checkSecondOperand({ operation, operands, machine }: OperationContext, dtype: DType): Step | undefined {
  if (!machine.checks.arithmetic || isFloat(dtype)) return undefined;
  const [a, b] = operands;
  if (operation.opcode === "div" || operation.opcode === "rem")
    return () => {
      for (let i = 0; i < b!.length; i++)
        if (Number(b![i]) === 0) machine.fail("DIVISION_BY_ZERO", operation, i, `divides ${a![i]} by 0`);
    };
  if (operation.opcode !== "shl" && operation.opcode !== "shr") return undefined;
  const width = elementBytes[dtype] * 8;
  return () => {
    for (let i = 0; i < b!.length; i++)
      if (!(b![i]! >= 0 && b![i]! < width))
        machine.fail("SHIFT_RANGE", operation, i, `shifts a ${dtype} by ${b![i]}; the range is 0 to ${width - 1}`);
  };
}

export const fma: Plan = ({ operation, operands, result }) => {
  const dtype = operation.operands[0]!.type.dtype;
  const [a, b, c] = operands as Float32Array[];
  const out = result() as Float32Array;
  const loop = floatFma(dtype);
  return inOrder(() => loop(out, a!, b!, c!), roundingPass(dtype, out));
};

const compareLoops: Readonly<
  Record<ComparePredicate, (out: Uint8Array, a: Float32Array | Integers, b: Float32Array | Integers) => void>
> = {
  eq(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i] === b[i] ? 1 : 0;
  },
  ne(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i] !== b[i] ? 1 : 0;
  },
  lt(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! < b[i]! ? 1 : 0;
  },
  le(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! <= b[i]! ? 1 : 0;
  },
  gt(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! > b[i]! ? 1 : 0;
  },
  ge(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! >= b[i]! ? 1 : 0;
  },
};
export const compare: Plan = ({ operation, operands, result }) => {
  const predicate = operation.attributes.predicate as ComparePredicate;
  const out = result() as Uint8Array;
  if (operation.operands[0]!.type.dtype === "i64") {
    const [a, b] = operands as BigInt64Array[];
    const holds = relations[predicate];
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = holds(a![i]!, b![i]!) ? 1 : 0;
    };
  }
  const [a, b] = operands as (Float32Array | Integers)[];
  const loop = compareLoops[predicate];
  return () => loop(out, a!, b!);
};

function selectFloats(out: Float32Array, condition: Uint8Array, a: Float32Array, b: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = condition[i] !== 0 ? a[i]! : b[i]!;
}
/** For any dtype; the type says Int32Array for the sake of the compiler. */
function selectAny(out: Int32Array, condition: Uint8Array, a: Int32Array, b: Int32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = condition[i] !== 0 ? a[i]! : b[i]!;
}

export const select: Plan = ({ operands, result }) => {
  const condition = operands[0] as Uint8Array;
  const [, a, b] = operands;
  const out = result();
  if (out instanceof Float32Array) return () => selectFloats(out, condition, a as Float32Array, b as Float32Array);
  return () => selectAny(out as Int32Array, condition, a as Int32Array, b as Int32Array);
};

export const addPointer: Plan = ({ operation, operands, result, machine }) => {
  const addresses = operands[0] as Float64Array;
  const out = result() as Float64Array;
  const offsets = operands[1]!;
  if (offsets instanceof BigInt64Array)
    return () => {
      for (let i = 0; i < out.length; i++) {
        const offset = Number(offsets[i]!);
        if (!(Math.abs(offset) < maxOffset))
          machine.fail("OUT_OF_BOUNDS", operation, i, `moves a pointer by ${offset} elements`);
        out[i] = addresses[i]! + offset;
      }
    };
  const numbers = offsets as Int32Array | Uint32Array;
  return () => {
    for (let i = 0; i < out.length; i++) out[i] = addresses[i]! + numbers[i]!;
  };
};

export const multipleOf: Plan = ({ operation, operands, machine, alias }) => {
  const [x] = operands;
  alias(x!);
  if (!machine.checks.promises) return undefined;
  const divisor = operation.attributes.divisor as number;
  const wide = BigInt(divisor);
  const broken = (value: number | bigint): boolean =>
    typeof value === "bigint" ? value % wide !== 0n : value % divisor !== 0;
  return () => {
    for (let i = 0; i < x!.length; i++)
      if (broken(x![i]!))
        machine.fail("BROKEN_PROMISE", operation, i, `${x![i]} was promised to be a multiple of ${divisor}`);
  };
};
