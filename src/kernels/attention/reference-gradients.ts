/**
 * @file Gradients of attention in plain TypeScript, to compare with, in f64 or as a framework's automatic differentiation computes them
 * naively in the tensors' own dtype.
 */
import {
  type Arithmetic,
  type AttentionCase,
  type AttentionExtras,
  type AttentionInputs,
  afterDropout,
  exactDot,
  keyHeadOf,
  type Values,
  weightsRow,
} from "./reference.ts";

export interface AttentionGradients {
  /** Of each term: [B, Hq, M, D] and [B, Hk, N, D]. */
  readonly terms: readonly { readonly dq: Float64Array; readonly dk: Float64Array }[];
  /** [B, Hk, N, E] */
  readonly dv: Float64Array;
}

/** Gradients of the sum of out ∘ dout. */
export function attentionGradients(
  c: AttentionCase & AttentionExtras,
  inputs: AttentionInputs,
  dout: Values,
  arithmetic: Arithmetic,
): AttentionGradients {
  const { batch, queryHeads, queries: M, keys: N, headDim: D, valueDim: E } = c;
  const { round } = arithmetic;
  const terms = inputs.terms.map(({ q, k }) => ({ dq: new Float64Array(q.length), dk: new Float64Array(k.length) }));
  const dv = new Float64Array(inputs.v.length);
  const dWeights = new Float64Array(N);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < queryHeads; h++)
      for (let m = 0; m < M; m++) {
        const { weights, terms: termOf, slopes } = weightsRow(c, inputs, b, h, m, arithmetic);
        const row = (b * queryHeads + h) * M + m;
        let delta = 0;
        for (let n = 0; n < N; n++) {
          if (termOf[n]! < 0) continue;
          const key = keyHeadOf(c, b, h) * N + n;
          const kept = round(afterDropout(c, weights[n]!, b, h, m, n));
          for (let e = 0; e < E; e++) dv[key * E + e]! += kept * dout[row * E + e]!;
          const dKept = round(exactDot(dout, row * E, inputs.v, key * E, E));
          dWeights[n] = round(afterDropout(c, dKept, b, h, m, n));
          delta += weights[n]! * dWeights[n]!;
        }
        for (let n = 0; n < N; n++) {
          if (termOf[n]! < 0) continue;
          const dLogit = round(weights[n]! * (dWeights[n]! - delta));
          const dProduct = round(round(dLogit * slopes[n]!) * c.scale);
          const key = keyHeadOf(c, b, h) * N + n;
          const { q, k } = inputs.terms[termOf[n]!]!;
          const { dq, dk } = terms[termOf[n]!]!;
          for (let d = 0; d < D; d++) {
            dq[row * D + d]! += dProduct * k[key * D + d]!;
            dk[key * D + d]! += dProduct * q[row * D + d]!;
          }
        }
      }
  return {
    terms: terms.map(({ dq, dk }) => ({ dq: dq.map(round), dk: dk.map(round) })),
    dv: dv.map(round),
  };
}
