/**
 * @file Perplexity against context length: how well a model predicts the last tokens of ever longer texts under different position
 * schemes. Far beyond the trained length it tells whether the scheme lets the model read on.
 */
import { trainedLength } from "../../../kernels/index.ts";
import type { Aquila2 } from "../model.ts";
import type { PositionOptions } from "../positions.ts";
import { type LengthOptions, lengthOptionNames, OptionChecker, overLengths } from "./measure.ts";
import { logProbability } from "./scoring.ts";

export interface PerplexityOptions extends LengthOptions {
  /** Only the last so many positions of a context are scored, each by the token after it. Default 128. */
  readonly tail?: number;
  /** Where contexts start in `ids`. Default: 0, 4096, 8192, 12288. */
  readonly starts?: readonly number[];
}

export interface PerplexityRow {
  readonly scheme: string;
  /** One for each length: exp of the mean, over all contexts and scored positions, of -ln(probability of the next token). */
  readonly perplexity: readonly number[];
}

export interface PerplexityReport {
  readonly lengths: readonly number[];
  /** L0 of the model: beyond it, plain positions are new to it. */
  readonly trainedLength: number;
  readonly tail: number;
  readonly starts: readonly number[];
  readonly rows: readonly PerplexityRow[];
}

/** @throws ArgumentError `EVALUATION`: lengths below `tail`, or contexts beyond the end of the text; and what the schemes throw. */
export async function evaluatePerplexity(model: Aquila2, options: PerplexityOptions): Promise<PerplexityReport> {
  const { ids, lengths, schemes, tail = 128, starts = [0, 4096, 8192, 12288] } = options;
  const check = new OptionChecker("evaluatePerplexity");
  check.names(options, { ...lengthOptionNames, tail: true });
  check.integer("tail", tail, 1);
  check.schemes(schemes);
  check.integers("lengths", lengths, tail, ", the scored positions");
  check.integers("starts", starts, 0);
  check.text(ids.length, lengths, starts, 1);
  const rows = await overLengths(model, options, starts, (start, length, positions) =>
    tailLoss(model, ids.slice(start, start + length + 1), tail, positions),
  );
  return {
    lengths,
    trainedLength: trainedLength(model.config.rope),
    tail,
    starts,
    rows: rows.map(({ scheme, results }) => ({
      scheme,
      perplexity: results.map((losses) => Math.exp(sum(losses) / (starts.length * tail))),
    })),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Sum of -ln(probability) of the last `tail` of `ids`, each from all before it. */
async function tailLoss(
  model: Aquila2,
  ids: readonly number[],
  tail: number,
  positions: PositionOptions,
): Promise<number> {
  const length = ids.length - 1;
  const scored = length - tail;
  using cache = model.createCache(length, positions);
  if (scored > 0) model.prefill(ids.slice(0, scored), cache).dispose();
  using result = model.forward(ids.slice(scored, length), cache);
  const logits = await result.read();
  const { vocabSize } = model.config;
  let loss = 0;
  for (let row = 0; row < tail; row++)
    loss -= logProbability(logits.subarray(row * vocabSize, (row + 1) * vocabSize), ids[scored + row + 1]!);
  return loss;
}
