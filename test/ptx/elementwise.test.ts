/**
 * Every elementwise operation on every dtype that it takes, on edge values and random ones: PTX in the emulator against the interpreter.
 * Everything is bit-exact but what the hardware approximates.
 */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import type { StorageArray } from "../../src/interpreter/index.ts";
import {
  type Attributes,
  type Builder,
  type DType,
  dtypes,
  isFloat,
  type Kernel,
  makeOperation,
  type Opcode,
  ops,
  type Value,
} from "../../src/ir/index.ts";
import { type Element, encode } from "../interpreter/evaluate.ts";
import { loadTile, makeKernel, pointer, storeTile } from "../interpreter/kernels.ts";
import { attributesOf, elementwiseOpcodes } from "../support/elementwise.ts";
import { randomData } from "../support/random-data.ts";
import { sameData } from "../support/random-kernel.ts";
import { runBoth } from "./emulator.ts";
import { assemble, describeWithAssembler } from "./ptxas.ts";

const COUNT = 256;

const edges: Readonly<Record<DType, readonly Element[]>> = {
  bool: [false, true],
  i8: [-128, -1, 0, 1, 7, 127],
  i32: [-(2 ** 31), -7, -1, 0, 1, 31, 65537, 2 ** 31 - 1],
  u32: [0, 1, 7, 31, 65537, 2 ** 31, 2 ** 32 - 1],
  i64: [-(2n ** 63n), -7n, 0n, 1n, 2n ** 32n + 1n, 2n ** 62n + 2n ** 38n + 1n, 2n ** 63n - 1n],
  f16: [-65504, -1.5, -0, 0, 2 ** -24, 0.333251953125, 2, 65504, Number.POSITIVE_INFINITY, Number.NaN],
  bf16: [-3.3895313892515355e38, -1.5, -0, 0, 2 ** -133, 0.333984375, 3, Number.NEGATIVE_INFINITY, Number.NaN],
  f32: [-3e38, -1.5, -0, 0, 2 ** -149, 0.1, 3, 2 ** 31, 2 ** 24 + 2, Number.POSITIVE_INFINITY, Number.NaN].map(
    Math.fround,
  ),
};

/** Edge values first, in an order that differs with the seed, then random ones. */
function operandData(dtype: DType, seed: number): StorageArray {
  const data = randomData(dtype, COUNT, seed, false);
  const list = encode(dtype, edges[dtype]);
  // Each pair of edge values meets in the first operands of seeds 1 and 2.
  const count = Math.min(COUNT, list.length ** 2);
  for (let i = 0; i < count; i++)
    data[i] = list[seed === 1 ? i % list.length : Math.floor(i / list.length) % list.length]!;
  return data;
}

/** Positive divisors and small shift amounts: what an operation is defined for. */
function secondOperand(opcode: Opcode, dtype: DType, data: StorageArray): StorageArray {
  if (isFloat(dtype) || dtype === "bool") return data;
  const copy = data.slice();
  for (let i = 0; i < copy.length; i++) {
    const value = BigInt(copy[i]!);
    const defined =
      opcode === "shl" || opcode === "shr"
        ? value & 7n
        : opcode === "div" || opcode === "rem"
          ? value === 0n || value === -1n
            ? 3n
            : value
          : value;
    copy[i] = dtype === "i64" ? defined : Number(defined);
  }
  return copy;
}

interface Application {
  readonly name: string;
  readonly opcode: Opcode;
  readonly attributes: Attributes;
  readonly result: DType;
}

/** The elementwise operations that take operands of `dtype`, with each way to set their attributes. */
function applications(dtype: DType): Application[] {
  return elementwiseOpcodes.flatMap((opcode) =>
    attributesOf(opcode).flatMap((attributes): Application[] => {
      try {
        const { results } = makeOperation(opcode, operandTypes(opcode, dtype).map(placeholder), attributes);
        const name = [opcode, ...Object.values(attributes)].join(" ");
        return [{ name, opcode, attributes, result: results[0]!.type.dtype }];
      } catch {
        return []; // Not an operation on this dtype.
      }
    }),
  );
}

const operandTypes = (opcode: Opcode, dtype: DType): DType[] =>
  ops[opcode].operands.map((name) => (name === "condition" ? "bool" : dtype));
const placeholder = (dtype: DType): Value => ({
  type: { kind: "tile", dtype, shape: [COUNT] },
  name: undefined,
  definition: undefined,
});

/** One kernel that applies all of them to the same inputs: a pointer for each operand and each result. */
function kernelOf(dtype: DType, list: readonly Application[]): Kernel {
  const outputs = list.map(({ result }, i) => [`out${i}`, pointer(result)] as const);
  const inputs = ["a", "b", "c", "shift", "divisor"].map((name) => [name, pointer(dtype)] as const);
  return makeKernel(
    Object.fromEntries([...inputs, ["condition", pointer("bool")], ...outputs]),
    (b: Builder, p: Record<string, Value>) => {
      const load = (name: string): Value => loadTile(b, p[name]!, [COUNT]);
      list.forEach(({ opcode, attributes }, i) => {
        const names = ops[opcode].operands.map((name, at) =>
          name === "condition" ? name : "abc"[name === "x" ? 0 : at]!,
        );
        if (opcode === "select") names.splice(1, 2, "a", "b");
        if (opcode === "shl" || opcode === "shr") names[1] = "shift";
        if (opcode === "div" || opcode === "rem") names[1] = "divisor";
        storeTile(b, p[`out${i}`]!, b.value(opcode, names.map(load), attributes), [COUNT]);
      });
    },
  );
}

/** Of functions that the hardware approximates: largest error in units of the last place, for results that are not tiny. */
const approximate: Readonly<Record<string, number>> = {
  rsqrt: 2,
  reciprocal: 1,
  exp: 3,
  exp2: 3,
  log: 3,
  log2: 3,
  sin: 3,
  cos: 3,
  tanh: 4,
};

function distance(a: number, b: number): number {
  if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0;
  // Results below the normal range are flushed to zero.
  if (Math.abs(a) < 2 ** -125 && Math.abs(b) < 2 ** -125) return 0;
  return Math.abs(a - b) / 2 ** (Math.floor(Math.log2(Math.max(Math.abs(a), Math.abs(b)))) - 23);
}

describe("elementwise operations in the emulator", () => {
  for (const dtype of dtypes)
    it(dtype, () => {
      const list = applications(dtype);
      const [a, b, c] = [1, 2, 3].map((seed) => operandData(dtype, seed)) as [StorageArray, StorageArray, StorageArray];
      const inputs = {
        a,
        b,
        c,
        shift: secondOperand("shl", dtype, b),
        divisor: secondOperand("div", dtype, b),
        condition: operandData("bool", 2),
      };
      const outputs = list.map(({ result }, i) => [`out${i}`, { data: randomData(result, COUNT, 0, true) }] as const);
      const given = { ...Object.fromEntries(Object.entries(inputs).map(([name, data]) => [name, { data }])) };
      // No contraction: every product and sum rounds as the interpreter's.
      const { expected, actual } = runBoth(
        kernelOf(dtype, list),
        { arguments: { ...given, ...Object.fromEntries(outputs) } },
        { contract: false, checks: { nan: false, arithmetic: false } },
      );
      const wrong = list.flatMap(({ name, opcode, result }, i) => {
        const [want, got] = [expected[`out${i}`]!, actual[`out${i}`]!];
        const limit = dtype === "f32" ? approximate[opcode] : undefined;
        if (limit === undefined)
          return sameData(result, want, got) ? [] : [{ name, ...firstDifference(want, got, inputs) }];
        const errors = Array.from(want as Float32Array, (value, at) => distance(value, got[at] as number));
        const worst = Math.max(...errors);
        return worst <= limit ? [] : [{ name, ulp: worst, ...at(errors.indexOf(worst), want, got, inputs) }];
      });
      expect(wrong).toEqual([]);
      expect(list.length).toBeGreaterThan(10);
    });
});

describeWithAssembler("ptxas", () => {
  for (const dtype of dtypes)
    it(`takes every elementwise operation on ${dtype}`, async () => {
      await assemble(compilePtx(kernelOf(dtype, applications(dtype)), { target: "sm_80" }).source);
    });
});

const at = (index: number, want: StorageArray, got: StorageArray, inputs: Readonly<Record<string, StorageArray>>) => ({
  a: String(inputs.a![index]),
  b: String(inputs.b![index]),
  c: String(inputs.c![index]),
  want: String(want[index]),
  got: String(got[index]),
});

function firstDifference(want: StorageArray, got: StorageArray, inputs: Readonly<Record<string, StorageArray>>) {
  const index = Array.from<unknown>(want as Float32Array).findIndex((value, i) => !Object.is(value, got[i]));
  return at(index, want, got, inputs);
}
