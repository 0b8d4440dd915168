/**
 * @file Pointers, views, loads, stores and atomics.
 */
import type { Attributes } from "../ir.ts";
import {
  type PointerType,
  pointerType,
  sameShape,
  sameType,
  tileType,
  typeToString,
  type ValueType,
  type ViewType,
} from "../types.ts";
import { atomicKinds, type OpDefinition } from "./definition.ts";
import { checkShape, fail, index, pointer, tile, view } from "./rules.ts";

export const memoryOperations = {
  add_pointer: {
    summary: "The address `offset` elements further; the arithmetic is wide enough for any tensor of the target",
    operands: ["pointer", "offset"],
    attributes: {},
    effect: "none",
    elementwise: true,
    infer([p, offset]) {
      const address = pointer(p!, "the first operand of add_pointer");
      if (
        offset!.kind !== "tile" ||
        !["i32", "u32", "i64"].includes(offset!.dtype) ||
        !sameShape(offset!.shape, address.shape)
      )
        fail(
          "TYPE_MISMATCH",
          `the offset of ${typeToString(address)} must be an i32, u32 or i64 tile of the same shape, but is ${typeToString(offset!)}`,
        );
      return [address];
    },
  },
  load: {
    summary: "Reads where the mask is true; elsewhere `other`, or 0",
    operands: ["pointer", "mask?", "other?"],
    attributes: {},
    effect: "read",
    infer([p, mask, other]) {
      const address = pointer(p!, "the operand of load");
      checkMask(address, mask);
      if (other) checkElement(address, other, "other");
      return [tileType(address.dtype, address.shape)];
    },
  },
  store: {
    summary: "Writes where the mask is true",
    operands: ["pointer", "value", "mask?"],
    attributes: {},
    effect: "write",
    infer([p, value, mask]) {
      const address = pointer(p!, "the first operand of store");
      checkElement(address, value!, "the stored value");
      checkMask(address, mask);
      return [];
    },
  },
  atomic_rmw: {
    summary:
      "Reads, combines and writes each element as one step; gives the old values. i32, u32; f32 for add and exchange",
    operands: ["pointer", "value", "mask?"],
    attributes: { kind: atomicKinds },
    effect: "write",
    infer([p, value, mask], { kind }) {
      const address = pointer(p!, "the first operand of atomic_rmw");
      checkElement(address, value!, "the value");
      checkMask(address, mask);
      const float = address.dtype === "f32" && (kind === "add" || kind === "exchange");
      if (!float && address.dtype !== "i32" && address.dtype !== "u32")
        fail("DTYPE", `atomic ${kind} works on i32 and u32 (f32: add, exchange), not on ${address.dtype}`);
      return [tileType(address.dtype, address.shape)];
    },
  },
  atomic_cas: {
    summary: "Where memory equals `expected`, writes `value`, as one step; gives the old values. i32, u32",
    operands: ["pointer", "expected", "value"],
    attributes: {},
    effect: "write",
    infer([p, expected, value]) {
      const address = pointer(p!, "the first operand of atomic_cas");
      checkElement(address, expected!, "the expected value");
      checkElement(address, value!, "the new value");
      if (address.dtype !== "i32" && address.dtype !== "u32")
        fail("DTYPE", `atomic_cas works on i32 and u32, not on ${address.dtype}`);
      return [tileType(address.dtype, address.shape)];
    },
  },
  make_view: {
    summary:
      "A view from a pointer, sizes (i32) and strides (i32 or i64, elements): the operands are pointer, sizes..., strides...",
    operands: ["pointer", "sizesAndStrides..."],
    attributes: { rank: "int" },
    effect: "none",
    infer([p, ...rest], { rank }) {
      const address = pointer(p!, "the first operand of make_view");
      const r = rank as number;
      if (address.shape.length > 0 || rest.length !== 2 * r)
        fail("VIEW_RANK", `make_view of rank ${r} needs one pointer, ${r} sizes and ${r} strides`);
      for (const [i, type] of rest.entries())
        if (type.kind !== "tile" || type.shape.length > 0 || (type.dtype !== "i32" && (i < r || type.dtype !== "i64")))
          fail(
            "TYPE_MISMATCH",
            `${i < r ? `size ${i}` : `stride ${i - r}`} must be an i32 scalar, but is ${typeToString(type)}`,
          );
      return [{ kind: "view", dtype: address.dtype, rank: r }];
    },
  },
  view_pointer: {
    summary: "The base address of a view",
    operands: ["view"],
    attributes: {},
    effect: "none",
    infer: ([v]) => [pointerType(view(v!, "the operand").dtype)],
  },
  view_size: {
    summary: "The size of a view along `axis`, i32",
    operands: ["view"],
    attributes: { axis: "int" },
    effect: "none",
    infer([v], attributes) {
      checkViewAxis(v!, attributes);
      return [tileType("i32")];
    },
  },
  view_stride: {
    summary: "The stride of a view along `axis` in elements, i64",
    operands: ["view"],
    attributes: { axis: "int" },
    effect: "none",
    infer([v], attributes) {
      checkViewAxis(v!, attributes);
      return [tileType("i64")];
    },
  },
  view_load: {
    summary:
      "Loads a tile that spans the last axes of the view from the given indices; elements outside the view are 0. inBounds: tile axes along which the author promises that nothing is outside. Leading indices must be inside",
    operands: ["view", "indices..."],
    attributes: { shape: "ints", inBounds: "bools" },
    effect: "read",
    infer([v, ...indices], { shape, inBounds }) {
      const type = view(v!, "the first operand of view_load");
      checkWindow(type, indices, shape as number[], inBounds as boolean[]);
      return [tileType(type.dtype, shape as number[])];
    },
  },
  view_store: {
    summary:
      "Stores a tile over the last axes of the view from the given indices; elements outside the view are dropped. inBounds as in view_load",
    operands: ["view", "value", "indices..."],
    attributes: { inBounds: "bools" },
    effect: "write",
    infer([v, value, ...indices], { inBounds }) {
      const type = view(v!, "the first operand of view_store");
      const stored = tile(value!, "the stored value");
      checkWindow(type, indices, stored.shape, inBounds as boolean[]);
      if (stored.dtype !== type.dtype)
        fail(
          "DTYPE",
          `cannot store ${typeToString(stored)} into ${typeToString(type)}: cast it with .to("${type.dtype}")`,
        );
      return [];
    },
  },
} satisfies Record<string, OpDefinition>;

/** Shared rule of `load`, `store` and atomics: a mask has the pointer's shape. */
function checkMask(address: PointerType, mask: ValueType | undefined): void {
  if (mask && !sameType(mask, tileType("bool", address.shape)))
    fail(
      "TYPE_MISMATCH",
      `the mask must be ${typeToString(tileType("bool", address.shape))}, but is ${typeToString(mask)}`,
    );
}
function checkElement(address: PointerType, value: ValueType, what: string): void {
  if (!sameType(value, tileType(address.dtype, address.shape)))
    fail(
      "TYPE_MISMATCH",
      `${what} must be ${typeToString(tileType(address.dtype, address.shape))}, but is ${typeToString(value)}`,
    );
}
/** Shared rule of `view_load` and `view_store`: one i32 index a dimension, a tile that spans the last dimensions. */
function checkWindow(
  v: ViewType,
  indices: readonly ValueType[],
  shape: readonly number[],
  inBounds: readonly boolean[],
): void {
  if (indices.length !== v.rank) fail("VIEW_RANK", `${typeToString(v)} needs ${v.rank} indices, got ${indices.length}`);
  for (const [i, type] of indices.entries()) index(type, `index ${i}`);
  if (shape.length > v.rank) fail("VIEW_RANK", `a tile of rank ${shape.length} does not fit in ${typeToString(v)}`);
  if (inBounds.length !== shape.length)
    fail("VIEW_RANK", `inBounds needs one flag for each of the ${shape.length} tile axes`);
  checkShape(shape);
}

function checkViewAxis(type: ValueType, { axis }: Attributes): void {
  const v = view(type, "the operand");
  if ((axis as number) < 0 || (axis as number) >= v.rank)
    fail("AXIS", `axis ${axis} is out of range for ${typeToString(v)}`);
}
