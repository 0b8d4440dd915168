/**
 * @file A custom attention in one file: each query sees itself and the WINDOW - 1 keys before it. Only the window's key blocks are visited,
 * and only the blocks that its two edges cut run mask code.
 *
 *   npx tilewright compile examples/sliding-window.ts --target sm_80 --set T=f16 --set WINDOW=1024 --out out
 */
import { type Scalar, type TensorView, tl } from "tilewright";
import { type AttentionConstants, attentionForward, type RuntimeIndex, type Variant } from "tilewright/kernels";

interface Parameters {
  readonly q: TensorView<"T", 4>;
  readonly k: TensorView<"T", 4>;
  readonly scale: Scalar<"f32">;
}

export const slidingWindow: Variant = {
  name: "sliding_window",
  parameters: { q: tl.tensor("T", 4), k: tl.tensor("T", 4) },
  constants: { WINDOW: 256 },
  scores(p: Parameters, at, { BLOCK_M, BLOCK_N, HEAD_DIM, PAD_HEAD, WINDOW }: AttentionConstants & { WINDOW: number }) {
    const q = p.q.at(at.batch, at.head).load([at.row, 0], [BLOCK_M, HEAD_DIM], { inBounds: [false, !PAD_HEAD] });
    const keys = p.k.at(at.batch, at.keyHead);
    const products = (firstKey: RuntimeIndex, inBounds: boolean) =>
      tl.dot(q, keys.load([firstKey, 0], [BLOCK_N, HEAD_DIM], { inBounds: [inBounds, !PAD_HEAD] }).trans());

    // Query r of the block stands at key position here[r], aligned at the bottom right, and sees (here[r] - WINDOW, here[r]].
    const firstHere = at.keys.sub(at.queries).add(at.row);
    const here = tl.arange(0, BLOCK_M).add(firstHere);
    const masked = (firstKey: RuntimeIndex) => {
      const key = tl.arange(0, BLOCK_N).add(firstKey).perColumn();
      const distance = here.perRow().sub(key);
      const seen = distance.ge(0).and(distance.lt(WINDOW)).and(key.lt(at.keys));
      return tl.where(seen, products(firstKey, false), Number.NEGATIVE_INFINITY);
    };

    const blockOf = (key: RuntimeIndex) => tl.maximum(key, 0).div(BLOCK_N).mul(BLOCK_N);
    const end = tl.minimum(firstHere.add(BLOCK_M), at.keys);
    // The first key that some query sees; the first block that lies in the window of all; the first block that some query's edge cuts.
    const from = blockOf(firstHere.sub(WINDOW - 1));
    const full = tl.minimum(blockOf(firstHere.add(BLOCK_M - WINDOW + BLOCK_N - 1)), blockOf(end));
    const cut = tl.maximum(full, blockOf(tl.minimum(firstHere.add(1), at.keys)));
    return {
      segments: [
        { from, to: tl.minimum(full, end), inBounds: false, logits: masked },
        { from: full, to: cut, inBounds: true, logits: (firstKey: RuntimeIndex) => products(firstKey, true) },
        { from: cut, to: end, inBounds: false, logits: masked },
      ],
      factor: p.scale.mul(Math.log2(Math.E)),
    };
  },
};

export default attentionForward(slidingWindow);
