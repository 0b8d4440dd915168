/**
 * @file Memory-efficient attention, forward, over any variant (FlashAttention-2, arXiv 2307.08691, algorithm 1): one program walks
 * the keys of BLOCK_M queries of one head and keeps for each query the largest logit, the sum of weights and the weighted values.
 *
 * Shapes: q [B, Hq, M, D], k [B, Hk, N, D], v [B, Hk, N, E], out [B, Hq, M, E], lse [B, Hq, M]; Hq a multiple of Hk; any strides.
 */
import { type Constants, type Dim, type Scalar, type Tile, tl } from "../../dsl/index.ts";
import { attentionKernel } from "./declare.ts";
import { packHeads } from "./pack-heads.ts";
import { blockCount, blockOf } from "./places.ts";
import { type QueryResults, storeResults } from "./results.ts";
import { type Context, dropoutScale, type Kept, keep, log2e, queryRows, scoresOf } from "./scores.ts";
import type { BlockM, Place, Variant } from "./variant.ts";

/** How the kernels that walk keys make weights. */
export const weightConstants = {
  /**
   * Weights of moderate logits are 2^(logit · factor - shift), one operation for each logit instead of two: right within ±2^26, and where f16 does not bound
   * them ±2^30; beyond, a query counts as one that sees no key. Else they are 2^((logit - max) · factor), right for all finite logits.
   */
  FUSED_SHIFT: false,
};

export const attentionForward = <C extends Constants>(variant: Variant<any, C>) =>
  attentionKernel(variant, {
    name: "attention_forward",
    constants: {
      /** See `attendRows`. */
      LAZY_RESCALE: false,
      ...weightConstants,
      /** Whether the heads of a group share tiles (pack-heads.ts). */
      PACK_HEADS: false,
    },
    params: { ...variant.sink?.parameters, out: tl.tensor("T", 4), lse: tl.tensor("f32", 3) },
    grid(p, { BLOCK_M, PACK_HEADS }) {
      const [batch, heads, queries] = [p.out.shape(0), p.out.shape(1), p.out.shape(2)];
      if (!PACK_HEADS) return [blockCount(variant, p, "queries", queries, BLOCK_M), heads, batch];
      const keyHeads = p.v.shape(1);
      return [blockCount(variant, p, "queries", tl.cdiv(queries.mul(heads), keyHeads), BLOCK_M), keyHeads, batch];
    },
    body(p, context, { LAZY_RESCALE, FUSED_SHIFT, PACK_HEADS }) {
      const { at: whole, first } = blockOf(context, "queries", tl.programId(0), PACK_HEADS);
      const own = PACK_HEADS ? packHeads(context, whole) : { context, at: whole };
      const kept = keep(own.context, "queries", first, own.at);
      const results = attendRows(own.context, kept, own.at, { fused: FUSED_SHIFT, lazy: LAZY_RESCALE });
      storeResults(results, p, own.at, first, context.c.PAD_VALUE);
    },
  });

/**
 * Output and normaliser of the kept queries; 0 and -inf for one that sees no key. `fused`: FUSED_SHIFT. `lazy`: the logit that weights are relative to follows
 * the largest one only where that has grown by much (FlashAttention-4), so that most tiles leave what is summed as it is. The result is the same.
 */
export function attendRows(
  context: Context,
  kept: Kept<"queries">,
  at: Place,
  { fused, lazy }: { readonly fused: boolean; readonly lazy: boolean },
): QueryResults {
  const { BLOCK_M, VALUE_DIM } = context.c;
  const { factor, unit, moderate, walk } = scoresOf(context, kept, at);
  const exact = !(fused && moderate);
  const slack = tl.div(mostGrowth, factor);
  const walked = walk(
    {
      max: tl.full([BLOCK_M], lowest, "f32"),
      sum: tl.zeros([BLOCK_M], "f32"),
      acc: tl.zeros([BLOCK_M, VALUE_DIM], "f32"),
    },
    (tile, s) => {
      const largest = tl.max(tile.logits, 1);
      const grows = lazy && largest.gt(s.max.add(slack));
      const max = grows ? tl.where(grows, largest, s.max) : tl.maximum(s.max, largest);
      const exponents = exact
        ? tile.logits.sub(max.perRow()).mul(factor)
        : tile.logits.fma(factor, shiftOf(max, factor).neg().perRow());
      const weights = tl.exp2(exponents);
      // 1 where nothing has grown: s.max · factor - shift would be what rounding leaves, once more in every tile.
      const rescale = tl.exp2(s.max.sub(max).mul(factor));
      const rescaled = s.acc.mul(rescale.perRow());
      const acc = grows ? tl.where(grows.perRow(), rescaled, s.acc) : rescaled;
      const sum = s.sum.mul(rescale).add(tl.sum(weights, 1));
      const value = tile.load("v");
      const kept = tile.drop(weights).to(value.dtype);
      return { max, sum, acc: tl.dot(kept, value, acc) };
    },
  );

  const { max, sum, acc } = exact ? walked : withinReach(walked, factor, kept);
  const own = exact ? tl.maximum(max.mul(unit), lowest) : shiftOf(max, factor).mul(Math.LN2);
  const sink = sinkOf(context, kept, at);
  const top = sink ? tl.maximum(own, sink) : own;
  const relative = (logit: typeof own) => tl.exp2(logit.sub(top).mul(log2e));
  const rescale = sink ? relative(own) : tl.full([BLOCK_M], 1, "f32");
  const total = sink ? sum.fma(rescale, relative(sink)) : sum;
  // A query that sees no key has sum 0.
  const seesNone = total.eq(0);
  const divisor = tl.where(seesNone, 1, total);
  const lse = tl.log2(total).fma(Math.LN2, top);
  return {
    out: acc.mul(rescale.mul(dropoutScale(context, at)).div(divisor).perRow()),
    lse,
    lost: tl.where(seesNone, 0, tl.log2(divisor).fma(Math.LN2, top.sub(lse))),
  };
}

/** What a program has summed up for each query. */
interface Sums {
  readonly max: Tile<"f32", readonly [BlockM]>;
  readonly sum: Tile<"f32", readonly [BlockM]>;
  readonly acc: Tile<"f32", readonly [BlockM, Dim<"VALUE_DIM">]>;
}

/**
 * Of fused weights: a query whose max · factor is rounded by so much that its weights may leave the range of their dtype counts as one that sees no key. (Half
 * a unit in the last place is 4 powers of two up to 2^27, 64 up to 2^31; `mostGrowth` comes on top.)
 */
function withinReach({ max, sum, acc }: Sums, factor: Scalar<"f32">, { operands }: Kept<"queries">): Sums {
  const dtype: string = Object.values(operands)[0]![0]!.dtype;
  const most = dtype === "f16" ? 2 ** 27 : 2 ** 31;
  const beyond = max.ne(lowest).and(max.mul(factor).abs().ge(most));
  return {
    max: tl.where(beyond, lowest, max),
    sum: tl.where(beyond, 0, sum),
    acc: tl.where(beyond.perRow(), 0, acc),
  };
}

/** The variant's sinks, which join the sums of weights once: with the first keys. */
function sinkOf(
  { variant, p, c }: Context,
  kept: Kept<"queries">,
  at: Place,
): Tile<"f32", readonly [BlockM]> | undefined {
  const sink = variant.sink?.logit(p, queryRows(at, kept), c);
  const first = at.keyRange?.first;
  return sink && first ? tl.where(first, sink, Number.NEGATIVE_INFINITY) : sink;
}

/** By how much exponents to base 2 may grow: weights then reach 2^8, which f16 holds as exactly as 1. */
const mostGrowth = 8;

/** The lowest finite f32: the largest logit of a query that has seen no key yet. */
const lowest = -(2 ** 128 - 2 ** 104);

/** max · factor, but finite in any case: so that weights of keys that are not seen become 2^(-inf - x) = 0 and not 2^(-inf + inf). */
function shiftOf(max: Tile<"f32", readonly [BlockM]>, factor: Scalar<"f32">): Tile<"f32", readonly [BlockM]> {
  return tl.maximum(max.mul(factor), lowest);
}
