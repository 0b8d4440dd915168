/** @file Random elementwise operations on the values of a random kernel. */
import { comparePredicates, type DType, isFloat, isInteger, type Opcode, type TileType } from "../../src/ir/index.ts";
import { type Item, type RandomValues, shapeOfItem } from "./random-values.ts";

export function growElementwise(values: RandomValues): void {
  const { tape } = values;
  const x = values.any();
  const grow = tape.pick([binary, binary, unary, compare, select, cast, bitcast, fma, promise]);
  grow(values, x);
}

function unary(values: RandomValues, x: Item): void {
  const { builder: b, tape } = values;
  const { dtype } = x.value.type;
  const opcodes: Opcode[] =
    dtype === "bool" ? ["not"] : isFloat(dtype) ? ["neg", "abs", "floor", "ceil"] : ["neg", "abs", "not"];
  if (dtype === "f32" && !values.exact)
    opcodes.push("sqrt", "rsqrt", "reciprocal", "exp", "exp2", "log", "log2", "sin", "cos", "tanh");
  values.push(b.value(tape.pick(opcodes), [x.value]), isFloat(dtype) ? x.bound : Infinity);
}

function binary(values: RandomValues, x: Item): void {
  const { tape } = values;
  const { dtype } = x.value.type;
  // Constants often: they are what identities are about.
  const y = tape.next(3) === 2 ? values.constant(dtype, shapeOfItem(x)) : values.get(dtype, shapeOfItem(x));
  const [a, b] = tape.next(2) === 0 ? [x, y] : [y, x];
  if (isFloat(dtype)) floatBinary(values, a, b);
  else if (dtype === "bool") values.push(values.builder.value(tape.pick(["and", "or", "xor"]), [a.value, b.value]));
  else integerBinary(values, a, b, dtype);
}

function floatBinary(values: RandomValues, x: Item, y: Item): void {
  const { builder: b, tape, exact } = values;
  const opcode = tape.pick<Opcode>(
    exact ? ["add", "mul", "sub", "min", "max"] : ["add", "mul", "sub", "min", "max", "div", "rem"],
  );
  const sum = opcode === "mul" ? x.bound * y.bound : x.bound + y.bound;
  if (exact && opcode !== "min" && opcode !== "max" && sum > values.limit(x.value.type.dtype)) {
    values.push(b.value("min", [x.value, y.value]), Math.max(x.bound, y.bound));
    return;
  }
  values.push(
    b.value(opcode, [x.value, y.value]),
    opcode === "min" || opcode === "max" ? Math.max(x.bound, y.bound) : sum,
  );
}

function integerBinary(values: RandomValues, x: Item, y: Item, dtype: DType): void {
  const { builder: b, tape } = values;
  const { shape } = y.value.type as TileType;
  const opcodes: Opcode[] = ["add", "mul", "sub", "min", "max", "and", "or", "xor", "div", "rem", "shl", "shr"];
  if (dtype === "u32") opcodes.push("umulhi");
  const opcode = tape.pick(opcodes);
  let second = y.value;
  // 0 to 7: a shift in range for every width; odd: no division by zero.
  if (["div", "rem", "shl", "shr"].includes(opcode)) second = b.value("and", [second, b.constant(7, dtype, shape)]);
  if (opcode === "div" || opcode === "rem") second = b.value("or", [second, b.constant(1, dtype, shape)]);
  values.push(b.value(opcode, [x.value, second]));
}

function compare(values: RandomValues, x: Item): void {
  const y = values.get(x.value.type.dtype, shapeOfItem(x));
  const predicate = values.tape.pick(comparePredicates);
  values.push(values.builder.value("compare", [x.value, y.value], { predicate }));
}

function select(values: RandomValues, x: Item): void {
  const y = values.get(x.value.type.dtype, shapeOfItem(x));
  const condition = values.get("bool", shapeOfItem(x));
  values.push(values.builder.value("select", [condition.value, x.value, y.value]), Math.max(x.bound, y.bound));
}

function cast(values: RandomValues, x: Item): void {
  values.cast(x, values.dtype());
}

/** Of floats only without NaN, whose bits are open; not in exact mode, where -0 and 0 count as equal. */
function bitcast(values: RandomValues, x: Item): void {
  const { builder: b } = values;
  const { dtype } = x.value.type;
  if (dtype === "i32" && values.allows("u32")) values.push(b.value("bitcast", [x.value], { dtype: "u32" }));
  else if (dtype === "u32") values.push(b.value("bitcast", [x.value], { dtype: "i32" }));
  else if (dtype === "f32" && !values.exact) {
    const isNumber = b.value("compare", [x.value, x.value], { predicate: "eq" });
    const number = b.value("select", [isNumber, x.value, b.constant(0, "f32", shapeOfItem(x))]);
    values.push(b.value("bitcast", [number], { dtype: "i32" }));
  }
}

function fma(values: RandomValues, x: Item): void {
  const { dtype } = x.value.type;
  if (!isFloat(dtype)) return;
  const [y, z] = [values.get(dtype, shapeOfItem(x)), values.get(dtype, shapeOfItem(x))];
  const bound = x.bound * y.bound + z.bound;
  if (values.exact && bound > values.limit(dtype)) return;
  values.push(values.builder.value("fma", [x.value, y.value, z.value]), bound);
}

/** A multiple, and the promise that it is one. */
function promise(values: RandomValues, x: Item): void {
  const { builder: b, tape } = values;
  const { dtype, shape } = x.value.type as TileType;
  if (!isInteger(dtype)) return;
  const divisor = tape.pick([1, 2, 8, 16]);
  const multiple = b.value("mul", [x.value, b.constant(divisor, dtype, shape)]);
  values.push(b.value("multiple_of", [multiple], { divisor }));
}
