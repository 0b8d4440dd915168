/**
 * @file The attention that each key gets, summed over the queries: column sums of P (before dropout), f32 [B, Hq, N], from the operands
 * and `lse` alone. What cache-eviction policies such as H2O keep score with. One program keeps BLOCK_N keys and walks the queries of one head.
 */
import { type Constants, tl } from "../../dsl/index.ts";
import { attentionKernel } from "./declare.ts";
import { keep, placeOf, scoresOf, shiftOfLse } from "./scores.ts";
import type { Variant } from "./variant.ts";

export const attentionTotal = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_total",
    params: { lse: tl.tensor("f32", 3), total: tl.tensor("f32", 3) },
    grid: (p, { BLOCK_N }) => [tl.cdiv(p.total.shape(2), BLOCK_N), p.total.shape(1), p.total.shape(0)],
    body(p, context) {
      const { BLOCK_M, BLOCK_N } = context.c;
      const first = tl.programId(0).mul(BLOCK_N);
      const at = placeOf(context, "queries");
      const lse = p.lse.at(at.batch, at.head);
      const { factor, walk } = scoresOf(context, keep(context, "keys", first, at), at);
      const { total } = walk({ total: tl.zeros([BLOCK_N], "f32") }, (tile, s) => {
        const shift = shiftOfLse(lse.load([tile.first], [BLOCK_M], { inBounds: [tile.full] }));
        const weights = tl.exp2(tile.logits.fma(factor, shift.neg().perColumn()));
        return { total: s.total.add(tl.sum(weights, 1)) };
      });
      p.total.at(at.batch, at.head).store([first], total);
    },
  });
