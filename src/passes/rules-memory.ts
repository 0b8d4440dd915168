/**
 * @file Canonicalization of memory and debugging operations: masks that are known, views that the kernel made itself, and what the
 * facts about parameters say.
 */
import { isFloat, type TileType, type Value } from "../ir/index.ts";
import { constantOf } from "./fold.ts";
import type { Rule, Rules } from "./simplify.ts";

const zeroOf = (type: TileType): number | bigint | boolean =>
  type.dtype === "bool" ? false : type.dtype === "i64" ? 0n : 0;
const isZero = (value: Value): boolean =>
  isFloat(value.type.dtype) ? Object.is(constantOf(value), 0) : constantOf(value) === zeroOf(value.type as TileType);

const load: Rule = ({ operands: [pointer, mask, other], results }, make) => {
  const known = mask && constantOf(mask);
  const type = results[0]!.type as TileType;
  if (known === true) return make.value("load", [pointer!]);
  if (known === false) return other ?? make.constant(zeroOf(type), type);
  return other && isZero(other) ? make.value("load", [pointer!, mask!]) : undefined;
};

const store: Rule = ({ operands: [pointer, value, mask] }, make) => {
  const known = mask && constantOf(mask);
  if (known === true) return make.create("store", [pointer!, value!]);
  return known === false ? [] : undefined;
};

const atomic: Rule = ({ operands: [pointer, value, mask], attributes }, make) =>
  mask && constantOf(mask) === true ? make.value("atomic_rmw", [pointer!, value!], attributes) : undefined;

const viewPointer: Rule = ({ operands: [view] }) =>
  view!.definition?.opcode === "make_view" ? view!.definition.operands[0] : undefined;

const viewSize: Rule = ({ operands: [view], attributes }) =>
  view!.definition?.opcode === "make_view" ? view!.definition.operands[1 + (attributes.axis as number)] : undefined;

const viewStride: Rule = ({ operands: [view], attributes, results }, make) => {
  const axis = attributes.axis as number;
  const made = view!.definition;
  if (made?.opcode === "make_view") {
    const stride = made.operands[1 + (made.attributes.rank as number) + axis]!;
    return make.value("cast", [stride], { dtype: "i64" });
  }
  const parameter = make.parameter(view!);
  return parameter?.facts.unitStride && axis === parameter.rank - 1
    ? make.constant(1n, results[0]!.type as TileType)
    : undefined;
};

const assert: Rule = ({ operands: [condition] }) => (constantOf(condition!) === true ? [] : undefined);

export const memoryRules: Rules = {
  load,
  store,
  atomic_rmw: atomic,
  view_pointer: viewPointer,
  view_size: viewSize,
  view_stride: viewStride,
  assert,
};
