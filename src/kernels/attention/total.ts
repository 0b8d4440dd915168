/**
 * @file The attention that each key gets, summed over the queries: column sums of P (before dropout), f32 [B, Hq, N], from the operands
 * and `lse` alone. What cache-eviction policies such as H2O keep score with. One program keeps BLOCK_N keys and walks the queries of one head.
 */
import { type Constants, tl } from "../../dsl/index.ts";
import { attentionKernel } from "./declare.ts";
import { blockCount, blockOf, entriesOf, resultEntriesOf, zeroBeyond } from "./places.ts";
import { keep, scoresOf, shiftOfLse } from "./scores.ts";
import type { Variant } from "./variant.ts";

export const attentionTotal = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_total",
    params: { lse: tl.tensor("f32", 3), total: tl.tensor("f32", 3) },
    grid: (p, { BLOCK_N }) => [
      blockCount(variant, p, "keys", p.total.shape(2), BLOCK_N),
      p.total.shape(1),
      p.total.shape(0),
    ],
    body(p, context) {
      const { BLOCK_M, BLOCK_N } = context.c;
      const { at, first } = blockOf(context, "keys", tl.programId(0), false);
      const lse = entriesOf(p.lse.at(at.batch, at.head), at, "queries");
      const { factor, walk } = scoresOf(context, keep(context, "keys", first, at), at);
      const { total } = walk({ total: tl.zeros([BLOCK_N], "f32") }, (tile, s) => {
        const shift = shiftOfLse(lse.load([tile.first], [BLOCK_M], { inBounds: [tile.full] }));
        const weights = tl.exp2(tile.logits.fma(factor, shift.neg().perColumn()));
        return { total: s.total.add(tl.sum(weights, 1)) };
      });
      resultEntriesOf(p.total.at(at.batch, at.head), at, "keys").store([first], zeroBeyond(total, at, "keys", first));
    },
  });
