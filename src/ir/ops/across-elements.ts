/**
 * @file Operations whose elements depend on many elements of the operands.
 */
import { isFloat, sameShape, sameType, tileType, typeToString } from "../types.ts";
import { dotPrecisions, dotResult, type OpDefinition, type ReduceKind, reduceKinds, scanKinds } from "./definition.ts";
import { axisOf, bits, checkShape, fail, requireDtype, show, tile, wide, withoutAxis } from "./rules.ts";

export const acrossElements = {
  dot: {
    summary: "accumulator + a·b: [M, K] and [K, N] of one float dtype, in f32; or of i8, in i32, which wraps",
    operands: ["a", "b", "accumulator"],
    attributes: { precision: dotPrecisions },
    effect: "none",
    infer([a, b, c]) {
      const [left, right] = [tile(a!, "a"), tile(b!, "b")];
      if (left.shape.length !== 2 || right.shape.length !== 2 || left.shape[1] !== right.shape[0])
        fail("DOT_SHAPE", `dot needs [M, K] and [K, N], got ${show([left, right])}`);
      if (left.dtype !== right.dtype || !(isFloat(left.dtype) || left.dtype === "i8"))
        fail("DTYPE", `dot needs two tiles of one float dtype, or of i8, got ${show([left, right])}`);
      const result = tileType(dotResult(left.dtype), [left.shape[0]!, right.shape[1]!]);
      if (!sameType(c!, result))
        fail("TYPE_MISMATCH", `the accumulator of dot must be ${typeToString(result)}, but is ${typeToString(c!)}`);
      return [result];
    },
  },
  reduce: {
    summary:
      "Reduces along `axis`, which disappears. argmax, argmin: the i32 index of the first extreme. f16 and bf16: cast first",
    operands: ["x"],
    attributes: { axis: "int", kind: reduceKinds },
    effect: "none",
    infer([x], attributes) {
      const type = tile(x!, "the operand of reduce");
      const axis = axisOf(attributes, type.shape);
      const kind = attributes.kind as ReduceKind;
      requireDtype([type], ...(kind === "and" || kind === "or" || kind === "xor" ? bits : wide));
      return [tileType(kind === "argmax" || kind === "argmin" ? "i32" : type.dtype, withoutAxis(type.shape, axis))];
    },
  },
  gather: {
    summary:
      "Elements of x by i32 indices along `axis`, each within the axis; along the others, which are alike, each stays where it is",
    operands: ["x", "indices"],
    attributes: { axis: "int" },
    effect: "none",
    infer([x, indices], attributes) {
      const [from, at] = [tile(x!, "x"), tile(indices!, "the indices")];
      const axis = axisOf(attributes, from.shape);
      if (at.dtype !== "i32") fail("DTYPE", `the indices of gather must be i32, got ${typeToString(at)}`);
      if (
        at.shape.length !== from.shape.length ||
        !sameShape(withoutAxis(at.shape, axis), withoutAxis(from.shape, axis))
      )
        fail("GATHER_SHAPE", `x and the indices of gather may differ along axis ${axis} only, got ${show([from, at])}`);
      return [tileType(from.dtype, at.shape)];
    },
  },
  histogram: {
    summary: "How many elements of the i32 row x are 0, 1, ..., bins - 1; others are not counted",
    operands: ["x"],
    attributes: { bins: "int" },
    effect: "none",
    infer([x], { bins }) {
      const type = tile(x!, "the operand of histogram");
      if (type.dtype !== "i32") fail("DTYPE", `histogram counts i32, got ${typeToString(type)}`);
      if (type.shape.length !== 1)
        fail("HISTOGRAM_SHAPE", `histogram takes a tile of one axis, got ${typeToString(type)}`);
      checkShape([bins as number]);
      return [tileType("i32", [bins as number])];
    },
  },
  scan: {
    summary: "Inclusive scan along `axis`, from the end if `reverse`",
    operands: ["x"],
    attributes: { axis: "int", kind: scanKinds, reverse: "bool" },
    effect: "none",
    infer([x], attributes) {
      const type = tile(x!, "the operand of scan");
      axisOf(attributes, type.shape);
      requireDtype([type], ...wide);
      return [type];
    },
  },
} satisfies Record<string, OpDefinition>;
