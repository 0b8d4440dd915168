/**
 * @file The next token from its logits. As Aquila2's own `predict`: top-p on the plain distribution, then top-k, then temperature.
 */
import { ArgumentError } from "../../support/errors.ts";

export interface SamplingOptions {
  /** 0 takes the most probable token (the smallest id among equals). Default: 0. */
  readonly temperature?: number;
  /** Sample from the `topK` most probable tokens only. Default: all. */
  readonly topK?: number;
  /** Sample from the smallest set of most probable tokens whose probabilities reach `topP`. Default: 1, all. */
  readonly topP?: number;
  /** Seed of the random choice: the same seed gives the same text. Default: 0. */
  readonly seed?: number;
}

/** Makes a function that picks a token id from a row of logits. Throws `ArgumentError` for an option out of range. */
export function createSampler(options: SamplingOptions): (logits: Float32Array) => number {
  const { temperature = 0, topK = Number.POSITIVE_INFINITY, topP = 1, seed = 0 } = options;
  const check = (name: string, value: number, isAccepted: boolean, accepted: string) => {
    if (!isAccepted) throw new ArgumentError("SAMPLING_OPTION", `generate: ${name} is ${value}; accepted: ${accepted}`);
  };
  check(
    "temperature",
    temperature,
    temperature >= 0 && Number.isFinite(temperature),
    "0 (greedy) or a positive number",
  );
  check(
    "topK",
    topK,
    topK >= 1 && (Number.isInteger(topK) || topK === Number.POSITIVE_INFINITY),
    "an integer of at least 1",
  );
  check("topP", topP, topP > 0 && topP <= 1, "a number above 0, at most 1");
  check("seed", seed, Number.isSafeInteger(seed), "an integer");
  if (temperature === 0) return largest;
  const random = uniform(seed);
  return (logits) => {
    const { ids, probabilities } = candidates(logits, topK, topP);
    // p^(1/T), normalised, is the softmax of logits / T; relative to the first, the most probable, it cannot underflow to all zero.
    const weights = probabilities.map((probability) => (probability / probabilities[0]!) ** (1 / temperature));
    let remaining = random() * weights.reduce((sum, weight) => sum + weight, 0);
    const chosen = weights.findIndex((weight) => {
      remaining -= weight;
      return remaining < 0;
    });
    return ids[Math.max(chosen, 0)]!; // rounding may leave none: the most probable
  };
}

/** Index of the largest element, the first among equals. */
function largest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

/** The most probable tokens, most probable first, that top-p and then top-k leave: at least one. */
function candidates(logits: Float32Array, topK: number, topP: number): { ids: number[]; probabilities: number[] } {
  const max = logits[largest(logits)]!;
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - max));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const order = Array.from(logits.keys()).sort((a, b) => weights[b]! - weights[a]! || a - b);
  const ids: number[] = [];
  let reached = 0;
  for (const id of order) {
    if (ids.length > 0 && (ids.length >= topK || reached >= topP)) break;
    ids.push(id);
    reached += weights[id]! / total;
  }
  return { ids, probabilities: ids.map((id) => weights[id]! / total) };
}

/** Uniform numbers in [0, 1) of 32 bits: a Weyl sequence through a mixing function (Steele et al., SplitMix; murmur3's constants). */
function uniform(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}
