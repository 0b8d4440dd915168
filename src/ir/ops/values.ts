/**
 * @file Operations that make tiles of nothing, and those that only rearrange elements.
 */
import type { Attributes } from "../ir.ts";
import {
  type DType,
  elementBytes,
  elementCount,
  isInteger,
  shapeOf,
  type TileType,
  tileType,
  typeToString,
  type ValueType,
} from "../types.ts";
import type { OpDefinition } from "./definition.ts";
import { checkShape, fail, sameOperands, tile } from "./rules.ts";

export const valueOperations = {
  constant: {
    summary: "A tile filled with one value. bool: true or false; i64: a bigint; others: a number",
    operands: [],
    attributes: { value: "number", dtype: "dtype", shape: "ints" },
    effect: "none",
    infer(_, { value, dtype, shape }) {
      checkShape(shape as number[]);
      const wanted = dtype === "bool" ? "boolean" : dtype === "i64" ? "bigint" : "number";
      if (typeof value !== wanted) fail("CONSTANT", `a constant of ${dtype} must be a ${wanted}, got ${String(value)}`);
      if (isInteger(dtype as DType)) checkIntegerRange(value as number | bigint, dtype as DType);
      return [tileType(dtype as DType, shape as number[])];
    },
  },
  program_id: {
    summary: "Index of this program along axis 0, 1 or 2 of the grid",
    operands: [],
    attributes: { axis: "int" },
    effect: "none",
    infer: gridAxis,
  },
  num_programs: {
    summary: "Number of programs along axis 0, 1 or 2 of the grid",
    operands: [],
    attributes: { axis: "int" },
    effect: "none",
    infer: gridAxis,
  },
  arange: {
    summary: "The i32 values start, start + 1, ..., end - 1",
    operands: [],
    attributes: { start: "int", end: "int" },
    effect: "none",
    infer(_, { start, end }) {
      const shape = [(end as number) - (start as number)];
      checkShape(shape);
      return [tileType("i32", shape)];
    },
  },

  splat: {
    summary: "A tile filled with a scalar (or pointer)",
    operands: ["x"],
    attributes: { shape: "ints" },
    effect: "none",
    rearranges: true,
    infer([x], { shape }) {
      if (x!.kind === "view" || x!.shape.length > 0)
        fail("TYPE_MISMATCH", `splat takes a scalar, got ${typeToString(x!)}`);
      checkShape(shape as number[]);
      return [{ ...(x as TileType), shape: shape as number[] }];
    },
  },
  broadcast: {
    summary: "Repeats along every axis of extent 1 to reach `shape`; the rank stays",
    operands: ["x"],
    attributes: { shape: "ints" },
    effect: "none",
    rearranges: true,
    infer([x], { shape }) {
      const to = shape as number[];
      const from = shapeOf(x!);
      if (
        x!.kind === "view" ||
        from.length !== to.length ||
        !from.every((extent, i) => extent === to[i] || extent === 1)
      )
        fail("BROADCAST", `${typeToString(x!)} does not broadcast to [${to.join(", ")}]`);
      checkShape(to);
      return [{ ...(x as TileType), shape: to }];
    },
  },
  expand_dims: {
    summary: "Inserts an axis of extent 1 before `axis`",
    operands: ["x"],
    attributes: { axis: "int" },
    effect: "none",
    rearranges: true,
    infer([x], { axis }) {
      const shape = shapeOf(x!);
      const at = axis as number;
      if (x!.kind === "view" || at < 0 || at > shape.length)
        fail("AXIS", `cannot insert axis ${at} into ${typeToString(x!)}`);
      return [{ ...(x as TileType), shape: [...shape.slice(0, at), 1, ...shape.slice(at)] }];
    },
  },
  reshape: {
    summary: "The same elements in row-major order under another shape",
    operands: ["x"],
    attributes: { shape: "ints" },
    effect: "none",
    rearranges: true,
    infer([x], { shape }) {
      const to = shape as number[];
      checkShape(to);
      if (x!.kind === "view" || elementCount(shapeOf(x!)) !== elementCount(to))
        fail("RESHAPE", `${typeToString(x!)} cannot be reshaped to [${to.join(", ")}]`);
      return [{ ...(x as TileType), shape: to }];
    },
  },
  trans: {
    summary: "Permutes axes: axis i of the result is axis permutation[i] of x",
    operands: ["x"],
    attributes: { permutation: "ints" },
    effect: "none",
    rearranges: true,
    infer([x], { permutation }) {
      const order = permutation as number[];
      const shape = shapeOf(x!);
      if (x!.kind === "view" || [...order].sort((a, b) => a - b).join() !== shape.map((_, i) => i).join())
        fail("AXIS", `[${order.join(", ")}] is not a permutation of the axes of ${typeToString(x!)}`);
      return [{ ...(x as TileType), shape: order.map((axis) => shape[axis]!) }];
    },
  },
  join: {
    summary: "Joins two tiles along a new last axis of extent 2",
    operands: ["a", "b"],
    attributes: {},
    effect: "none",
    rearranges: true,
    infer(types) {
      const type = tile(sameOperands(types), "an operand of join");
      return [tileType(type.dtype, [...type.shape, 2])];
    },
  },
  split: {
    summary: "Splits a tile whose last axis has extent 2 into the tiles at index 0 and 1",
    operands: ["x"],
    attributes: {},
    effect: "none",
    rearranges: true,
    infer([x]) {
      const type = tile(x!, "the operand of split");
      if (type.shape.at(-1) !== 2) fail("SPLIT", `split needs a last axis of extent 2, got ${typeToString(type)}`);
      const half = tileType(type.dtype, type.shape.slice(0, -1));
      return [half, half];
    },
  },
  convert_layout: {
    summary:
      "x, held by the threads in another way. Made by layout assignment, which keeps the layouts beside the IR; never by the DSL",
    operands: ["x"],
    attributes: {},
    effect: "none",
    rearranges: true,
    infer: ([x]) => [x!],
  },
} satisfies Record<string, OpDefinition>;

function checkIntegerRange(value: number | bigint, dtype: DType): void {
  const bitsOf = elementBytes[dtype] * 8;
  const [low, high] = dtype === "u32" ? [0n, 1n << 32n] : [-(1n << BigInt(bitsOf - 1)), 1n << BigInt(bitsOf - 1)];
  if (typeof value === "number" && !Number.isInteger(value))
    fail("CONSTANT", `${value} is not an integer, but the constant is ${dtype}`);
  if (BigInt(value) < low! || BigInt(value) >= high!) fail("CONSTANT", `${value} does not fit in ${dtype}`);
}

function gridAxis(_: readonly ValueType[], { axis }: Attributes): readonly ValueType[] {
  if (![0, 1, 2].includes(axis as number)) fail("AXIS", `the grid has axes 0, 1 and 2, not ${axis}`);
  return [tileType("i32")];
}
