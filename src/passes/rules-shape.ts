/**
 * @file Canonicalization of operations that move elements without computing: chains of them become one, what is filled with one value
 * becomes a `splat` or `constant`, and an axis of extent 1 is added by `expand_dims`.
 */
import { isFloat, isInteger, type Operation, sameShape, shapeOf, type TileType, type Value } from "../ir/index.ts";
import { constantOf } from "./fold.ts";
import type { Maker, Rule, Rules } from "./simplify.ts";

/** If x is filled with one value: that value under another shape. */
function refill(x: Value, shape: readonly number[], make: Maker): Value | undefined {
  const constant = constantOf(x);
  if (constant !== undefined) return make.constant(constant, { ...(x.type as TileType), shape });
  if (x.definition?.opcode === "splat") return make.value("splat", x.definition.operands, { shape });
  return x.type.kind !== "view" && x.type.shape.length === 0 && shape.length > 0
    ? make.value("splat", [x], { shape })
    : undefined;
}

const splat: Rule = ({ operands: [x], attributes }, make) => {
  const shape = attributes.shape as number[];
  if (shape.length === 0) return x;
  const constant = constantOf(x!);
  return constant === undefined ? undefined : make.constant(constant, { ...(x!.type as TileType), shape });
};

const broadcast: Rule = ({ operands: [x], attributes }, make) => {
  const shape = attributes.shape as number[];
  if (sameShape(shapeOf(x!.type), shape)) return x;
  const inner = x!.definition;
  if (inner?.opcode === "broadcast") return make.value("broadcast", inner.operands, { shape });
  return refill(x!, shape, make);
};

const expandDims: Rule = ({ operands: [x], results }, make) => refill(x!, shapeOf(results[0]!.type), make);

const reshape: Rule = ({ operands: [x], attributes }, make) => {
  const shape = attributes.shape as number[];
  const from = shapeOf(x!.type);
  if (sameShape(from, shape)) return x;
  const inner = x!.definition;
  if (inner?.opcode === "reshape" || inner?.opcode === "expand_dims")
    return make.value("reshape", inner.operands, { shape });
  const axis = shape.length === from.length + 1 ? shape.findLastIndex((_, i) => isInsertion(from, shape, i)) : -1;
  return axis >= 0 && from.length > 0 ? make.value("expand_dims", [x!], { axis }) : refill(x!, shape, make);
};

const isInsertion = (from: readonly number[], to: readonly number[], axis: number): boolean =>
  to[axis] === 1 &&
  sameShape(
    from,
    to.filter((_, i) => i !== axis),
  );

const trans: Rule = ({ operands: [x], attributes, results }, make) => {
  const permutation = attributes.permutation as number[];
  const shape = shapeOf(results[0]!.type);
  if (permutation.every((axis, i) => axis === i)) return x;
  const inner = x!.definition;
  if (inner?.opcode === "trans") {
    const before = inner.attributes.permutation as number[];
    return make.value("trans", inner.operands, { permutation: permutation.map((axis) => before[axis]!) });
  }
  if (inner?.opcode === "expand_dims") {
    const inserted = inner.attributes.axis as number;
    const rest = permutation.filter((axis) => axis !== inserted).map((axis) => (axis > inserted ? axis - 1 : axis));
    const below = make.value("trans", inner.operands, { permutation: rest });
    return make.value("expand_dims", [below], { axis: permutation.indexOf(inserted) });
  }
  if (inner?.opcode === "broadcast")
    return make.value("broadcast", [make.value("trans", inner.operands, { permutation })], { shape });
  return refill(x!, shape, make);
};

const join: Rule = ({ operands: [a, b] }) => {
  const split = a!.definition;
  return split?.opcode === "split" && a === split.results[0] && b === split.results[1] ? split.operands[0] : undefined;
};

const split: Rule = ({ operands: [x], results }, make) => {
  if (x!.definition?.opcode === "join") return x!.definition.operands;
  const half = refill(x!, shapeOf(results[0]!.type), make);
  return half && [half, half];
};

/** Not of floats: in which order a target adds them, and what it starts a maximum from, is its own business. */
const reduce: Rule = (operation, make) => {
  const [x] = operation.operands;
  const { kind, axis } = operation.attributes;
  const type = operation.results[0]!.type as TileType;
  const extent = shapeOf(x!.type)[axis as number]!;
  if (isFloat(x!.type.dtype)) return undefined;
  if (extent === 1)
    return kind === "argmax" || kind === "argmin"
      ? make.constant(0, type)
      : make.value("reshape", [x!], { shape: type.shape });
  if (!isFilled(x!)) return undefined;
  if (kind === "argmax" || kind === "argmin") return make.constant(0, type);
  if (kind === "max" || kind === "min" || kind === "and" || kind === "or") return reduced(x!, type, make);
  if (kind !== "sum") return undefined;
  const count = make.constant(type.dtype === "i64" ? BigInt(extent) : extent, type);
  return make.value("mul", [reduced(x!, type, make), count]);
};

const isFilled = (x: Value): boolean => constantOf(x) !== undefined || x.definition?.opcode === "splat";

/** A filled tile under the shape of `type`; of a scalar, the value itself. */
function reduced(x: Value, type: TileType, make: Maker): Value {
  if (x.definition!.opcode === "splat" && type.shape.length === 0) return x.definition!.operands[0]!;
  return refill(x, type.shape, make)!;
}

const scan: Rule = ({ operands: [x], attributes }: Operation) =>
  isInteger(x!.type.dtype) && shapeOf(x!.type)[attributes.axis as number] === 1 ? x : undefined;

export const shapeRules: Rules = {
  splat,
  broadcast,
  expand_dims: expandDims,
  reshape,
  trans,
  join,
  split,
  reduce,
  scan,
};
