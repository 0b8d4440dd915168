/**
 * @file PiecewiseAttention (FlagAttention): two position embeddings of queries and keys, one softmax. Keys at least `threshold` behind the
 * query are scored by q2·k2, nearer ones by q1·k1 (signed distance, so the future is near). A tile that the threshold does not cross
 * multiplies one pair only.
 */
import { tl } from "../../dsl/index.ts";
import { diagonal } from "./edges.ts";
import { defineVariant } from "./variant.ts";

export const piecewise = defineVariant({
  name: "piecewise",
  terms: [
    { q: "q1", k: "k1" },
    { q: "q2", k: "k2" },
  ],
  parameters: { threshold: tl.scalar("i32") },
  constants: { CAUSAL: true },
  spans: (p, at, { CAUSAL }) => [
    { to: diagonal(at, p.threshold), term: 1 },
    CAUSAL ? { to: diagonal(at, 0), term: 0 } : { term: 0 },
  ],
});
