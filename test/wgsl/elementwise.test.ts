/**
 * Every elementwise operation on every dtype that it takes, on special values, as the interpreter does. The operations and dtypes are
 * taken from the op table: a new one is tested without being named here. Inexact functions may differ by what WGSL's accuracy table allows.
 */
import { describe, expect, test } from "vitest";
import {
  type Attributes,
  type Builder,
  type DType,
  dtypes,
  elementBytes,
  isFloat,
  isInteger,
  type Opcode,
  ops,
  type Value,
} from "../../src/ir/index.ts";
import { IrError } from "../../src/support/index.ts";
import { encode } from "../interpreter/evaluate.ts";
import { loadTile, makeKernel, pointer, pointersTo } from "../interpreter/kernels.ts";
import { attributesOf, elementwiseOpcodes } from "../support/elementwise.ts";
import { adapters, expectAgreement } from "./agree.ts";
import { testDevice } from "./devices.ts";

const count = 16;
const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];

/** Elements of `count` tiles' worth; the second operand is of a size that divides and shifts well. */
function inputs(dtype: DType): readonly (readonly (number | bigint | boolean)[])[] {
  if (dtype === "bool") return [0, 1, 2].map((bit) => Array.from({ length: count }, (_, i) => ((i >> bit) & 1) === 1));
  if (isFloat(dtype)) {
    const large = dtype === "f16" ? 60000 : 3e38;
    return [
      [0, 1, -1, 2.5, -3.25, inf, -inf, nan, 0.1, 100, -0.75, large, 7, 1.5, 5.5, -6],
      [3, 2, nan, 4, -2, 1, inf, 1, 0.3, -7, 0.5, large, 7, nan, -4, 0.25],
      [1, -1, 2, 0, 8, 1, 1, 1, 0.7, 0, -16, 1, -49, 3, 0.5, 64],
    ];
  }
  const bits = BigInt(elementBytes[dtype] * 8);
  const [low, high] = dtype === "u32" ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
  const a = [0n, 1n, 2n, low, high, 100n, 77n, 13n, high - 1n, low + 1n, 64n, 3n, high / 3n, low / 5n + 1n, 127n, 12n];
  const b = [1n, 3n, 7n, 2n, 5n, 6n, 4n, 1n, 2n, 3n, 0n, 5n, 3n, 7n, 2n, 6n];
  const c = dtype === "u32" ? a.toReversed() : a.map((x) => ~x);
  return [a, b, c].map((column) => column.map((x) => (dtype === "i64" ? x : Number(x))));
}

interface Case {
  readonly name: string;
  readonly opcode: Opcode;
  readonly attributes: Attributes;
}

const cases: readonly Case[] = elementwiseOpcodes.flatMap((opcode) =>
  attributesOf(opcode).map((attributes) => ({
    name: [opcode, ...Object.values(attributes)].join(" "),
    opcode,
    attributes,
  })),
);

/** Divisors are not 0: what a division by it gives is not defined. */
function operandsOf({ opcode }: Case, dtype: DType, b: Builder, [x, y, z]: readonly Value[]): readonly Value[] {
  const one = (value: Value): Value => b.value("or", [value, b.constant(dtype === "i64" ? 1n : 1, dtype, [count])]);
  if (opcode === "select") return [b.value("compare", [x!, z!], { predicate: "eq" }), x!, y!];
  if ((opcode === "div" || opcode === "rem") && isInteger(dtype)) return [x!, one(y!)];
  // Three odd sevenths and the like: exact quotients, so that truncation has one answer.
  if (opcode === "rem") return [b.value("floor", [z!]), b.constant(4, dtype, [count])];
  return [x!, y!, z!].slice(0, ops[opcode].operands.length);
}

/** Units in the last place of the f32 result, of the result's dtype, that WGSL allows (accuracy of its built-in functions). */
function tolerance({ opcode }: Case, dtype: DType): (expected: number) => number {
  const ulp = (value: number, bits: number): number => Math.abs(value) * 2 ** -bits;
  const own = dtype === "f16" ? 10 : dtype === "bf16" ? 7 : 23;
  switch (opcode) {
    case "exp":
    case "exp2":
      // 3 + 2 |x| units, for |x| up to 100 here.
      return (expected) => 203 * ulp(expected, 23);
    case "log":
    case "log2":
      return (expected) => Math.max(3 * ulp(expected, 23), 2 ** -21);
    case "sin":
    case "cos":
      // Of numbers up to 1: some roundings, and what the reduction leaves.
      return () => 2 ** -22;
    case "sqrt":
    case "rsqrt":
      return (expected) => 5 * ulp(expected, 23);
    case "tanh":
      return () => 2 ** -20;
    case "reciprocal":
      // Of a number beyond 2^126 it is denormal, and may be 0.
      return (expected) => Math.max(2.5 * ulp(expected, 23), 2 ** -126);
    case "div":
      return (expected) => (dtype === "f32" ? 2.5 : 1) * ulp(expected, own);
    case "fma":
      // A product that was rounded on its own, of operands up to 100 x 7, and one rounding of the result.
      return (expected) => 2 ** (10 - own) + ulp(expected, own);
    default:
      return () => 0;
  }
}

/** Denormal f32 may be flushed. */
const skip = (opcode: Opcode, dtype: DType): boolean => opcode === "bitcast" && dtype === "f32";

describe.each(adapters)("%s", (adapter) => {
  for (const dtype of dtypes) {
    const columns = inputs(dtype).map((column) => encode(dtype, column));
    /** By result dtype, so that a few kernels hold all cases. */
    const groups = new Map<DType, { each: Case; limit: (expected: number) => number }[]>();
    for (const each of cases) {
      const result = resultOf(each, dtype);
      if (!result || skip(each.opcode, result)) continue;
      const inexact = tolerance(each, dtype);
      groups.set(result, [...(groups.get(result) ?? []), { each, limit: inexact }]);
    }
    for (const [result, members] of groups)
      test(`${dtype} to ${result}: ${members.map(({ each }) => each.name).join(", ")}`, async () => {
        const device = await testDevice(adapter, "all");
        // Cases with one tolerance share a kernel.
        for (const exact of [true, false]) {
          const chosen = members.filter(({ limit }) => (limit(1) === 0) === exact);
          if (chosen.length === 0) continue;
          const batches = exact ? [chosen] : chosen.map((member) => [member]);
          for (const batch of batches) {
            const kernel = kernelOf(
              batch.map(({ each }) => each),
              dtype,
              result,
            );
            const [x, y, z] = trimmed(batch[0]!.each, dtype, columns);
            const out = encode(result, new Array<number>(count * batch.length).fill(0));
            await expectAgreement(
              device,
              kernel,
              { x: { data: x! }, y: { data: y! }, z: { data: z! }, out: { data: out } },
              {
                tolerance: batch[0]!.limit,
              },
            );
          }
        }
      });
  }
});

/** Inside the domains for which WGSL says how exact a function is. */
function trimmed({ opcode }: Case, dtype: DType, columns: readonly ReturnType<typeof encode>[]): typeof columns {
  if (!isFloat(dtype) || (opcode !== "fma" && opcode !== "exp" && opcode !== "exp2")) return columns;
  const tame = [0, 1, -1, 2.5, -3, 0.5, -0.5, 3, 0.1, 1.75, -0.75, 2, -2, 1.5, 0.25, -2.25];
  return columns.map((_, i) =>
    encode(
      dtype,
      tame.map((value) => value * (opcode === "fma" && i === 2 ? 8 : 1)),
    ),
  );
}

function build(
  b: Builder,
  members: readonly Case[],
  dtype: DType,
  p: Record<string, Value>,
  store: (i: number, value: Value) => void,
): void {
  const tiles = ["x", "y", "z"].map((name) => loadTile(b, p[name]!, [count]));
  for (const [i, each] of members.entries())
    store(i, b.value(each.opcode, operandsOf(each, dtype, b, tiles), each.attributes));
}

function resultOf(each: Case, dtype: DType): DType | undefined {
  let result: DType | undefined;
  try {
    makeKernel({ x: pointer(dtype), y: pointer(dtype), z: pointer(dtype) }, (b, p) =>
      build(b, [each], dtype, p, (_, value) => {
        result = value.type.dtype;
      }),
    );
  } catch (error) {
    if (error instanceof IrError) return undefined; // The operation does not take this dtype.
    throw error;
  }
  return result;
}

const kernelOf = (members: readonly Case[], dtype: DType, result: DType) =>
  makeKernel({ x: pointer(dtype), y: pointer(dtype), z: pointer(dtype), out: pointer(result) }, (b, p) =>
    build(b, members, dtype, p, (i, value) => {
      const start = b.value("add_pointer", [p.out!, b.constant(i * count, "i32")]);
      b.create("store", [pointersTo(b, start, [count]), value]);
    }),
  );

test("the table is covered: every elementwise operation takes some dtype", () => {
  for (const each of cases.filter(({ opcode }) => opcode !== "bitcast"))
    expect(
      dtypes.some((dtype) => resultOf(each, dtype) !== undefined),
      each.name,
    ).toBe(true);
});
