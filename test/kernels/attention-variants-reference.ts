/**
 * @file Attention under any mask and any function of the logits, forward and gradients, in plain TypeScript: every element of the score matrix is asked one by
 * one. It knows nothing of edges, segments or variants. In f64, or with every tensor-sized intermediate rounded to a dtype, as a framework has it.
 */
import type { AttentionCase } from "../../src/kernels/index.ts";

export interface DenseProblem extends Omit<AttentionCase, "causal"> {
  /** Which of the terms scores an element; undefined where the query does not see the key. */
  readonly term: (b: number, h: number, m: number, n: number) => number | undefined;
  /** The logit of q·k · scale, without the bias, and its derivative. */
  readonly logit?: (
    scaled: number,
    b: number,
    h: number,
    m: number,
    n: number,
  ) => readonly [logit: number, slope: number];
  /** [B, Hq, M, N], repeated along axes of size 1. */
  readonly bias?: { readonly values: ArrayLike<number>; readonly shape: readonly number[] };
  /** [Hq] */
  readonly sinks?: ArrayLike<number>;
  readonly dropout?: {
    readonly probability: number;
    readonly keep: (b: number, h: number, m: number, n: number) => boolean;
  };
}

export interface DenseInputs {
  readonly terms: readonly { readonly q: ArrayLike<number>; readonly k: ArrayLike<number> }[];
  readonly v: ArrayLike<number>;
  readonly dout: ArrayLike<number>;
}

/** Results and the gradients of the sum of out ∘ dout, by name: out, lse, totalAttention, dq1, dk1, ..., dv, dbias, dsinks. */
export type DenseResults = Readonly<Record<string, Float64Array>>;

/** `roundLogit`: where logits are kept in another dtype than the other intermediates. */
export function denseAttention(
  c: DenseProblem,
  { terms, v, dout }: DenseInputs,
  round: (x: number) => number = (x) => x,
  roundLogit = round,
): DenseResults {
  const { batch, queryHeads: H, keyHeads, queries: M, keys: N, headDim: D, valueDim: E } = c;
  const out = new Float64Array(batch * H * M * E);
  const lse = new Float64Array(batch * H * M);
  const total = new Float64Array(batch * H * N);
  const [dqs, dks] = [
    terms.map(({ q }) => new Float64Array(q.length)),
    terms.map(({ k }) => new Float64Array(k.length)),
  ];
  const dv = new Float64Array(v.length);
  const dbias = new Float64Array(c.bias?.values.length ?? 0);
  const dsinks = new Float64Array(c.sinks?.length ?? 0);
  const biasAt = (...place: readonly number[]) =>
    c.bias!.shape.reduce((at, size, axis) => at * size + (size === 1 ? 0 : place[axis]!), 0);

  for (let b = 0; b < batch; b++)
    for (let h = 0; h < H; h++) {
      const keyHead = b * keyHeads + Math.floor(h / (H / keyHeads));
      for (let m = 0; m < M; m++) {
        const row = (b * H + h) * M + m;
        const seen: { n: number; term: number; slope: number; logit: number; weight: number }[] = [];
        for (let n = 0; n < N; n++) {
          const term = c.term(b, h, m, n);
          if (term === undefined) continue;
          let product = 0;
          for (let d = 0; d < D; d++)
            product += terms[term]!.q[row * D + d]! * terms[term]!.k[(keyHead * N + n) * D + d]!;
          const scaled = roundLogit(roundLogit(product) * c.scale);
          const [inner, slope] = c.logit?.(scaled, b, h, m, n) ?? [scaled, 1];
          const logit = c.bias ? roundLogit(roundLogit(inner) + c.bias.values[biasAt(b, h, m, n)]!) : roundLogit(inner);
          seen.push({ n, term, slope, logit, weight: 0 });
        }
        const sink = c.sinks?.[h] ?? Number.NEGATIVE_INFINITY;
        const max = seen.reduce((most, { logit }) => Math.max(most, logit), sink);
        if (max === Number.NEGATIVE_INFINITY) {
          lse[row] = max;
          continue;
        }
        const sum = seen.reduce((total, { logit }) => total + Math.exp(logit - max), Math.exp(sink - max));
        lse[row] = max + Math.log(sum);
        let delta = 0;
        const dWeights = new Map<number, number>();
        for (const key of seen) {
          const { n } = key;
          key.weight = round(Math.exp(key.logit - max) / sum);
          total[(b * H + h) * N + n]! += key.weight;
          const grown = c.dropout === undefined ? 1 : c.dropout.keep(b, h, m, n) ? 1 / (1 - c.dropout.probability) : 0;
          const kept = round(key.weight * grown);
          let dWeight = 0;
          for (let e = 0; e < E; e++) {
            out[row * E + e]! += kept * v[(keyHead * N + n) * E + e]!;
            dv[(keyHead * N + n) * E + e]! += kept * dout[row * E + e]!;
            dWeight += v[(keyHead * N + n) * E + e]! * dout[row * E + e]!;
          }
          dWeights.set(n, round(round(dWeight) * grown));
          delta += key.weight * dWeights.get(n)!;
        }
        for (const { n, term, slope, weight } of seen) {
          const dLogit = round(weight * (dWeights.get(n)! - delta));
          if (c.bias) dbias[biasAt(b, h, m, n)]! += dLogit;
          const dProduct = round(round(dLogit * slope) * c.scale);
          for (let d = 0; d < D; d++) {
            dqs[term]![row * D + d]! += dProduct * terms[term]!.k[(keyHead * N + n) * D + d]!;
            dks[term]![(keyHead * N + n) * D + d]! += dProduct * terms[term]!.q[row * D + d]!;
          }
        }
        if (c.sinks) dsinks[h]! += round(round(Math.exp(sink - max) / sum) * -delta);
      }
    }
  const rounded = {
    out,
    ...Object.fromEntries(dqs.map((dq, i) => [`dq${i + 1}`, dq])),
    ...Object.fromEntries(dks.map((dk, i) => [`dk${i + 1}`, dk])),
    dv,
    ...(c.bias && { dbias }),
    ...(c.sinks && { dsinks }),
  };
  return {
    ...Object.fromEntries(Object.entries(rounded).map(([name, values]) => [name, values.map(round)])),
    lse,
    totalAttention: total,
  };
}
