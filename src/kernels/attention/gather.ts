/** @file Rows of an operand that lie anywhere: heads of a group side by side, pages of a cache. */
import { type Pointer, type TensorView, type Tile, tl } from "../../dsl/index.ts";
import type { OperandTile } from "./variant.ts";

interface RowsAt<R extends number> {
  /** The operand, whose last axis are the channels. */
  readonly operand: TensorView<"T", 4>;
  /** The address that offsets count from, and each row's offset in elements. */
  readonly origin: Pointer<"T", readonly []>;
  readonly offsets: Tile<"i64", readonly [R]>;
  /** Rows that are read; the others are 0. Missing: all. */
  readonly exists: Tile<"bool", readonly [R]> | undefined;
}

/** The tile that `request` asks for, from rows at these places. */
export function gatherRows<R extends number, D extends number>(
  { operand, origin, offsets, exists }: RowsAt<R>,
  { shape: [, width], inBounds: [, channelsExist], channels }: OperandTile<R, D>,
): Tile<"T", readonly [R, D]> {
  const index = tl.arange(0, width).perColumn() as Tile<"i32", readonly [1, number]>;
  const channel = channels ? index.mul(channels.step).add(channels.from) : index;
  const columns = channel.to("i64").mul(operand.stride(3));
  const addresses = origin.add(offsets.perRow() as never).add(columns as never);
  const inside = channelsExist ? undefined : index.lt(channels?.count ?? operand.shape(3));
  const rows = exists?.perRow() as Tile<"bool", readonly [R, 1]> | undefined;
  const mask = rows && inside ? rows.and(inside as never) : (rows ?? inside);
  return tl.load(addresses as never, mask ? { mask: mask as never } : {}) as never;
}
