/**
 * @file The gradient of an additive bias (`withBias`): the gradients of the logits, dS = P ∘ (dP - delta), summed over what shares an element of the bias: batch
 * entries, heads, queries. A program owns a tile of the bias and visits all who read it in a fixed order, so there are no atomics, and
 * nothing larger than the bias is stored.
 */
import { type Constants, type TensorView, type Tile, tl } from "../../dsl/index.ts";
import { attentionKernel } from "./declare.ts";
import { placeOf } from "./places.ts";
import { type Context, dropoutScale, keep, keepValues, keptShare, scoresOf } from "./scores.ts";
import type { Place, RuntimeIndex, Variant } from "./variant.ts";

const params = {
  dout: tl.tensor("T", 4),
  /** As in backward.ts. */
  statistics: tl.tensor("f32", 4),
  /** [B or 1, Hq or 1, M or 1, N] */
  dbias: tl.tensor("BIAS", 4),
};

/** dbias [B or 1, Hq or 1, M, N], of a variant with a bias. */
export const attentionBiasGradient = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_bias_gradient",
    params,
    grid: (p, { BLOCK_M, BLOCK_N }) => [
      tl.cdiv(p.dbias.shape(3), BLOCK_N),
      tl.cdiv(p.dbias.shape(2), BLOCK_M),
      p.dbias.shape(0).mul(p.dbias.shape(1)),
    ],
    body(p, context) {
      const { BLOCK_M, BLOCK_N } = context.c;
      const [from, first] = [tl.programId(0).mul(BLOCK_N), tl.programId(1).mul(BLOCK_M)];
      const { own, sum } = overReaders(
        context,
        tl.programId(2),
        tl.zeros([BLOCK_M, BLOCK_N], "f32"),
        (whole, total) => {
          const to = tl.maximum(tl.minimum(from.add(BLOCK_N), whole.keys), from);
          const at: Place = { ...whole, keyRange: { from, to } };
          const kept = keep(context, "queries", first, at);
          const dout = keepValues(context, "dout", kept, at);
          const statistic = (i: number) => p.statistics.at(i, at.batch, at.head).load([first], [BLOCK_M]).perRow();
          const grown = dropoutScale(context, at);
          const [shift, delta] = [statistic(0), statistic(1).mul(keptShare(grown))];
          const { factor, walk } = scoresOf(context, kept, at);
          return walk({ total }, (tile, s) => {
            const weights = tl.exp2(tile.logits.fma(factor, shift.neg()));
            const dWeights = tile.drop(tl.dot(dout, tile.load("v").trans()));
            return { total: s.total.add(weights.mul(dWeights.sub(delta)).mul(grown)) };
          }).total;
        },
      );
      own.store([first, from], sum.to(p.dbias.dtype));
    },
  });

/** dbias [B or 1, Hq or 1, 1, N], of a variant with a bias. */
export const attentionRowBiasGradient = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_row_bias_gradient",
    params,
    grid: (p, { BLOCK_N }) => [tl.cdiv(p.dbias.shape(3), BLOCK_N), 1, p.dbias.shape(0).mul(p.dbias.shape(1))],
    body(p, context) {
      const { BLOCK_M, BLOCK_N } = context.c;
      const first = tl.programId(0).mul(BLOCK_N);
      const { own, sum } = overReaders(context, tl.programId(2), tl.zeros([BLOCK_N], "f32"), (at, total) => {
        const kept = keep(context, "keys", first, at);
        const v = keepValues(context, "v", kept, at);
        const grown = dropoutScale(context, at);
        const { factor, walk } = scoresOf(context, kept, at);
        return walk({ total }, (tile, s) => {
          const rows = { inBounds: [tile.full] } as const;
          const statistic = (i: number) =>
            p.statistics.at(i, at.batch, at.head).load([tile.first], [BLOCK_M], rows).perColumn();
          const [shift, delta] = [statistic(0), statistic(1).mul(keptShare(grown))];
          const weights = tl.exp2(tile.logits.fma(factor, shift.neg()));
          const dWeights = tile.drop(tl.dot(v, tile.load("dout").trans()));
          return { total: s.total.add(tl.sum(weights.mul(dWeights.sub(delta)), 1).mul(grown)) };
        }).total;
      });
      own.at(0).store([first], sum.to(p.dbias.dtype));
    },
  });

/** The sum over the batch entries and heads that read matrix `number` of the bias, and that matrix of `dbias`. */
function overReaders<T extends Tile<"f32", any>>(
  context: Context,
  number: RuntimeIndex,
  zero: T,
  add: (at: Place, sum: T) => T,
): { readonly own: TensorView<"BIAS", 2>; readonly sum: T } {
  const { dbias, statistics } = context.p as Record<"dbias" | "statistics", TensorView<any, 4>>;
  const [batch, head] = [number.div(dbias.shape(1)), number.rem(dbias.shape(1))];
  const [batches, heads] = [statistics.shape(1).div(dbias.shape(0)), statistics.shape(2).div(dbias.shape(1))];
  const { sum } = tl.loop({ to: batches }, { sum: zero } as any, (i, ofBatches) =>
    tl.loop({ to: heads }, ofBatches as any, (j, s: any) => {
      const at = placeOf(context, batch.mul(batches).add(i), head.mul(heads).add(j));
      return { sum: add(at, s.sum) };
    }),
  ) as { sum: T };
  return { own: dbias.at(batch, head) as never, sum };
}
