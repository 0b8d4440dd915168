/** @file Generation: a prompt's continuation, token by token, as text that never shows half a character. */
import { ArgumentError } from "../../support/errors.ts";
import { type NamesOf, refuseUnknownNames } from "../../support/names.ts";
import type { Aquila2 } from "./model.ts";
import type { PositionOptions } from "./positions.ts";
import { createSampler, type SamplingOptions } from "./sampling.ts";

export interface GenerateOptions extends SamplingOptions, PositionOptions {
  /** Default: 200. */
  readonly maxNewTokens?: number;
  /** Token ids that end the text. Default: those of config.json, else the tokenizer's end token. */
  readonly stopIds?: readonly number[];
  /** Ends the generation with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One generated token, and the text that it completes: empty while a character is incomplete, and for special tokens. */
export interface Piece {
  readonly id: number;
  readonly text: string;
}

/** What generation needs of a model. */
export type Continuable = Pick<Aquila2, "config" | "tokenizer" | "createCache" | "prefill">;

const optionNames: NamesOf<GenerateOptions> = {
  maxNewTokens: true,
  stopIds: true,
  signal: true,
  temperature: true,
  topK: true,
  topP: true,
  seed: true,
  rope: true,
  scheme: true,
};

/** Continues `prompt`. The last piece is the stop token, or the token number `maxNewTokens`. Throws `ArgumentError`. */
export async function* generate(
  model: Continuable,
  prompt: string | readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<Piece, void> {
  refuseUnknownNames("generate", options, optionNames);
  const { maxNewTokens = 200, signal } = options;
  const { config, tokenizer } = model;
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 0) {
    throw new ArgumentError(
      "MAX_NEW_TOKENS",
      `generate: maxNewTokens is ${maxNewTokens}; accepted: an integer of at least 0.`,
    );
  }
  const sample = createSampler(options);
  const ids = typeof prompt === "string" ? tokenizer.encode(prompt) : prompt;
  if (ids.length === 0)
    throw new ArgumentError("PROMPT_EMPTY", "generate: the prompt has no tokens; give at least one.");
  const endIds = config.eosTokenIds.length > 0 ? config.eosTokenIds : [tokenizer.eosTokenId];
  const stopIds = new Set<number | undefined>(options.stopIds ?? endIds);
  if (maxNewTokens === 0) return;

  const text = tokenizer.stream({ skipSpecialTokens: true });
  using cache = model.createCache(ids.length + maxNewTokens, { rope: options.rope, scheme: options.scheme });
  let next: readonly number[] = ids;
  for (let count = 1; ; count++) {
    signal?.throwIfAborted();
    using logits = model.prefill(next, cache);
    const id = sample(await logits.read());
    const isLast = count === maxNewTokens || stopIds.has(id);
    const piece = text.push(id);
    yield { id, text: isLast ? piece + text.end() : piece };
    if (isLast) return;
    next = [id];
  }
}
