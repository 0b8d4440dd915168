/**
 * A kernel means the same after `optimize`: the interpreter runs both. Constant folding on edge values of every dtype, and random
 * programs. The interpreter and the folding share no code, so each is a check of the other.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Checks, interpret, type StorageArray } from "../../src/interpreter/index.ts";
import {
  type Builder,
  blockParameter,
  comparePredicates,
  type DType,
  dtypes,
  type Kernel,
  makeOperation,
  type Opcode,
  ops,
  tileType,
  type Value,
} from "../../src/ir/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { attributesOf, elementwiseOpcodes } from "../support/elementwise.ts";
import { max64, min64 } from "./cases.ts";
import { decode, type Element, encode } from "./evaluate.ts";
import { i32, makeKernel, pointer } from "./kernels.ts";

const unchecked: Partial<Checks> = { nan: false, arithmetic: false, promises: false };

/** What a kernel with pointer parameters leaves in memory that starts as `memory`. */
function outcome(kernel: Kernel, memory: Readonly<Record<string, StorageArray>>): Record<string, Element[]> {
  const copies = Object.entries(memory).map(([name, data]) => [name, data.slice()] as const);
  const args = Object.fromEntries(copies.map(([name, data]) => [name, { data }]));
  interpret(kernel, { arguments: args, checks: unchecked });
  return Object.fromEntries(copies.map(([name, data], i) => [name, decode(kernel.parameters[i]!.dtype, data)]));
}

const edges: Readonly<Record<DType, readonly Element[]>> = {
  bool: [false, true],
  i8: [-128, -1, 0, 1, 7, 127],
  i32: [-(2 ** 31), -7, -1, 0, 1, 31, 65537, 2 ** 31 - 1],
  u32: [0, 1, 7, 31, 65537, 2 ** 31, 2 ** 32 - 1],
  i64: [min64, -7n, 0n, 1n, 2n ** 32n + 1n, 2n ** 62n + 2n ** 38n + 1n, max64],
  f16: [-65504, -1.5, -0, 0, 2 ** -24, 0.333251953125, 2, 65504, Number.POSITIVE_INFINITY, Number.NaN],
  bf16: [-3.3895313892515355e38, -1.5, -0, 0, 2 ** -133, 0.333984375, 3, Number.NEGATIVE_INFINITY, Number.NaN],
  f32: [-3e38, -1.5, -0, 0, 2 ** -149, 0.1, 3, 2 ** 31, 2 ** 24 + 2, Number.POSITIVE_INFINITY, Number.NaN].map(
    Math.fround,
  ),
};

/** All combinations of edge values as operands of `opcode`, where it takes operands of this dtype. */
function foldable(b: Builder, opcode: Opcode, dtype: DType, emit: (value: Value) => void): void {
  const operandDtypes = ops[opcode].operands.map((name) => (name === "condition" ? "bool" : dtype));
  let columns: readonly (readonly Element[])[] = [[]];
  for (const operand of operandDtypes)
    columns = columns.flatMap((before) => edges[operand].map((value) => [...before, value]));
  for (const attributes of attributesOf(opcode))
    for (const values of columns) {
      const operands = values.map((value, i) => b.constant(value, operandDtypes[i]!));
      try {
        makeOperation(opcode, operands, attributes);
      } catch {
        break; // Not an operation on this dtype.
      }
      // Shifts out of range and divisions by zero have no meaning to keep.
      const last = Number(values.at(-1));
      const integers = dtype.startsWith("i") || dtype === "u32";
      if (integers && (opcode === "div" || opcode === "rem") && last === 0) continue;
      if ((opcode === "shl" || opcode === "shr") && (last < 0 || last > 7)) continue;
      emit(b.value(opcode, operands, attributes));
    }
}

describe.each(dtypes)("constants of %s", (dtype) => {
  it.each(elementwiseOpcodes)("%s gives what folding gives", (opcode) => {
    const results: Value[] = [];
    const parameters = Object.fromEntries(dtypes.map((name) => [name, pointer(name)]));
    const kernel = makeKernel(parameters, (b, p) => {
      foldable(b, opcode, dtype, (value) => {
        results.push(value);
        const address = b.value("add_pointer", [p[value.type.dtype]!, i32(b, results.length)]);
        b.create("store", [address, value]);
      });
    });
    const memory = Object.fromEntries(
      dtypes.map((name) => [name, encode(name, new Array<Element>(results.length + 1).fill(0))]),
    );
    expect(outcome(optimize(kernel), memory)).toEqual(outcome(kernel, memory));
  });
});

/** A random program over i32, f32 and bool tiles of one shape: each entry picks an operation and earlier values. */
type Instruction = readonly [kind: number, a: number, b: number, c: number];
const instruction = fc.tuple(fc.nat(40), fc.nat(30), fc.nat(30), fc.nat(30)) as fc.Arbitrary<Instruction>;
const extent = 4;

interface Pool {
  readonly i32: Value[];
  readonly f32: Value[];
  readonly bool: Value[];
}

function apply(b: Builder, pool: Pool, [kind, x, y, z]: Instruction): void {
  const pick = (dtype: keyof Pool, index: number): Value => pool[dtype][index % pool[dtype].length]!;
  const put = (value: Value): void => {
    pool[value.type.dtype as keyof Pool].push(value);
  };
  const dtype = x % 2 === 0 ? "i32" : "f32";
  const binary = ["add", "sub", "mul", "min", "max"] as const;
  const bitwise = ["and", "or", "xor"] as const;
  const [p, q] = [pick(dtype, y), pick(dtype, z)];
  if (kind < 14) put(b.value(binary[kind % 5]!, [p, q]));
  else if (kind < 18) put(b.value("compare", [p, q], { predicate: comparePredicates[x % 6]! }));
  else if (kind < 22) put(b.value("select", [pick("bool", x), p, q]));
  else if (kind < 24) put(b.value(bitwise[x % 3]!, [pick("i32", y), pick("i32", z)]));
  else if (kind < 26) put(b.value(bitwise[x % 3]!, [pick("bool", y), pick("bool", z)]));
  else if (kind < 28) put(b.value("cast", [p], { dtype: dtype === "i32" ? "f32" : "i32" }));
  else if (kind < 30) put(b.value(kind === 28 ? "neg" : "abs", [p]));
  else if (kind < 32) put(b.constant([0, 1, -1, 2, 3][x % 5]!, kind === 30 ? "i32" : "f32", [extent]));
  else if (kind < 34) {
    const total = b.value("reduce", [p], { axis: 0, kind: ["sum", "max", "min"][z % 3]! });
    put(b.value("splat", [total], { shape: [extent] }));
  } else if (kind < 36) put(b.value("not", [pick("bool", y)]));
  else if (kind < 37) put(b.value("trans", [p], { permutation: [0] }));
  else if (kind < 38) {
    const square = b.value("broadcast", [b.value("expand_dims", [p], { axis: 1 })], { shape: [extent, 2] });
    put(b.value("reduce", [square], { axis: 1, kind: "sum" }));
  } else if (kind < 39) put(b.value("div", [pick("i32", y), b.constant((x % 7) + 1, "i32", [extent])]));
  else put(b.value("rem", [pick("i32", y), b.constant(2 ** (x % 5), "i32", [extent])]));
}

/** Loads, a straight part, a loop over `rounds` that carries one value of each dtype, a branch in it, a straight part, stores. */
function randomKernel(before: readonly Instruction[], inside: readonly Instruction[], rounds: number): Kernel {
  return makeKernel({ x: pointer("i32"), y: pointer("f32"), ints: pointer("i32"), floats: pointer("f32") }, (b, p) => {
    const lanes = b.value("arange", [], { start: 0, end: extent });
    const at = (base: Value) => b.value("add_pointer", [b.value("splat", [base], { shape: [extent] }), lanes]);
    const [x, y] = [b.value("load", [at(p.x)]), b.value("load", [at(p.y)])];
    const pool: Pool = { i32: [x, lanes], f32: [y], bool: [b.value("compare", [x, lanes], { predicate: "lt" })] };
    for (const item of before) apply(b, pool, item);
    const initial = [pool.i32.at(-1)!, pool.f32.at(-1)!];
    const types = [tileType("i32"), ...initial.map(({ type }) => type)];
    const [i, n, f] = types.map((type) => blockParameter(type)) as [Value, Value, Value];
    const body = b.block([i, n, f], () => {
      const inner: Pool = { i32: [...pool.i32, n], f32: [...pool.f32, f], bool: [...pool.bool] };
      inner.i32.push(b.value("splat", [i], { shape: [extent] }));
      const half = Math.ceil(inside.length / 2);
      for (const item of inside.slice(0, half)) apply(b, inner, item);
      const condition = b.value("compare", [i, i32(b, 2)], { predicate: "lt" });
      const arms = [inside.slice(half), []].map((items) =>
        b.block([], () => {
          const arm: Pool = { i32: [...inner.i32], f32: [...inner.f32], bool: [...inner.bool] };
          for (const item of items) apply(b, arm, item);
          b.create("yield", [arm.i32.at(-1)!, arm.f32.at(-1)!]);
        }),
      );
      b.create("yield", [...b.create("if", [condition], {}, { blocks: arms }).results]);
    });
    const loop = b.create("loop", [i32(b, 0), i32(b, rounds), i32(b, 1), ...initial], {}, { blocks: [body] });
    pool.i32.push(loop.results[0]!);
    pool.f32.push(loop.results[1]!);
    for (const [base, values] of [
      [p.ints, pool.i32],
      [p.floats, pool.f32],
    ] as const)
      for (const [row, value] of values.slice(-4).entries())
        b.create("store", [at(b.value("add_pointer", [base, i32(b, row * extent)])), value]);
  });
}

it("random programs mean the same", () => {
  const program = fc.tuple(
    fc.array(instruction, { maxLength: 16 }),
    fc.array(instruction, { maxLength: 12 }),
    fc.nat(4),
  );
  const numbers = fc.tuple(
    fc.array(fc.integer(), { minLength: extent, maxLength: extent }),
    fc.array(fc.float(), { minLength: extent, maxLength: extent }),
  );
  fc.assert(
    fc.property(program, numbers, ([before, inside, rounds], [x, y]) => {
      const kernel = randomKernel(before, inside, rounds);
      const memory = {
        x: Int32Array.from(x),
        y: Float32Array.from(y),
        ints: new Int32Array(4 * extent),
        floats: new Float32Array(4 * extent),
      };
      expect(outcome(optimize(kernel), memory)).toEqual(outcome(kernel, memory));
    }),
    { numRuns: 400, seed: 20240607 },
  );
});
