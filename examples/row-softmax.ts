/**
 * @file A kernel that nobody needs but everybody understands: the softmax of each row of a matrix. One program takes one row.
 * `npx tilewright compile examples/row-softmax.ts --target wgsl --set T=f32 --out build`
 */
import { kernel, tl } from "tilewright";

export const rowSoftmax = kernel({
  name: "row_softmax",
  // The extents of tiles are compile-time powers of two: COLUMNS is the row length rounded up.
  constants: { COLUMNS: 1024 },
  params: { x: tl.tensor("T", 2), out: tl.tensor("T", 2) },
  grid: (p) => [p.x.shape(0)],
  body(p, { COLUMNS }) {
    const row = tl.programId(0);
    // Past the end of the row a load gives 0, which must not count: e^-inf is 0.
    const inside = tl.arange(0, COLUMNS).lt(p.x.shape(1));
    const x = tl.where(inside, p.x.load([row, 0], [COLUMNS]).to("f32"), Number.NEGATIVE_INFINITY);
    // Subtracting the largest element first keeps e^x from overflowing.
    const weights = tl.exp(x.sub(tl.max(x, 0)));
    // Past the end of the row a store writes nothing.
    p.out.store([row, 0], weights.div(tl.sum(weights, 0)).to(p.out.dtype));
  },
});
