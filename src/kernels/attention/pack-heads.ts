/**
 * @file Query heads as rows: the heads of a group read the same keys, so with few queries a head they share a tile, and keys and values are
 * loaded once a key head. Row m · group + g of a key head is query m of its query head g, so rows are in the order of queries and edges
 * stay monotone.
 */
import { type TensorView, type Tile, tl } from "../../dsl/index.ts";
import { gatherRows } from "./gather.ts";
import type { Context } from "./scores.ts";
import { type Edge, loadOperand, type OperandTile, type Place, type Variant } from "./variant.ts";

/** Whether a variant's hooks are the same for all query heads, as packing needs. */
export const canPackHeads = ({ logits, dropout }: Variant): boolean => logits === undefined && dropout === undefined;

/** The context and place of a program whose queries are the rows of the key head `at.keyHead`. */
export function packHeads(context: Context, at: Place): { readonly context: Context; readonly at: Place } {
  const { variant } = context;
  tl.staticAssert(
    canPackHeads(variant),
    `variant "${variant.name}": its logits may differ between the heads of a group`,
  );
  const ofRows = (edge: Edge | undefined): Edge | undefined =>
    edge && { key: (row) => edge.key(row.div(at.group)), query: (key) => edge.query(key).mul(at.group) };
  const packed: Variant = {
    ...variant,
    spans: (p, _, c) =>
      (variant.spans?.(p, at, c) ?? [{}]).map(({ from, to, ...span }) => ({
        ...span,
        ...(from && { from: ofRows(from)! }),
        ...(to && { to: ofRows(to)! }),
      })),
    load: (p, place, tile, c) =>
      tile.side === "queries"
        ? loadRows(p[tile.name], place, tile)
        : (variant.load?.(p, place, tile, c) ?? loadOperand(p, place, tile)),
  };
  return { context: { ...context, variant: packed }, at: { ...at, queries: at.queries.mul(at.group) } };
}

/** Rows of a query operand [B, Hq, M, D]. */
function loadRows<R extends number, D extends number>(
  operand: TensorView<"T", 4>,
  at: Place,
  tile: OperandTile<R, D>,
): Tile<"T", readonly [R, D]> {
  const row = tl.arange(0, tile.shape[0]).add(tile.first) as Tile<"i32", readonly [R]>;
  const [query, head] = [row.div(at.group), row.rem(at.group).add(at.keyHead.mul(at.group))];
  const offsets = head
    .to("i64")
    .mul(operand.stride(1))
    .add(query.to("i64").mul(operand.stride(2)));
  return gatherRows({ operand, origin: operand.at(at.batch).pointer, offsets, exists: row.lt(at.queries) }, tile);
}
