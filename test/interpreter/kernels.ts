/** Kernels built with the Builder for the interpreter's tests, and a short way to run one. */
import { type Arguments, type Checks, type Execution, interpret } from "../../src/interpreter/index.ts";
import {
  Builder,
  blockParameter,
  type DType,
  type Kernel,
  type KernelParameter,
  pointerType,
  tileType,
  type Value,
  viewType,
} from "../../src/ir/index.ts";

type Parameter = Pick<KernelParameter, "kind" | "dtype"> & Partial<KernelParameter>;
export const pointer = (dtype: DType): Parameter => ({ kind: "pointer", dtype });
export const tensor = (dtype: DType, rank: number): Parameter => ({ kind: "tensor", dtype, rank });
export const scalar = (dtype: DType): Parameter => ({ kind: "scalar", dtype });

const valueTypeOf = ({ kind, dtype, rank = 0 }: Parameter) =>
  kind === "pointer" ? pointerType(dtype) : kind === "scalar" ? tileType(dtype) : viewType(dtype, rank);

/** A kernel named "test" of these parameters. */
export function makeKernel<P extends Record<string, Parameter>>(
  parameters: P,
  body: (b: Builder, p: Record<keyof P, Value>) => void,
  grid: Kernel["grid"] = ["1", "1", "1"],
): Kernel {
  const builder = new Builder();
  const entries = Object.entries(parameters);
  const values = entries.map(([name, parameter]) => blockParameter(valueTypeOf(parameter), name));
  body(builder, Object.fromEntries(entries.map(([name], i) => [name, values[i]!])) as Record<keyof P, Value>);
  return {
    name: "test",
    parameters: entries.map(([name, parameter]) => ({ rank: 0, facts: {}, name, ...parameter })),
    body: builder.finish(values),
    constants: {},
    grid,
    hints: {},
  };
}

/** The pointers `base`, `base + 1`, ... in row-major order of `shape`. */
export function pointersTo(b: Builder, base: Value, shape: readonly number[]): Value {
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (shape.length === 0) return base;
  const flat = b.value("add_pointer", [
    b.value("splat", [base], { shape: [count] }),
    b.value("arange", [], { start: 0, end: count }),
  ]);
  return shape.length === 1 ? flat : b.value("reshape", [flat], { shape });
}

export const loadTile = (b: Builder, base: Value, shape: readonly number[]): Value =>
  b.value("load", [pointersTo(b, base, shape)]);
export const storeTile = (b: Builder, base: Value, value: Value, shape: readonly number[]): void => {
  b.create("store", [pointersTo(b, base, shape), value]);
};

export const i32 = (b: Builder, value: number): Value => b.constant(value, "i32");

export function run(kernel: Kernel, args: Arguments, checks: Partial<Checks> = {}): Execution {
  return interpret(kernel, { arguments: args, checks });
}
