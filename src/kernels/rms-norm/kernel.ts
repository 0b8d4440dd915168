/**
 * @file RMSNorm (Zhang and Sennrich, arXiv 1910.07467) in Aquila's form: statistics and the product with the weight in f32, one
 * rounding at the end. One program normalises one row; HIDDEN is the row length rounded up to a power of two.
 */
import { kernel, tl } from "../../dsl/index.ts";

export const rmsNormKernel = kernel({
  name: "rms_norm",
  constants: { HIDDEN: 4096 },
  params: { x: tl.tensor("T", 2), weight: tl.tensor("W", 1), out: tl.tensor("T", 2), epsilon: tl.scalar("f32") },
  grid: (p) => [p.x.shape(0)],
  body(p, { HIDDEN }) {
    const row = tl.programId(0);
    const x = p.x.at(row).load([0], [HIDDEN]).to("f32");
    const meanSquare = tl.sum(x.mul(x), 0).div(p.x.shape(1).to("f32"));
    const weight = p.weight.load([0], [HIDDEN]).to("f32");
    const y = x.mul(tl.rsqrt(meanSquare.add(p.epsilon))).mul(weight);
    p.out.at(row).store([0], y.to(p.out.dtype));
  },
});
