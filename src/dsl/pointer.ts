/**
 * @file `Pointer`: tiles of addresses, for gathers and scatters. `tl.load` and `tl.store` read and write through them.
 */
import { type PointerType, shapeOf, type Value } from "../ir/index.ts";
import { describeArgument, Handle } from "./handle.ts";
import { broadcastShape, broadcastTo, constant, isPlain, shapeText } from "./operands.ts";
import { type Tile, tileValue } from "./tile.ts";
import { emit, fail } from "./trace-context.ts";
import type { Broadcast, BroadcastsWith, DTypeLike, OffsetDType, Shape } from "./types.ts";

/** A tile of addresses of elements of dtype T; of shape `[]`, one pointer. A parameter made by `tl.pointer` is one. */
export class Pointer<out T extends DTypeLike, out S extends Shape> extends Handle {
  /** The dtype of what is pointed at. */
  get dtype(): T {
    return this.value.type.dtype as T;
  }

  /** The extents, known while tracing. */
  get shape(): S {
    return (this.value.type as PointerType).shape as S;
  }

  /**
   * The addresses `offset` elements (not bytes) further. Offsets are a number, or i32, u32 or i64 tiles and scalars, and broadcast with the
   * pointer: one pointer plus offsets [M, N] is a tile of M·N pointers. The address itself never overflows; an i32 offset
   * is computed in 32 bits, so beyond 2^31 elements compute it in i64.
   */
  add<T extends DTypeLike, S extends Shape, B extends Shape = S>(
    this: Pointer<T, S>,
    offset: number | Tile<OffsetDType, BroadcastsWith<S, B>>,
  ): Pointer<T, Broadcast<S, B>> {
    const offsets = isPlain(offset)
      ? constant(offset, Math.abs(Number(offset)) < 2 ** 31 ? "i32" : "i64")
      : tileValue(offset, "the offset of a pointer");
    if (offsets.type.kind !== "tile" || !["i32", "u32", "i64"].includes(offsets.type.dtype))
      fail(
        "DTYPE",
        `the offset of a pointer must be i32, u32 or i64, got ${offsets.type.dtype}: convert it, .to("i32")`,
      );
    const shape = broadcastShape(this.shape, shapeOf(offsets.type), "add");
    return pointerOf(emit("add_pointer", [broadcastTo(this.value, shape, "add"), broadcastTo(offsets, shape, "add")]));
  }

  /** [M] to [M, 1]: one address for each row, to which offsets of columns may be added. */
  perRow<T extends DTypeLike, M extends number>(this: Pointer<T, readonly [M]>): Pointer<T, readonly [M, 1]> {
    return pointerOf(emit("expand_dims", [vectorOf(this, "perRow")], { axis: 1 }));
  }

  /** [N] to [1, N]: one address for each column, to which offsets of rows may be added. */
  perColumn<T extends DTypeLike, N extends number>(this: Pointer<T, readonly [N]>): Pointer<T, readonly [1, N]> {
    return pointerOf(emit("expand_dims", [vectorOf(this, "perColumn")], { axis: 0 }));
  }
}

function vectorOf({ value, shape }: Pointer<any, Shape>, what: string): Value {
  if (shape.length !== 1) fail("AXIS", `${what} takes pointers of one axis, got shape ${shapeText(shape)}`);
  return value;
}

/** A pointer handle whose type the caller states. */
export const pointerOf = (value: Value): any => new Pointer(value);

/** The pointer value of an argument, and its type. */
export function pointerValue(argument: unknown, what: string): { readonly value: Value; readonly type: PointerType } {
  if (!(argument instanceof Pointer))
    return fail(
      "TYPE_MISMATCH",
      `${what} must be a pointer, got ${describeArgument(argument)}; views have .load and .store`,
    );
  return { value: argument.value, type: argument.value.type as PointerType };
}
