/**
 * @file Attention to chosen blocks of keys in one file (the selected branch of NSA, MoBA; arXiv 2502.11089, 2502.13189): for each block of queries a list in
 * memory says which blocks of keys it sees; their number is known at run time only. On a GPU the list is read a turn early and the blocks are copied
 * ahead of their turn by themselves.
 *
 *   npx tilewright compile examples/selected-blocks.ts --target sm_80 --set T=bf16 --out out
 */
import { kernel, tl } from "tilewright";

export const selectedBlocks = kernel({
  name: "selected_blocks",
  constants: { BLOCK: 64, HEAD_DIM: 64 },
  // q, k, v and out [heads, length, HEAD_DIM]; blocks [heads, query blocks, at most so many], counts [heads, query blocks].
  params: {
    q: tl.tensor("T", 3),
    k: tl.tensor("T", 3),
    v: tl.tensor("T", 3),
    blocks: tl.tensor("i32", 3),
    counts: tl.tensor("i32", 2),
    out: tl.tensor("T", 3),
    scale: tl.scalar("f32"),
  },
  grid: (p, { BLOCK }) => [tl.cdiv(p.q.shape(1), BLOCK), p.q.shape(0)],
  body(p, { BLOCK, HEAD_DIM }) {
    const [block, head] = [tl.programId(0), tl.programId(1)];
    const first = block.mul(BLOCK);
    const q = p.q.load([head, first, 0], [BLOCK, HEAD_DIM]);
    const rows = tl.arange(0, BLOCK).add(first).perRow();
    // Weights are powers of two.
    const scale = p.scale.mul(Math.LOG2E);
    const start = {
      max: tl.full([BLOCK], -1e30, "f32"),
      sum: tl.zeros([BLOCK], "f32"),
      acc: tl.zeros([BLOCK, HEAD_DIM], "f32"),
    };
    const { sum, acc } = tl.loop({ to: p.counts.load([head, block], []) }, start, (i, state) => {
      const key = p.blocks.load([head, block, i], []).mul(BLOCK);
      const k = p.k.load([head, key, 0], [BLOCK, HEAD_DIM]);
      const v = p.v.load([head, key, 0], [BLOCK, HEAD_DIM]);
      const visible = tl.arange(0, BLOCK).add(key).perColumn().le(rows);
      const logits = tl.where(visible, tl.dot(q, k.trans()).mul(scale), Number.NEGATIVE_INFINITY);
      const max = state.max.maximum(tl.max(logits, 1));
      const weights = logits.sub(max.perRow()).exp2();
      const shrink = state.max.sub(max).exp2();
      return {
        max,
        sum: state.sum.mul(shrink).add(tl.sum(weights, 1)),
        acc: tl.dot(weights.to(p.v.dtype), v, state.acc.mul(shrink.perRow())),
      };
    });
    // A query that sees no key gets 0.
    p.out.store([head, first, 0], acc.div(sum.maximum(1e-30).perRow()).to(p.out.dtype));
  },
});
