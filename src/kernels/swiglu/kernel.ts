/** @file SwiGLU (Shazeer, arXiv 2002.05202): silu(gate) · up in f32, rounded once. */
import { kernel, tl } from "../../dsl/index.ts";

export const swigluKernel = kernel({
  name: "swiglu",
  constants: { BLOCK: 512 },
  params: { gate: tl.tensor("T", 2), up: tl.tensor("T", 2), out: tl.tensor("T", 2) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.gate.shape(1), BLOCK), p.gate.shape(0)],
  body(p, { BLOCK }) {
    const column = tl.programId(0).mul(BLOCK);
    const row = tl.programId(1);
    const gate = p.gate.load([row, column], [BLOCK]).to("f32");
    const up = p.up.load([row, column], [BLOCK]).to("f32");
    p.out.store([row, column], gate.mul(tl.sigmoid(gate)).mul(up).to(p.out.dtype));
  },
});
