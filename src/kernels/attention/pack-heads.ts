/**
 * @file Query heads as rows: the heads of a group read the same keys, so with few queries a head they share a tile, and keys and values are
 * loaded once a key head. Row m · group + g of a key head is query m of its query head g, so rows are in the order of queries and edges
 * stay monotone.
 */
import { tl } from "../../dsl/index.ts";
import type { Context } from "./scores.ts";
import type { Edge, Place, Variant } from "./variant.ts";

/** Whether a variant's hooks can be asked about queries of several heads at once. */
export const canPackHeads = ({ logits, packs, dropout }: Variant): boolean =>
  (logits === undefined || packs === true) && dropout === undefined;

/** The context and place of a program whose queries are the rows of the key head `at.keyHead`. */
export function packHeads(context: Context, at: Place): { readonly context: Context; readonly at: Place } {
  const { variant } = context;
  tl.staticAssert(canPackHeads(variant), `variant "${variant.name}": it looks at one head at a time`);
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
    ...(variant.logits && { logits: (p, _, c, ofHead) => variant.logits!(p, at, c, ofHead) }),
  };
  const first = at.firstRow?.queries;
  const firstRow = first === undefined ? at.firstRow : { ...at.firstRow, queries: tl.mul(at.group, first) };
  return {
    context: { ...context, variant: packed },
    at: { ...at, queries: at.queries.mul(at.group), ...(firstRow && { firstRow }), packed: true },
  };
}
