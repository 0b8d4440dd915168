/**
 * @file Sequences of different lengths in one call, for any variant: padded to the same length, with the number of keys that are real; or packed one after
 * the other (FlashAttention's varlen), queries and keys or, where keys lie elsewhere, queries alone.
 */
import { type Constants, tl } from "../../dsl/index.ts";
import type { Variant } from "./variant.ts";

const lengths = { keyLengths: tl.tensor("i32", 1) };

/** The variant, where only the first `keyLengths` [B] keys of each batch entry are there: N is their number wherever it occurs. */
export function withKeyLengths<C extends Constants>(variant: Variant<any, C>): Variant<any, C> {
  const keyCount: Variant<typeof lengths>["keyCount"] = (p, batch) =>
    tl.maximum(tl.minimum(p.keyLengths.load([batch], []), p.v.shape(2)), 0);
  return {
    ...variant,
    name: `${variant.name}_lengths`,
    parameters: { ...variant.parameters, ...lengths },
    keyCount,
  };
}

const queryStarts = { queryStarts: tl.tensor("i32", 1) };
const starts = { ...queryStarts, keyStarts: tl.tensor("i32", 1) };

/**
 * The variant over documents that are packed along the third axes of tensors with batch size 1: queries and keys of document d are the rows from
 * `queryStarts` [d] and `keyStarts` [d] on, up to the next ones. Lengths, indices and distances are the document's own.
 */
export const withDocuments = <C extends Constants>(variant: Variant<any, C>): Variant<any, C> => ({
  ...variant,
  name: `${variant.name}_packed`,
  parameters: { ...variant.parameters, ...starts },
  documents: { queries: "queryStarts", keys: "keyStarts" },
});

/** A variant whose keys are found by sequence, such as a paged one, over queries that are packed in the same way, those of sequence d from `queryStarts` [d] on. */
export const withPackedQueries = <C extends Constants>(variant: Variant<any, C>): Variant<any, C> => ({
  ...variant,
  name: `${variant.name}_packed`,
  parameters: { ...variant.parameters, ...queryStarts },
  documents: { queries: "queryStarts" },
});
