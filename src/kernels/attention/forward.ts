/**
 * @file Memory-efficient attention, forward, over any variant (FlashAttention-2, arXiv 2307.08691, algorithm 1): one program walks
 * the keys of BLOCK_M queries of one head and keeps for each query the largest logit, the sum of weights and the weighted values.
 *
 * Shapes: q [B, Hq, M, D], k [B, Hk, N, D], v [B, Hk, N, E], out [B, Hq, M, E], lse [B, Hq, M]; Hq a multiple of Hk; any strides.
 */
import { kernel, type Scalar, type Tile, tl } from "../../dsl/index.ts";
import { dense } from "./dense.ts";
import type { BlockM, QueryBlock, Variant } from "./variant.ts";

const ln2 = Math.LN2;

export const attentionForward = (variant: Variant) =>
  kernel({
    name: variant === dense ? "attention_forward" : `attention_forward_${variant.name}`,
    constants: {
      BLOCK_M: 64,
      BLOCK_N: 64,
      HEAD_DIM: 64,
      VALUE_DIM: 64,
      PAD_HEAD: false,
      PAD_VALUE: false,
      ...variant.constants,
    },
    params: {
      ...variant.parameters,
      v: tl.tensor("T", 4),
      out: tl.tensor("T", 4),
      lse: tl.tensor("f32", 3),
      scale: tl.scalar("f32"),
    },
    grid: (p, { BLOCK_M }) => [tl.cdiv(p.out.shape(2), BLOCK_M), p.out.shape(1), p.out.shape(0)],
    body(p, constants) {
      const { BLOCK_M, BLOCK_N, VALUE_DIM, PAD_VALUE } = constants;
      const head = tl.programId(1);
      const group = p.out.shape(1).div(p.v.shape(1));
      const at: QueryBlock = {
        batch: tl.programId(2),
        head,
        keyHead: head.div(group),
        row: tl.programId(0).mul(BLOCK_M),
        queries: p.out.shape(2),
        keys: p.v.shape(2),
      };
      const values = p.v.at(at.batch, at.keyHead);
      const { segments, factor } = variant.scores(p, at, constants);

      let state = {
        max: tl.full([BLOCK_M], Number.NEGATIVE_INFINITY, "f32"),
        sum: tl.zeros([BLOCK_M], "f32"),
        acc: tl.zeros([BLOCK_M, VALUE_DIM], "f32"),
      };
      for (const segment of segments)
        state = tl.loop({ from: segment.from, to: segment.to, step: BLOCK_N }, state, (key, s) => {
          const logits = segment.logits(key);
          const max = tl.maximum(s.max, tl.max(logits, 1));
          const shift = shiftOf(max, factor);
          const weights = tl.exp2(logits.fma(factor, shift.neg().perRow()));
          const rescale = tl.exp2(s.max.fma(factor, shift.neg()));
          const value = values.load([key, 0], [BLOCK_N, VALUE_DIM], { inBounds: [segment.inBounds, !PAD_VALUE] });
          return {
            max,
            sum: s.sum.mul(rescale).add(tl.sum(weights, 1)),
            acc: tl.dot(weights.to(value.dtype), value, s.acc.mul(rescale.perRow())),
          };
        });

      // A query that sees no key has sum 0: its output is 0 and its lse -inf.
      const divisor = tl.where(state.sum.eq(0), 1, state.sum);
      const out = state.acc.mul(tl.full([BLOCK_M], 1, "f32").div(divisor).perRow());
      p.out.at(at.batch, head).store([at.row, 0], out.to(p.out.dtype), { inBounds: [false, !PAD_VALUE] });
      const lse = shiftOf(state.max, factor).add(tl.log2(state.sum)).mul(ln2);
      p.lse.at(at.batch, head).store([at.row], lse);
    },
  });

/** max · factor, and 0 for a query that has seen no key yet: so that its weights become 2^(-inf - 0) = 0 and not 2^(-inf + inf). */
function shiftOf(max: Tile<"f32", readonly [BlockM]>, factor: Scalar<"f32">): Tile<"f32", readonly [BlockM]> {
  return tl.where(max.eq(Number.NEGATIVE_INFINITY), 0, max.mul(factor));
}
