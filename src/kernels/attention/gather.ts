/** @file Rows of an operand that lie anywhere: heads of a group side by side, pages of a cache. */
import { type Pointer, type TensorView, type Tile, tl } from "../../dsl/index.ts";
import type { OperandTile, RuntimeIndex } from "./variant.ts";

interface RowsAt<R extends number> {
  /** The operand, whose last axis are the channels. */
  readonly operand: TensorView<"T", 4>;
  /** The address that offsets count from, and each row's offset in elements. */
  readonly origin: Pointer<"T", readonly []>;
  readonly offsets: Tile<"i64", readonly [R]>;
  /** Rows that are read; the others are 0. Missing: all. */
  readonly exists: Tile<"bool", readonly [R]> | undefined;
  /** How many channels there are. Default: the operand's. */
  readonly channels?: RuntimeIndex;
}

/** The tile that `request` asks for, from rows at these places. */
export function gatherRows<R extends number, D extends number>(
  { operand, origin, offsets, exists, channels: count = operand.shape(3) }: RowsAt<R>,
  { shape: [, channels], inBounds: [, channelsExist] }: OperandTile<R, D>,
): Tile<"T", readonly [R, D]> {
  const channel = tl.arange(0, channels).perColumn() as Tile<"i32", readonly [1, number]>;
  const columns = channel.to("i64").mul(operand.stride(3));
  const addresses = origin.add(offsets.perRow() as never).add(columns as never);
  const inside = channelsExist ? undefined : channel.lt(count);
  const rows = exists?.perRow() as Tile<"bool", readonly [R, 1]> | undefined;
  const mask = rows && inside ? rows.and(inside as never) : (rows ?? inside);
  return tl.load(addresses as never, mask ? { mask: mask as never } : {}) as never;
}
