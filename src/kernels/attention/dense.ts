/**
 * @file Softmax attention over all keys (CAUSAL = false), or over those that are not in the future, aligned at the bottom right:
 * query m sees key n iff N - M + m >= n.
 */
import { diagonal } from "./edges.ts";
import { defineVariant } from "./variant.ts";

export const dense = defineVariant({
  name: "dense",
  constants: { CAUSAL: true },
  spans: (_, at, { CAUSAL }) => (CAUSAL ? [{ to: diagonal(at, 0) }] : [{}]),
});
