/**
 * @file Softmax attention over all keys (CAUSAL = false), or over those that are not in the future, aligned at the bottom right:
 * query m sees key n iff N - M + m >= n.
 */
import { type Scalar, type TensorView, tl } from "../../dsl/index.ts";
import type { AttentionConstants, QueryBlock, RuntimeIndex, Scores, Segment, Variant } from "./variant.ts";

interface DenseParameters {
  readonly q: TensorView<"T", 4>;
  readonly k: TensorView<"T", 4>;
  readonly scale: Scalar<"f32">;
}

interface DenseConstants extends AttentionConstants {
  readonly CAUSAL: boolean;
}

/** Exponentials are taken to base 2: e^x = 2^(x · log2(e)). */
const log2e = Math.log2(Math.E);

export const dense: Variant = {
  name: "dense",
  parameters: { q: tl.tensor("T", 4), k: tl.tensor("T", 4) },
  constants: { CAUSAL: true },
  scores(p: DenseParameters, at: QueryBlock, c: DenseConstants): Scores {
    const { BLOCK_M, BLOCK_N, HEAD_DIM, PAD_HEAD, CAUSAL } = c;
    const q = p.q.at(at.batch, at.head).load([at.row, 0], [BLOCK_M, HEAD_DIM], { inBounds: [false, !PAD_HEAD] });
    const keys = p.k.at(at.batch, at.keyHead);
    const products = (firstKey: RuntimeIndex, inBounds: boolean) =>
      tl.dot(q, keys.load([firstKey, 0], [BLOCK_N, HEAD_DIM], { inBounds: [inBounds, !PAD_HEAD] }).trans());

    // The last key that query r of the block sees is seen[r] - 1; what the first query sees, all see.
    const firstSeen = at.keys.sub(at.queries).add(at.row).add(1);
    const seen = CAUSAL
      ? tl.minimum(tl.arange(0, BLOCK_M).add(firstSeen), at.keys)
      : tl.zeros([BLOCK_M], "i32").add(at.keys);
    const seenByAll = CAUSAL ? tl.maximum(tl.minimum(firstSeen, at.keys), 0) : at.keys;
    const seenByAny = CAUSAL ? tl.minimum(firstSeen.add(BLOCK_M - 1), at.keys) : at.keys;
    const unmaskedEnd = seenByAll.div(BLOCK_N).mul(BLOCK_N);

    const unmasked: Segment = {
      from: 0,
      to: unmaskedEnd,
      inBounds: true,
      logits: (firstKey) => products(firstKey, true),
    };
    const masked: Segment = {
      from: unmaskedEnd,
      to: seenByAny,
      inBounds: false,
      logits(firstKey) {
        const key = tl.arange(0, BLOCK_N).add(firstKey);
        return tl.where(key.perColumn().lt(seen.perRow()), products(firstKey, false), Number.NEGATIVE_INFINITY);
      },
    };
    return { segments: [unmasked, masked], factor: p.scale.mul(log2e) };
  },
};
