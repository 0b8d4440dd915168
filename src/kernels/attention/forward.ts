/**
 * @file Memory-efficient attention, forward, over any variant (FlashAttention-2, arXiv 2307.08691, algorithm 1): one program walks
 * the keys of BLOCK_M queries of one head and keeps for each query the largest logit, the sum of weights and the weighted values.
 *
 * Shapes: q [B, Hq, M, D], k [B, Hk, N, D], v [B, Hk, N, E], out [B, Hq, M, E], lse [B, Hq, M]; Hq a multiple of Hk; any strides.
 */
import { type Constants, type Dim, type Scalar, type Tile, tl } from "../../dsl/index.ts";
import { attentionKernel } from "./declare.ts";
import { type Context, dropoutScale, type Kept, keep, placeOf, scoresOf } from "./scores.ts";
import type { BlockM, Place, Variant } from "./variant.ts";

export const attentionForward = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_forward",
    params: { out: tl.tensor("T", 4), lse: tl.tensor("f32", 3) },
    grid: (p, { BLOCK_M }) => [tl.cdiv(p.out.shape(2), BLOCK_M), p.out.shape(1), p.out.shape(0)],
    body(p, context) {
      const { BLOCK_M, PAD_VALUE } = context.c;
      const first = tl.programId(0).mul(BLOCK_M);
      const at = placeOf(context, "queries");
      const { out, lse } = attendRows(context, keep(context, "queries", first, at), at);
      p.out.at(at.batch, at.head).store([first, 0], out.to(p.out.dtype), { inBounds: [false, !PAD_VALUE] });
      p.lse.at(at.batch, at.head).store([first], lse);
    },
  });

/** Output and normaliser of the kept queries; 0 and -inf for one that sees no key. */
export function attendRows(
  context: Context,
  kept: Kept<"queries">,
  at: Place,
): { readonly out: Tile<"f32", readonly [BlockM, Dim<"VALUE_DIM">]>; readonly lse: Tile<"f32", readonly [BlockM]> } {
  const { BLOCK_M, VALUE_DIM } = context.c;
  const { factor, walk } = scoresOf(context, kept, at);
  const { max, sum, acc } = walk(
    {
      max: tl.full([BLOCK_M], Number.NEGATIVE_INFINITY, "f32"),
      sum: tl.zeros([BLOCK_M], "f32"),
      acc: tl.zeros([BLOCK_M, VALUE_DIM], "f32"),
    },
    (tile, s) => {
      const max = tl.maximum(s.max, tl.max(tile.logits, 1));
      const shift = shiftOf(max, factor);
      const weights = tl.exp2(tile.logits.fma(factor, shift.neg().perRow()));
      const rescale = tl.exp2(s.max.fma(factor, shift.neg()));
      const value = tile.load("v");
      return {
        max,
        sum: s.sum.mul(rescale).add(tl.sum(weights, 1)),
        acc: tl.dot(tile.drop(weights).to(value.dtype), value, s.acc.mul(rescale.perRow())),
      };
    },
  );

  // A query that sees no key has sum 0.
  const divisor = tl.where(sum.eq(0), 1, sum);
  return {
    out: acc.mul(tl.full([BLOCK_M], 1, "f32").mul(dropoutScale(context, at)).div(divisor).perRow()),
    lse: shiftOf(max, factor).add(tl.log2(sum)).mul(Math.LN2),
  };
}

/** max · factor, and 0 for a query that has seen no key yet: so that its weights become 2^(-inf - 0) = 0 and not 2^(-inf + inf). */
function shiftOf(max: Tile<"f32", readonly [BlockM]>, factor: Scalar<"f32">): Tile<"f32", readonly [BlockM]> {
  return tl.where(max.eq(Number.NEGATIVE_INFINITY), 0, max.mul(factor));
}
