/** @file Log-probabilities of tokens under a model's logits, in f64. */

/** Natural logarithm of the probability of token `id` under `logits`. */
export function logProbability(logits: Float32Array, id: number): number {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), Number.NEGATIVE_INFINITY);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return logits[id]! - largest - Math.log(sum);
}
