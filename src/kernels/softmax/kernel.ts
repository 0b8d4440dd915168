/** @file Row softmax in f32: one program a row; COLUMNS is the row length rounded up to a power of two. */
import { kernel, tl } from "../../dsl/index.ts";

export const softmaxKernel = kernel({
  name: "softmax",
  constants: { COLUMNS: 1024 },
  params: { x: tl.tensor("T", 2), out: tl.tensor("T", 2) },
  grid: (p) => [p.x.shape(0)],
  body(p, { COLUMNS }) {
    const row = tl.programId(0);
    const inside = tl.arange(0, COLUMNS).lt(p.x.shape(1));
    const x = tl.where(inside, p.x.load([row, 0], [COLUMNS]).to("f32"), Number.NEGATIVE_INFINITY);
    const weights = tl.exp(x.sub(tl.max(x, 0)));
    p.out.store([row, 0], weights.fdiv(tl.sum(weights, 0)).to(p.out.dtype));
  },
});
