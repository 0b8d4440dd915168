/**
 * @file A matrix product with weights of 4 bits in one file, as GPTQ stores them (arXiv 2210.17323): eight to a word along the inner axis, a scale and a
 * zero for each column of each group of rows. Packed words stay packed until the turn that multiplies them; on a GPU they are copied ahead
 * as they are, and unpacked in registers on the way to the tensor cores.
 *
 *   npx tilewright compile examples/four-bit-matmul.ts --target sm_80 --out out
 */
import { kernel, tl } from "tilewright";

/** Rows of weights that share a scale and a zero. */
export const GROUP = 64;

export const fourBitMatmul = kernel({
  name: "matmul_w4",
  constants: { M: 16, N: 64, K: GROUP },
  params: {
    a: tl.tensor("f16", 2),
    words: tl.tensor("i32", 2),
    scales: tl.tensor("f16", 2),
    zeros: tl.tensor("i32", 2),
    out: tl.tensor("f16", 2),
  },
  grid: (p, { M, N }) => [tl.cdiv(p.out.shape(1), N), tl.cdiv(p.out.shape(0), M)],
  body(p, { M, N, K }) {
    tl.staticAssert(GROUP % K === 0, `K must divide ${GROUP}: a turn has the scales of one group, got ${K}`);
    const [column, row] = [tl.programId(0).mul(N), tl.programId(1).mul(M)];
    const columns = tl.arange(0, N).add(column);
    const WORDS = tl.dim("WORDS", K / 8);
    const shifts = tl.arange(0, 8).mul(4).expandDims(0).expandDims(2);
    const { sums } = tl.loop({ to: p.a.shape(1), step: K }, { sums: tl.zeros([M, N], "f32") }, (k, { sums }) => {
      const nibbles = p.words
        .load([k.div(8), column], [WORDS, N])
        .expandDims(1)
        .shr(shifts)
        .and(15)
        .reshape([K, N]);
      const group = k.div(GROUP);
      const zeroWord = p.zeros.at(group).pointer.add(columns.div(8));
      const zero = tl
        .load(zeroWord, { mask: columns.lt(p.out.shape(1)) })
        .shr(columns.rem(8).mul(4))
        .and(15);
      const scale = p.scales.load([group, column], [N]);
      const weights = nibbles.sub(zero.perColumn()).to("f16").mul(scale.perColumn());
      return { sums: tl.dot(p.a.load([row, k], [M, K]), weights, sums) };
    });
    p.out.store([row, column], sums.to("f16"));
  },
});
