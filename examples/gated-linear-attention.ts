/**
 * @file Linear attention with a decay in one file (retention, Mamba-2's dual form; arXiv 2307.08621, 2405.21060): S[t] = d[t] S[t-1] + k[t] v[t]ᵀ and
 * o[t] = q[t] S[t], by chunks. Within a chunk it is attention whose weights are decays; from one chunk to the next goes the state, which a loop
 * carries. One program takes a head and VALUE_DIM channels of its values. On a GPU q, k and v are copied ahead of their turn by themselves.
 *
 *   npx tilewright compile examples/gated-linear-attention.ts --target sm_80 --set T=bf16 --out out
 */
import { kernel, tl } from "tilewright";

export const gatedLinearAttention = kernel({
  name: "gated_linear_attention",
  constants: { CHUNK: 64, KEY_DIM: 64, VALUE_DIM: 64 },
  params: {
    q: tl.tensor("T", 3),
    k: tl.tensor("T", 3),
    v: tl.tensor("T", 3),
    logDecay: tl.tensor("f32", 2),
    out: tl.tensor("T", 3),
    final: tl.tensor("f32", 3),
  },
  grid: (p, { VALUE_DIM }) => [tl.cdiv(p.v.shape(2), VALUE_DIM), p.q.shape(0)],
  body(p, { CHUNK, KEY_DIM, VALUE_DIM }) {
    const head = tl.programId(1);
    const column = tl.programId(0).mul(VALUE_DIM);
    const causal = tl.arange(0, CHUNK).perRow().ge(tl.arange(0, CHUNK).perColumn());
    const start = { state: tl.zeros([KEY_DIM, VALUE_DIM], "f32") };
    const { state } = tl.loop({ to: p.q.shape(1), step: CHUNK }, start, (t, { state }) => {
      const q = p.q.load([head, t, 0], [CHUNK, KEY_DIM]);
      const k = p.k.load([head, t, 0], [CHUNK, KEY_DIM]);
      const v = p.v.load([head, t, column], [CHUNK, VALUE_DIM]);
      const decays = p.logDecay.load([head, t], [CHUNK]);
      // log(d[1] ... d[i]) within the chunk, and over all of it.
      const since = tl.cumsum(decays, 0);
      const total = tl.sum(decays, 0);
      const between = tl.where(causal, since.perRow().sub(since.perColumn()), Number.NEGATIVE_INFINITY).exp();
      const scores = tl.dot(q, k.trans()).mul(between);
      const past = tl.dot(q, state.to(p.q.dtype)).mul(since.exp().perRow());
      p.out.store([head, t, column], tl.dot(scores.to(p.v.dtype), v, past).to(p.out.dtype));
      const left = v.to("f32").mul(total.sub(since).exp().perRow());
      return { state: tl.dot(k.trans(), left.to(p.v.dtype), state.mul(total.exp())) };
    });
    p.final.store([head, 0, column], state);
  },
});
