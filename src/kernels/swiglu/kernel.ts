/** @file SwiGLU (Shazeer, arXiv 2002.05202): silu(gate) · up in f32, rounded once; and its gradients. */
import { kernel, type TensorView, tl } from "../../dsl/index.ts";

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

/**
 * With s = sigmoid(gate): dup = dout · gate · s and dgate = dout · up · s · (1 + gate · (1 - s)). sigmoid(-gate) is 1 - s without the
 * cancellation.
 */
export const swigluBackwardKernel = kernel({
  name: "swiglu_backward",
  constants: { BLOCK: 512 },
  params: {
    gate: tl.tensor("T", 2),
    up: tl.tensor("T", 2),
    dout: tl.tensor("T", 2),
    dgate: tl.tensor("T", 2),
    dup: tl.tensor("T", 2),
  },
  grid: (p, { BLOCK }) => [tl.cdiv(p.gate.shape(1), BLOCK), p.gate.shape(0)],
  body(p, { BLOCK }) {
    const column = tl.programId(0).mul(BLOCK);
    const row = tl.programId(1);
    const load = (view: TensorView<"T", 2>) => view.load([row, column], [BLOCK]).to("f32");
    const [gate, up, dout] = [load(p.gate), load(p.up), load(p.dout)];
    const scaled = dout.mul(tl.sigmoid(gate));
    const slope = gate.fma(tl.sigmoid(gate.neg()), 1);
    p.dup.store([row, column], scaled.mul(gate).to(p.dup.dtype));
    p.dgate.store([row, column], scaled.mul(up).mul(slope).to(p.dgate.dtype));
  },
});
