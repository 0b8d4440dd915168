/**
 * @file Brings together what attention gave for disjoint sets of keys. The state (out, lse) of a query over a set of keys is associative:
 * over the union, lse = log Σ e^lse_s and out = Σ e^(lse_s - lse) · out_s. In f32, in the order of the parts.
 */
import { kernel, tl } from "../../dsl/index.ts";
import { log2e } from "./scores.ts";

/**
 * `partial` [parts, B, Hk, G, M, VALUE_DIM + 4] (split-kv.ts says what a row holds) to out [B, Hk · G, M, E] and lse [B, Hk · G, M]. A query
 * that saw no key in any part has output 0 and lse -inf.
 */
export const attentionMergeKernel = kernel({
  name: "attention_merge",
  constants: { BLOCK_M: 16, VALUE_DIM: 64, PAD_VALUE: false },
  params: { partial: tl.tensor("f32", 6), out: tl.tensor("T", 4), lse: tl.tensor("f32", 3) },
  grid: (p, { BLOCK_M }) => [tl.cdiv(p.out.shape(2), BLOCK_M), p.out.shape(1), p.out.shape(0)],
  body(p, { BLOCK_M, VALUE_DIM, PAD_VALUE }) {
    const [first, head, batch] = [tl.programId(0).mul(BLOCK_M), tl.programId(1), tl.programId(2)];
    const group = p.partial.shape(3);
    const start = {
      max: tl.full([BLOCK_M, 1], Number.NEGATIVE_INFINITY, "f32"),
      sum: tl.zeros([BLOCK_M, 1], "f32"),
      acc: tl.zeros([BLOCK_M, VALUE_DIM], "f32"),
    };
    const { max, sum, acc } = tl.loop({ to: p.partial.shape(0) }, start, (part, s) => {
      const rows = p.partial.at(part, batch, head.div(group), head.rem(group));
      // Rows beyond the last are read as lse 0 and output 0, and never stored.
      const [lse, lost] = [VALUE_DIM, VALUE_DIM + 1].map((column) =>
        rows.load([first, column], [BLOCK_M, 1], { inBounds: [1] }),
      ) as [typeof s.max, typeof s.max];
      const out = rows.load([first, 0], [BLOCK_M, VALUE_DIM], { inBounds: [1] });
      const max = tl.maximum(s.max, lse);
      // A query that has seen no key yet: 2^(-inf - 0) = 0, and not 2^(-inf + inf).
      const shift = tl.where(max.eq(Number.NEGATIVE_INFINITY), 0, max);
      const rescale = tl.exp2(s.max.sub(shift).mul(log2e));
      const weight = tl.exp2(lse.sub(shift).add(lost).mul(log2e));
      return {
        max,
        sum: s.sum.mul(rescale).add(weight),
        acc: s.acc.mul(rescale).add(out.mul(weight)),
      };
    });
    const seen = sum.gt(0);
    const out = acc.fdiv(tl.where(seen, sum, 1)).to(p.out.dtype);
    p.out.at(batch, head).store([first, 0], out, { inBounds: [false, !PAD_VALUE] });
    const lse = tl.where(seen, max.add(tl.log(sum)), Number.NEGATIVE_INFINITY);
    p.lse.at(batch, head).store([first], lse.reshape([BLOCK_M]));
  },
});
