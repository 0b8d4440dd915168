/**
 * @file Perplexity against context length: how well a model predicts the last tokens of ever longer texts under different position
 * schemes. Far beyond the trained length it tells whether the scheme lets the model read on.
 */
import { ArgumentError } from "../../../support/errors.ts";
import type { Aquila2 } from "../model.ts";
import type { NamedPositions } from "../position-text.ts";
import type { PositionOptions } from "../positions.ts";

export interface PerplexityOptions {
  /** The tokens of a text that the model has not seen. */
  readonly ids: readonly number[];
  /** Context lengths in tokens. */
  readonly lengths: readonly number[];
  readonly schemes: readonly NamedPositions[];
  /** Only the last so many positions of a context are scored, each by the token after it. Default 128. */
  readonly tail?: number;
  /** Where contexts start in `ids`. Default: 0, 4096, 8192, 12288. */
  readonly starts?: readonly number[];
  /** Called before each context and at the end. */
  readonly onProgress?: (progress: PerplexityProgress) => void;
  /** Ends the evaluation with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface PerplexityProgress {
  /** Work done, as a part of 1; what a context costs is taken to grow with its length. */
  readonly done: number;
  readonly scheme: string;
  readonly length: number;
}

export interface PerplexityRow {
  readonly scheme: string;
  /** One for each length: exp of the mean, over all contexts and scored positions, of -ln(probability of the next token). */
  readonly perplexity: readonly number[];
}

export interface PerplexityReport {
  readonly lengths: readonly number[];
  readonly tail: number;
  readonly starts: readonly number[];
  readonly rows: readonly PerplexityRow[];
}

/** Tokens that go through the model at once before the scored ones. */
const chunk = 512;

/** @throws ArgumentError `EVALUATION`: lengths below `tail`, or contexts beyond the end of the text; and what the schemes throw. */
export async function evaluatePerplexity(model: Aquila2, options: PerplexityOptions): Promise<PerplexityReport> {
  const { ids, lengths, schemes, tail = 128, starts = [0, 4096, 8192, 12288], onProgress, signal } = options;
  check(ids.length, lengths, tail, starts);
  const total = schemes.length * starts.length * lengths.reduce((sum, length) => sum + length, 0);
  let done = 0;
  const rows: PerplexityRow[] = [];
  for (const scheme of schemes) {
    const perplexity: number[] = [];
    for (const length of lengths) {
      const positions = scheme.positions(model.config.rope, length);
      let loss = 0;
      for (const start of starts) {
        signal?.throwIfAborted();
        onProgress?.({ done: done / total, scheme: scheme.name, length });
        loss += await tailLoss(model, ids.slice(start, start + length + 1), tail, positions);
        done += length;
      }
      perplexity.push(Math.exp(loss / (starts.length * tail)));
    }
    rows.push({ scheme: scheme.name, perplexity });
  }
  onProgress?.({ done: 1, scheme: "", length: 0 });
  return { lengths, tail, starts, rows };
}

/** Sum of -ln(probability) of the last `tail` of `ids`, each from all before it. */
async function tailLoss(
  model: Aquila2,
  ids: readonly number[],
  tail: number,
  positions: PositionOptions,
): Promise<number> {
  const length = ids.length - 1;
  using cache = model.createCache(length, positions);
  const scored = length - tail;
  for (let from = 0; from < scored; from += chunk)
    model.forward(ids.slice(from, Math.min(from + chunk, scored)), cache, 1).dispose();
  using result = model.forward(ids.slice(scored, length), cache);
  const logits = await result.read();
  const { vocabSize } = model.config;
  let loss = 0;
  for (let row = 0; row < tail; row++)
    loss -= logProbability(logits.subarray(row * vocabSize, (row + 1) * vocabSize), ids[scored + row + 1]!);
  return loss;
}

/** Natural logarithm of the probability of token `id` under `logits`, in f64. */
export function logProbability(logits: Float32Array, id: number): number {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), Number.NEGATIVE_INFINITY);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return logits[id]! - largest - Math.log(sum);
}

function check(tokens: number, lengths: readonly number[], tail: number, starts: readonly number[]): void {
  const fail = (message: string): never => {
    throw new ArgumentError("EVALUATION", `evaluatePerplexity: ${message}.`);
  };
  const isCount = (least: number) => (value: number) => Number.isSafeInteger(value) && value >= least;
  if (!isCount(1)(tail)) fail(`tail is ${tail}; accepted: an integer of at least 1`);
  if (lengths.length === 0 || !lengths.every(isCount(tail)))
    fail(
      `lengths are [${lengths.join(", ")}]; accepted: one or more integers of at least ${tail}, the scored positions`,
    );
  if (starts.length === 0 || !starts.every(isCount(0)))
    fail(`starts are [${starts.join(", ")}]; accepted: one or more integers of at least 0`);
  const needed = Math.max(...starts) + Math.max(...lengths) + 1;
  if (needed > tokens)
    fail(
      `the text has ${tokens} tokens, but a context of ${Math.max(...lengths)} from token ${Math.max(...starts)} on and the token after it need ${needed}; give a longer text, or smaller lengths or starts`,
    );
}
