/**
 * @file Attention in plain TypeScript, to compare with: in f64, and as a framework computes it naively in the tensors' own dtype, whose
 * error says which error is fair. It shares no code with the compiler. Tensors are dense, row-major `[B, H, T, D]`. Gradients are in
 * reference-gradients.ts.
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

/** An element of the score matrices. */
export type Place = readonly [batch: number, head: number, query: number, key: number];

/** What makes attention more than plain. */
export interface AttentionExtras {
  /** Two terms: the second scores keys at least so far behind the query. */
  readonly threshold?: number;
  /** Which keys a query sees, instead of what `causal` says. */
  readonly sees?: (...place: Place) => boolean;
  /** A function of each logit, q·k · scale, and its derivative. */
  readonly logits?: {
    readonly apply: (scaled: number, ...place: Place) => number;
    readonly slope: (scaled: number, ...place: Place) => number;
  };
  /** Weights are dropped where `keep` says no, and the others grow by 1 / (1 - probability). */
  readonly dropout?: {
    readonly probability: number;
    readonly keep: (...place: Place) => boolean;
  };
}

export type Values = ArrayLike<number>;

/** q and k of each term, and v. */
export interface AttentionInputs {
  readonly terms: readonly { readonly q: Values; readonly k: Values }[];
  readonly v: Values;
}

export interface AttentionResult {
  /** [B, Hq, M, Dv] */
  readonly out: Float64Array;
  /** Natural-log normaliser [B, Hq, M]; -Infinity where a row sees no key. */
  readonly lse: Float64Array;
}

/** The product of `length` elements of `a` from `aAt` on with those of `b` from `bAt` on. */
type Dot = (a: Values, aAt: number, b: Values, bAt: number, length: number) => number;

/** How tensor-sized intermediates are rounded, how the softmax computes, and how logits are summed up. */
export interface Arithmetic {
  readonly round: (x: number) => number;
  readonly softmax: (x: number) => number;
  readonly dot: Dot;
}

/** In f64, with four sums that do not wait for each other. */
export const exactDot: Dot = (a, aAt, b, bAt, length) => {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    s0 += a[aAt + i]! * b[bAt + i]!;
    s1 += a[aAt + i + 1]! * b[bAt + i + 1]!;
    s2 += a[aAt + i + 2]! * b[bAt + i + 2]!;
    s3 += a[aAt + i + 3]! * b[bAt + i + 3]!;
  }
  for (; i < length; i++) s0 += a[aAt + i]! * b[bAt + i]!;
  return s0 + s1 + (s2 + s3);
};

/** In f32, one term after the other, as frameworks accumulate. */
const f32Dot: Dot = (a, aAt, b, bAt, length) => {
  let sum = 0;
  for (let i = 0; i < length; i++) sum = Math.fround(sum + a[aAt + i]! * b[bAt + i]!);
  return sum;
};

const identity = (x: number): number => x;
export const exactArithmetic: Arithmetic = { round: identity, softmax: identity, dot: exactDot };
/** Every tensor-sized intermediate (scores, scaled scores, weights, output) in the dtype; softmax and the sums of logits in f32. */
export const naiveArithmetic = (dtype: FloatDType): Arithmetic => ({
  round: rounding[dtype],
  softmax: Math.fround,
  dot: f32Dot,
});

/** Softmax attention in f64. Causal is aligned at the bottom right: query m sees key n iff keys - queries + m >= n. */
export const attentionReference = (shape: AttentionCase, q: Values, k: Values, v: Values): AttentionResult =>
  attend(shape, { terms: [{ q, k }], v }, exactArithmetic);

/** The same as computed naively in `dtype`. */
export const attentionNaive = (
  shape: AttentionCase,
  dtype: FloatDType,
  q: Values,
  k: Values,
  v: Values,
): AttentionResult => attend(shape, { terms: [{ q, k }], v }, naiveArithmetic(dtype));

/** One row of the score matrix. */
export interface WeightsRow {
  /** Of each key: 0 where the query does not see it; before dropout. */
  readonly weights: Float64Array;
  /** Of each key: the index of its term; -1 where it is hidden. */
  readonly terms: Int8Array;
  /** Of each key: d logit / d (q·k · scale). */
  readonly slopes: Float64Array;
  readonly lse: number;
}

/** The number of the key head that a query head reads, over all batches. */
export const keyHeadOf = (c: AttentionCase, batch: number, head: number): number =>
  batch * c.keyHeads + Math.floor(head / (c.queryHeads / c.keyHeads));

/** The weights of one query. */
export function weightsRow(
  c: AttentionCase & AttentionExtras,
  inputs: AttentionInputs,
  batch: number,
  head: number,
  query: number,
  { round, softmax, dot }: Arithmetic,
): WeightsRow {
  const { keys: N, queries: M, headDim: D } = c;
  const terms = new Int8Array(N).fill(-1);
  const weights = new Float64Array(N);
  const slopes = new Float64Array(N).fill(1);
  const qAt = ((batch * c.queryHeads + head) * M + query) * D;
  let max = Number.NEGATIVE_INFINITY;
  for (let n = 0; n < N; n++) {
    const distance = N - M + query - n;
    if (c.sees ? !c.sees(batch, head, query, n) : c.causal && distance < 0) continue;
    terms[n] = c.threshold !== undefined && distance >= c.threshold ? 1 : 0;
    const { q, k } = inputs.terms[terms[n]!]!;
    const kAt = (keyHeadOf(c, batch, head) * N + n) * D;
    const scaled = round(round(dot(q, qAt, k, kAt, D)) * c.scale);
    weights[n] = c.logits ? round(c.logits.apply(scaled, batch, head, query, n)) : scaled;
    if (c.logits) slopes[n] = c.logits.slope(scaled, batch, head, query, n);
    max = Math.max(max, weights[n]!);
  }
  if (max === Number.NEGATIVE_INFINITY) return { weights: new Float64Array(N), terms, slopes, lse: max };
  let sum = 0;
  for (let n = 0; n < N; n++) if (terms[n]! >= 0) sum += softmax(Math.exp(weights[n]! - max));
  for (let n = 0; n < N; n++) weights[n] = terms[n]! >= 0 ? round(softmax(Math.exp(weights[n]! - max)) / sum) : 0;
  return { weights, terms, slopes, lse: max + Math.log(sum) };
}

/** What dropout makes of a weight. */
export function afterDropout({ dropout }: AttentionExtras, weight: number, ...place: Place): number {
  if (dropout === undefined) return weight;
  return dropout.keep(...place) ? weight / (1 - dropout.probability) : 0;
}

/** Output, normaliser and the column sums of the undropped weights, [B, Hq, N]. */
export function attend(
  c: AttentionCase & AttentionExtras,
  inputs: AttentionInputs,
  arithmetic: Arithmetic,
): AttentionResult & { readonly total: Float64Array } {
  const { batch, queryHeads, queries: M, keys: N, valueDim: E } = c;
  const out = new Float64Array(batch * queryHeads * M * E);
  const lse = new Float64Array(batch * queryHeads * M);
  const total = new Float64Array(batch * queryHeads * N);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < queryHeads; h++)
      for (let m = 0; m < M; m++) {
        const row = weightsRow(c, inputs, b, h, m, arithmetic);
        const at = (b * queryHeads + h) * M + m;
        lse[at] = row.lse;
        for (let n = 0; n < N; n++) {
          const weight = row.weights[n]!;
          total[(b * queryHeads + h) * N + n]! += weight;
          const kept = arithmetic.round(afterDropout(c, weight, b, h, m, n));
          const vAt = (keyHeadOf(c, b, h) * N + n) * E;
          if (kept !== 0) for (let e = 0; e < E; e++) out[at * E + e]! += kept * inputs.v[vAt + e]!;
        }
      }
  return { out: out.map(arithmetic.round), lse, total };
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
