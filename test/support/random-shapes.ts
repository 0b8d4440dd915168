/** @file Random operations across elements on the values of a random kernel: shapes, reductions, scans, dots. */
import { type DType, elementCount, isFloat, type ReduceKind } from "../../src/ir/index.ts";
import { type Item, type RandomValues, shapeOfItem } from "./random-values.ts";

export function growShapes(values: RandomValues): void {
  const { tape } = values;
  tape.pick([reduce, expandDims, broadcast, reshape, trans, dot, join, split, scan, arange, gather, histogram])(
    values,
    values.anyTile(),
  );
}

function arange(values: RandomValues): void {
  const [count] = values.shape(1);
  const start = values.tape.pick([0, 0, 8, 1, -4]);
  values.push(values.builder.value("arange", [], { start, end: start + count! }), 32);
}

function expandDims(values: RandomValues, x: Item): void {
  const rank = shapeOfItem(x).length;
  if (rank < 3)
    values.push(values.builder.value("expand_dims", [x.value], { axis: values.tape.next(rank + 1) }), x.bound);
}

function broadcast(values: RandomValues, x: Item): void {
  const shape = shapeOfItem(x).map((extent) => (extent === 1 ? values.shape(1)[0]! : extent));
  if (values.fits(shape)) values.push(values.builder.value("broadcast", [x.value], { shape }), x.bound);
}

function reshape(values: RandomValues, x: Item): void {
  const count = elementCount(shapeOfItem(x));
  const first = 2 ** values.tape.next(Math.log2(count) + 1);
  const shape = values.tape.pick([[first, count / first], [count], [count, 1]]);
  values.push(values.builder.value("reshape", [x.value], { shape }), x.bound);
}

function trans(values: RandomValues, x: Item): void {
  const axes = shapeOfItem(x).map((_, i) => i);
  const permutation = [...axes].map(() => axes.splice(values.tape.next(axes.length), 1)[0]!);
  values.push(values.builder.value("trans", [x.value], { permutation }), x.bound);
}

function join(values: RandomValues, x: Item): void {
  const shape = shapeOfItem(x);
  if (shape.length > 2 || !values.fits([...shape, 2])) return;
  const y = values.get(x.value.type.dtype, shape);
  values.push(values.builder.value("join", [x.value, y.value]), Math.max(x.bound, y.bound));
}

function split(values: RandomValues, x: Item): void {
  const shape = shapeOfItem(x);
  const count = elementCount(shape);
  if (count === 1) return;
  const b = values.builder;
  const paired = shape.at(-1) === 2 ? x.value : b.value("reshape", [x.value], { shape: [count / 2, 2] });
  for (const half of b.create("split", [paired]).results) values.push(half, x.bound);
}

/** Elements by indices that are computed; along the axis as many as x has, or fewer or more. */
function gather(values: RandomValues, x: Item): void {
  const { builder: b, tape } = values;
  const shape = shapeOfItem(x);
  const axis = tape.next(shape.length);
  const wanted = shape.with(axis, tape.pick([shape[axis]!, 1, 2, 8]));
  if (!values.fits(wanted)) return;
  const indices = b.value("and", [values.get("i32", wanted).value, b.constant(shape[axis]! - 1, "i32", wanted)]);
  values.push(b.value("gather", [x.value, indices], { axis }), x.bound);
}

function histogram(values: RandomValues): void {
  const [count] = values.shape(1);
  const x = values.get("i32", [count!]);
  const bins = values.tape.pick([1, 4, 16]);
  values.push(values.builder.value("histogram", [x.value], { bins }), count);
}

/** What reductions and scans take. */
function widened(values: RandomValues, x: Item): Item {
  const { dtype } = x.value.type;
  if (dtype === "f16" || dtype === "bf16") return values.cast(x, "f32");
  return dtype === "i8" || dtype === "bool" ? values.cast(x, "i32") : x;
}

function reduce(values: RandomValues, x: Item): void {
  const { builder: b, tape } = values;
  const axis = tape.next(shapeOfItem(x).length);
  if (x.value.type.dtype === "bool" && tape.next(2) === 0) {
    values.push(b.value("reduce", [x.value], { axis, kind: tape.pick(["and", "or", "xor"]) }));
    return;
  }
  const operand = widened(values, x);
  const { dtype } = operand.value.type;
  const kinds: ReduceKind[] = ["sum", "max", "min", "argmax", "argmin"];
  if (!isFloat(dtype)) kinds.push("and", "or", "xor", "product");
  else if (!values.exact) kinds.push("product");
  const kind = tape.pick(kinds);
  const bound = accumulated(values, operand, kind, shapeOfItem(operand)[axis]!, dtype);
  if (bound !== undefined) values.push(b.value("reduce", [operand.value], { axis, kind }), bound);
}

function scan(values: RandomValues, x: Item): void {
  const { builder: b, tape } = values;
  const axis = tape.next(shapeOfItem(x).length);
  const operand = widened(values, x);
  const { dtype } = operand.value.type;
  const kind = tape.pick(["sum", "max", "min"] as const);
  const bound = accumulated(values, operand, kind, shapeOfItem(operand)[axis]!, dtype);
  if (bound !== undefined)
    values.push(b.value("scan", [operand.value], { axis, kind, reverse: tape.next(2) === 1 }), bound);
}

/** The bound of a reduction; undefined where a float sum might not be exact. */
function accumulated(
  values: RandomValues,
  x: Item,
  kind: ReduceKind,
  extent: number,
  dtype: DType,
): number | undefined {
  if (!isFloat(dtype)) return Infinity;
  if (kind !== "sum") return x.bound;
  const bound = x.bound * extent;
  return values.exact && bound > values.limit(dtype) ? undefined : bound;
}

function dot(values: RandomValues): void {
  const { builder: b, tape, dotExtents } = values;
  const [m, k, n] = [tape.pick(dotExtents), tape.pick(dotExtents), tape.pick(dotExtents)];
  const dtype = tape.pick((["f32", "f16", "bf16", "i8"] as const).filter((d) => values.allows(d)));
  const [x, y] = [values.get(dtype, [m, k]), values.get(dtype, [k, n])];
  const c = values.get(dtype === "i8" ? "i32" : "f32", [m, n]);
  if (dtype === "i8") {
    values.push(b.value("dot", [x.value, y.value, c.value], { precision: "ieee" }));
    return;
  }
  const bound = k * x.bound * y.bound + c.bound;
  if (values.exact && bound > values.limit("f32")) return;
  values.push(b.value("dot", [x.value, y.value, c.value], { precision: "ieee" }), bound);
}
