/**
 * @file Sums over the rows of a matrix in a fixed order: the second stage of sums whose first stage left one partial result a group of rows,
 * so that nothing needs an atomic addition and two runs give the same bits.
 */
import { kernel, tl } from "../../dsl/index.ts";

/** out[column] = Σ over rows of partial[row, column], in f32 with one rounding. One program sums BLOCK columns. */
export const columnSumKernel = kernel({
  name: "column_sum",
  constants: { BLOCK_ROWS: 16, BLOCK: 64 },
  params: { partial: tl.tensor("f32", 2), out: tl.tensor("T", 1) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.out.shape(0), BLOCK)],
  body(p, { BLOCK_ROWS, BLOCK }) {
    const column = tl.programId(0).mul(BLOCK);
    const state = { sums: tl.zeros([BLOCK_ROWS, BLOCK], "f32") };
    const { sums } = tl.loop({ to: p.partial.shape(0), step: BLOCK_ROWS }, state, (row, s) => ({
      sums: s.sums.add(p.partial.load([row, column], [BLOCK_ROWS, BLOCK])),
    }));
    p.out.store([column], tl.sum(sums, 0).to(p.out.dtype));
  },
});
