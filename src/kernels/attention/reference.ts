/**
 * @file Attention in plain TypeScript, to compare with: in f64 (`attentionReference`), and as a framework computes it naively in the
 * tensors' own dtype (`attentionNaive`), whose error says which error is fair. It shares no code with the compiler. Tensors are dense,
 * row-major `[B, H, T, D]`.
 */
import { roundToBf16, roundToF16 } from "../../support/float16.ts";

export type FloatDType = "f16" | "bf16" | "f32";

const rounding = { f16: roundToF16, bf16: roundToBf16, f32: Math.fround } as const;

/** The shapes of one call: `[batch, queryHeads, queries, headDim]` and `[batch, keyHeads, keys, headDim | valueDim]`. */
export interface AttentionCase {
  readonly batch: number;
  readonly queryHeads: number;
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly causal: boolean;
  readonly scale: number;
}

export interface AttentionResult {
  /** [B, Hq, M, Dv] */
  readonly out: Float64Array;
  /** Natural-log normaliser [B, Hq, M]; -Infinity where a row sees no key. */
  readonly lse: Float64Array;
}

type Values = ArrayLike<number>;

/** Softmax attention in f64. Causal is aligned at the bottom right: query m sees key n iff keys - queries + m >= n. */
export function attentionReference(shape: AttentionCase, q: Values, k: Values, v: Values): AttentionResult {
  return attend(shape, q, k, v, (x) => x);
}

/** The same with every tensor-sized intermediate rounded to `dtype`: scores, scaled scores, weights, output. Softmax in f32. */
export function attentionNaive(
  shape: AttentionCase,
  dtype: FloatDType,
  q: Values,
  k: Values,
  v: Values,
): AttentionResult {
  return attend(shape, q, k, v, rounding[dtype], Math.fround);
}

function attend(
  c: AttentionCase,
  q: Values,
  k: Values,
  v: Values,
  round: (x: number) => number,
  fround: (x: number) => number = (x) => x,
): AttentionResult {
  const { batch, queryHeads, keyHeads, queries: M, keys: N, headDim: D, valueDim: E } = c;
  const out = new Float64Array(batch * queryHeads * M * E);
  const lse = new Float64Array(batch * queryHeads * M);
  const scores = new Float64Array(N);
  for (let head = 0; head < batch * queryHeads; head++) {
    const b = Math.floor(head / queryHeads);
    const kvHead = b * keyHeads + Math.floor((head % queryHeads) / (queryHeads / keyHeads));
    for (let m = 0; m < M; m++) {
      const visible = c.causal ? Math.max(0, Math.min(N, N - M + m + 1)) : N;
      let max = Number.NEGATIVE_INFINITY;
      for (let n = 0; n < visible; n++) {
        let dot = 0;
        const qAt = (head * M + m) * D;
        const kAt = (kvHead * N + n) * D;
        for (let d = 0; d < D; d++) dot += q[qAt + d]! * k[kAt + d]!;
        scores[n] = round(round(dot) * c.scale);
        max = Math.max(max, scores[n]!);
      }
      let sum = 0;
      for (let n = 0; n < visible; n++) sum += fround(Math.exp(scores[n]! - max));
      lse[head * M + m] = visible === 0 ? Number.NEGATIVE_INFINITY : max + Math.log(sum);
      if (visible === 0) continue;
      for (let n = 0; n < visible; n++) scores[n] = round(fround(Math.exp(scores[n]! - max)) / sum);
      for (let e = 0; e < E; e++) {
        let total = 0;
        for (let n = 0; n < visible; n++) total += scores[n]! * v[(kvHead * N + n) * E + e]!;
        out[(head * M + m) * E + e] = round(total);
      }
    }
  }
  return { out, lse };
}

/** Largest absolute difference; Infinity where exactly one is not finite or a value is NaN. Equal infinities do not differ. */
export function largestDifference(a: Values, b: Values): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    const difference = Math.abs(a[i]! - b[i]!);
    largest = Math.max(largest, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  return largest;
}

/** The accuracy rule of the project (FlagAttention's): 2 · (error of the naive computation in the same precision) + 1e-5. */
export const allowedError = (naive: Values, reference: Values): number =>
  2 * largestDifference(naive, reference) + 1e-5;
