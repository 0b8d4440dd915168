/**
 * @file Memory-efficient attention, backward, over any variant (FlashAttention-2, arXiv 2307.08691, algorithm 2), split in two kernels that
 * need no atomics and so give the same bits in every run: one keeps queries and sums dq over the keys, one keeps keys and sums dk and dv over
 * the queries of every head that reads them. Both recompute the weights from the rows' statistics, which a small kernel prepares.
 *
 *   P = 2^(logit · factor - shift)      dV = Pᵀ dO      dP = dO Vᵀ      dS = P ∘ (dP - delta)      dQ = dS K · scale      dK = dSᵀ Q · scale
 *
 * With dropout, dP and the P of dV are those of the kept weights, times g = 1 / (1 - probability); g is taken out of both sums:
 * dS = g · P ∘ (kept dP - delta / g).
 *
 * Each kernel's gradients are slices of one tensor, because WebGPU guarantees 8 buffers a kernel.
 */
import { type Constants, kernel, tl } from "../../dsl/index.ts";
import { attentionKernel } from "./declare.ts";
import { blockCount, blockOf, entriesOf, memberOf, resultsOf, zeroBeyond } from "./places.ts";
import {
  dropoutScale,
  type Gradients,
  keep,
  keepValues,
  keptShare,
  noGradients,
  scoresOf,
  shiftOfLse,
  storeGradients,
} from "./scores.ts";
import { keysSeen } from "./segments.ts";
import { type BlockN, tensorNames, type Variant } from "./variant.ts";

/**
 * Of up to so many keys a query's delta is taken from the weights. Beyond, delta from the rounded output costs gradients less than the naive computation
 * loses by rounding its weights (f16, ten queries, D 16 and 128, inputs of standard deviation 1 and 3: the 99th of 100 random problems has 0.3 to 0.7 of
 * the allowed error at 128 keys, 0.6 to 0.9 at 32, 0.7 to 3 at 2 to 8).
 */
export const fewKeys = 64;

/** `statistics` [2, B, Hq, M], f32: 0 holds the shift of the exponents, lse · log2(e); 1 holds delta, the sum of out ∘ dout over channels. */
export const attentionBackwardStatistics = kernel({
  name: "attention_backward_statistics",
  constants: { BLOCK_M: 64, VALUE_DIM: 64, PAD_VALUE: false },
  params: {
    out: tl.tensor("T", 4),
    dout: tl.tensor("T", 4),
    lse: tl.tensor("f32", 3),
    statistics: tl.tensor("f32", 4),
  },
  grid: (p, { BLOCK_M }) => [tl.cdiv(p.out.shape(2), BLOCK_M), p.out.shape(1), p.out.shape(0)],
  body(p, { BLOCK_M, VALUE_DIM, PAD_VALUE }) {
    const [row, head, batch] = [tl.programId(0).mul(BLOCK_M), tl.programId(1), tl.programId(2)];
    const load = (tensor: typeof p.out) =>
      tensor
        .at(batch, head)
        .load([row, 0], [BLOCK_M, VALUE_DIM], { inBounds: [false, !PAD_VALUE] })
        .to("f32");
    p.statistics.at(0, batch, head).store([row], shiftOfLse(p.lse.at(batch, head).load([row], [BLOCK_M])));
    p.statistics.at(1, batch, head).store([row], tl.sum(load(p.out).mul(load(p.dout)), 1));
  },
});

/**
 * delta once more where queries see few keys, as the mean of dP by the weights P: from the same f32 numbers that it is subtracted from. There weights are
 * large, and out in 16 bits is rounded too coarsely for what remains of dP - delta: gradients of queries of 2 keys could have five times the allowed error.
 * A program does so for a block with a query that sees 1 to FEW_KEYS keys: under a causal mask the first queries that see any.
 */
export const attentionBackwardDelta = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_backward_delta",
    constants: { FEW_KEYS: fewKeys },
    params: { dout: tl.tensor("T", 4), statistics: tl.tensor("f32", 4) },
    grid: (p, { BLOCK_M }) => [
      blockCount(variant, p, "queries", p.dout.shape(2), BLOCK_M),
      p.dout.shape(1),
      p.dout.shape(0),
    ],
    body(p, context, { FEW_KEYS }) {
      const { BLOCK_M } = context.c;
      const { at, first } = blockOf(context, "queries", tl.programId(0));
      const seen = keysSeen(context, { side: "queries", first, extent: BLOCK_M }, at);
      const fewest = tl.min(tl.where(seen.gt(0), seen, FEW_KEYS + 1));
      tl.if(fewest.le(FEW_KEYS), () => {
        const kept = keep(context, "queries", first, at);
        const dout = keepValues(context, "dout", kept, at);
        const statistic = (i: number) => entriesOf(p.statistics.at(i, at.batch, at.head), at, "queries");
        const shift = statistic(0).load([first], [BLOCK_M]).perRow();
        const { factor, walk } = scoresOf(context, kept, at, false);
        const zero = tl.zeros([BLOCK_M], "f32");
        const { sum, total } = walk({ sum: zero, total: zero }, (tile, s) => {
          const weights = tl.exp2(tile.logits.fma(factor, shift.neg()));
          const dWeights = tile.drop(tl.dot(dout, tile.load("v").trans()));
          return { sum: s.sum.add(tl.sum(weights.mul(dWeights), 1)), total: s.total.add(tl.sum(weights, 1)) };
        });
        const delta = sum.mul(dropoutScale(context, at));
        // The weights' common error, which lse has from rounding, cancels. With a sink they do not add up to 1.
        const mean = variant.sink ? delta : delta.div(tl.where(total.eq(0), 1, total));
        statistic(1).store([first], mean);
      });
    },
  });

/** dq [tensors, B, Hq, M, D]: the gradients of the variant's query tensors, in the order of `tensorNames`. */
export const attentionBackwardQueries = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_backward_queries",
    params: { dout: tl.tensor("T", 4), statistics: tl.tensor("f32", 4), dq: tl.tensor("T", 5) },
    grid: (p, { BLOCK_M }) => [
      blockCount(variant, p, "queries", p.dout.shape(2), BLOCK_M),
      p.dout.shape(1),
      p.dout.shape(0),
    ],
    body(p, context) {
      const { BLOCK_M } = context.c;
      const { at, first } = blockOf(context, "queries", tl.programId(0));
      const kept = keep(context, "queries", first, at);
      const dout = keepValues(context, "dout", kept, at);
      const statistic = (i: number) =>
        entriesOf(p.statistics.at(i, at.batch, at.head), at, "queries")
          .load([first], [BLOCK_M])
          .perRow();
      const grown = dropoutScale(context, at);
      const [shift, delta] = [statistic(0), statistic(1).mul(keptShare(grown))];
      const { factor, walk } = scoresOf(context, kept, at);

      const sums = walk(noGradients(kept), (tile, s) => {
        const weights = tl.exp2(tile.logits.fma(factor, shift.neg()));
        const dWeights = tile.drop(tl.dot(dout, tile.load("v").trans()));
        return tile.accumulate(weights.mul(dWeights.sub(delta)), s);
      });
      storeGradients(context, kept, at, sums, p.scale.mul(grown), (i) => p.dq.at(i, at.batch, at.head));
    },
  });

/**
 * dkv [tensors + 1, B, Hk, N, max(D, E)]: the gradients of the variant's key tensors, in the order of `tensorNames`, then dv. What is
 * beyond a gradient's own channels means nothing.
 */
export const attentionBackwardKeys = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_backward_keys",
    params: { dout: tl.tensor("T", 4), statistics: tl.tensor("f32", 4), dkv: tl.tensor("T", 5) },
    grid: (p, { BLOCK_N }) => [blockCount(variant, p, "keys", p.dkv.shape(3), BLOCK_N), p.dkv.shape(2), p.dkv.shape(1)],
    body(p, context) {
      const { BLOCK_M, BLOCK_N, VALUE_DIM, PAD_VALUE } = context.c;
      const { at: own, first } = blockOf(context, "keys", tl.programId(0));
      const kept = keep(context, "keys", first, own);
      const v = keepValues(context, "v", kept, own);
      const grown = dropoutScale(context, own);

      const start: Gradients<BlockN> = noGradients(kept);
      const zero = { ...start, dv: tl.zeros([BLOCK_N, VALUE_DIM], "f32") };
      const { dv, ...sums } = tl.loop({ to: own.group }, zero, (member, ofMembers) => {
        const at = memberOf(own, member);
        const { factor, walk } = scoresOf(context, kept, at);
        return walk(ofMembers, (tile, { dv, ...s }) => {
          const statistic = (i: number) =>
            entriesOf(p.statistics.at(i, at.batch, at.head), at, "queries")
              .load([tile.first], [BLOCK_M], { inBounds: [tile.full] })
              .perColumn();
          const [shift, delta] = [statistic(0), statistic(1).mul(keptShare(grown))];
          const dout = tile.load("dout");
          const weights = tl.exp2(tile.logits.fma(factor, shift.neg()));
          const dWeights = tile.drop(tl.dot(v, dout.trans()));
          return {
            ...tile.accumulate(weights.mul(dWeights.sub(delta)), s),
            dv: tl.dot(tile.drop(weights).to(dout.dtype), dout, dv),
          };
        });
      });
      const into = (i: number) => p.dkv.at(i, own.batch, own.keyHead);
      storeGradients(context, kept, own, sums as typeof start, p.scale.mul(grown), into);
      const gradient = zeroBeyond(dv.mul(grown), own, "keys", first).to(p.dkv.dtype);
      resultsOf(into(tensorNames(variant, "keys").length), own, "keys").store([first, 0], gradient, {
        inBounds: [false, !PAD_VALUE],
      });
    },
  });
