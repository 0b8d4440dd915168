/**
 * @file Query heads as rows: the heads of a group read the same keys, so with few queries a head they share a tile, and keys and values are
 * loaded once a key head. Row m · group + g of a key head is query m of its query head g, so rows are in the order of queries and edges
 * stay monotone.
 */
import { tl } from "../../dsl/index.ts";
import type { Context } from "./scores.ts";
import type { Edge, Place, Variant } from "./variant.ts";

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
  };
  return { context: { ...context, variant: packed }, at: { ...at, queries: at.queries.mul(at.group), packed: true } };
}
