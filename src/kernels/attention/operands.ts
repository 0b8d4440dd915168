/**
 * @file How rows of an operand are read where it is a tensor [B, H, T, D]: all of their channels or some, and for heads that are packed
 * (pack-heads.ts) from several heads.
 */
import { type Shape, type TensorView, type Tile, tl } from "../../dsl/index.ts";
import { gatherRows } from "./gather.ts";
import { rowsOf } from "./places.ts";
import type { Channels, OperandTile, Place, RuntimeIndex } from "./variant.ts";

/** Rows of a tensor [B, H, T, D] at a place. */
export function loadOperand<R extends number, D extends number>(
  p: any,
  at: Place,
  tile: OperandTile<R, D>,
): Tile<"T", readonly [R, D]> {
  const operand = p[tile.name] as TensorView<"T", 4>;
  if (tile.side === "queries" && at.packed) return loadPacked(operand, at, tile);
  const rows = operand.at(at.batch, tile.side === "queries" ? at.head : at.keyHead);
  return channelsOf(rowsOf(rows, at, tile.side), tile.channels).load([tile.first, 0], tile.shape, {
    inBounds: tile.inBounds,
  });
}

/** The matrix [rows, channels] of some channels of a matrix. */
export const channelsOf = <T extends "T" | "f32">(
  rows: TensorView<T, 2>,
  channels: Channels | undefined,
): TensorView<T, 2> =>
  channels
    ? tl.makeView(
        rows.pointer.add(rows.stride(1).mul(channels.from.to("i64")) as never) as never,
        [rows.shape(0), channels.count],
        [rows.stride(0), rows.stride(1).mul(channels.step)],
      )
    : rows;

/** The query of each row of a tile, where heads of a group share it. */
export const packedQueries = <R extends number>(at: Place, first: RuntimeIndex, rows: R): Tile<"i32", readonly [R]> =>
  rowsFrom(first, rows).div(at.group) as never;

/** The query head of each of these rows, where heads of a group share a tile. */
export const packedHeads = <S extends Shape>(at: Place, row: Tile<"i32", S>): Tile<"i32", S> =>
  row.rem(at.group as never).add(at.keyHead.mul(at.group) as never) as never;

/** The rows of a tile, whose first is `first`. */
export const rowsFrom = <R extends number>(first: RuntimeIndex, rows: R) =>
  tl.arange(0, rows).add(first) as Tile<"i32", readonly [R]>;

/** Rows of a query operand of the heads of a group: row m · group + g is query m of head g. */
function loadPacked<R extends number, D extends number>(
  operand: TensorView<"T", 4>,
  at: Place,
  tile: OperandTile<R, D>,
): Tile<"T", readonly [R, D]> {
  const row = rowsFrom(tile.first, tile.shape[0]);
  const ofTensor = row.add(at.firstRow?.queries ?? 0);
  const offsets = packedHeads(at, ofTensor)
    .to("i64")
    .mul(operand.stride(1))
    .add(ofTensor.div(at.group).to("i64").mul(operand.stride(2)));
  return gatherRows({ operand, origin: operand.at(at.batch).pointer, offsets, exists: row.lt(at.queries) }, tile);
}
