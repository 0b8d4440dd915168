/**
 * @file `config.json` of an Aquila2- or Llama-shaped model, read into `ModelConfig`. Every key that changes the arithmetic is either
 * understood or refused: a checkpoint never runs as a slightly different model in silence.
 */
import { type RopeConfig, readRopeConfig, ropeFrequencies } from "../../kernels/index.ts";
import { ConfigError } from "../../support/errors.ts";
import { describe, isRecord } from "../../support/json.ts";

/** The shape of a decoder: pre-norm, RMSNorm, half-split rotary embedding, grouped-query attention, SwiGLU, no biases. */
export interface ModelConfig {
  /** `aquila` multiplies the norm's weight in f32 and rounds once; `llama` rounds before that product too. Equal in f32. */
  readonly modelType: "aquila" | "llama";
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Width of the feed-forward layer. */
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** The trained context length, tokens. */
  readonly maxPositions: number;
  readonly rmsNormEpsilon: number;
  readonly rope: RopeConfig;
  /** The output projection is the embedding table. */
  readonly tieWordEmbeddings: boolean;
  /** The dtype that the weights were saved in, when the file says so. */
  readonly dtype: "f32" | "f16" | "bf16" | undefined;
  readonly bosTokenId: number | undefined;
  /** Tokens that end a text; empty when the file names none. */
  readonly eosTokenIds: readonly number[];
}

/** Keys whose other values are other models: key → the values under which this model is the same without it. */
const neutralValues: Readonly<Record<string, readonly unknown[]>> = {
  hidden_act: ["silu", "swish"],
  attention_bias: [false],
  mlp_bias: [false],
  attention_dropout: [0],
  sliding_window: [null],
  use_sliding_window: [false],
  quantization_config: [null],
  logit_scale: [1],
  attn_logit_softcapping: [null],
  final_logit_softcapping: [null],
};

const dtypes = { float32: "f32", float16: "f16", bfloat16: "bf16" } as const;

/** Parses the text of a `config.json`. Throws `ConfigError` naming the key, its value and what is accepted; `place` names the file. */
export function parseConfig(text: string, place = "config.json"): ModelConfig {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(
      "CONFIG_MALFORMED",
      `${place} is not JSON (${cause instanceof Error ? cause.message : cause}).`,
      { cause },
    );
  }
  if (!isRecord(parsed))
    throw new ConfigError("CONFIG_MALFORMED", `${place} holds ${describe(parsed)}, not an object.`);
  return readConfig(parsed, place);
}

function readConfig(json: Record<string, unknown>, place: string): ModelConfig {
  const refuse = (key: string, accepted: string): never => {
    const problem = Object.hasOwn(json, key) ? `"${key}" is ${describe(json[key])}` : `"${key}" is missing`;
    throw new ConfigError("CONFIG_VALUE", `${place}: ${problem}; accepted: ${accepted}.`);
  };
  const isGiven = (key: string): boolean => json[key] !== undefined && json[key] !== null;
  const count = (key: string, fallback?: number): number => {
    if (!isGiven(key) && fallback !== undefined) return fallback;
    const value = json[key];
    return Number.isSafeInteger(value) && (value as number) > 0
      ? (value as number)
      : refuse(key, "an integer of at least 1");
  };
  const positive = (key: string): number => {
    const value = json[key];
    return typeof value === "number" && value > 0 && value < Number.POSITIVE_INFINITY
      ? value
      : refuse(key, "a number above 0");
  };

  const { model_type: modelType } = json;
  if (modelType !== "aquila" && modelType !== "llama") return refuse("model_type", '"aquila" or "llama"');
  for (const [key, accepted] of Object.entries(neutralValues)) {
    if (isGiven(key) && !accepted.includes(json[key])) {
      refuse(key, `${accepted.map((value) => JSON.stringify(value)).join(" or ")} (this model has no other form)`);
    }
  }

  const vocabSize = count("vocab_size");
  const hiddenSize = count("hidden_size");
  const heads = count("num_attention_heads");
  const kvHeads = count("num_key_value_heads", heads);
  if (heads % kvHeads !== 0) refuse("num_key_value_heads", `a divisor of num_attention_heads (${heads})`);
  if (!isGiven("head_dim") && hiddenSize % heads !== 0) {
    refuse("hidden_size", `a multiple of num_attention_heads (${heads}), unless head_dim is given`);
  }
  const headDim = count("head_dim", hiddenSize / heads);
  if (headDim % 2 !== 0) {
    if (isGiven("head_dim")) refuse("head_dim", "an even size (the rotary embedding turns pairs)");
    refuse("hidden_size", `an even multiple of num_attention_heads (${heads}): the rotary embedding turns pairs`);
  }

  const tokenId = (key: string, value: unknown): number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < vocabSize
      ? (value as number)
      : refuse(key, `token ids from 0 to ${vocabSize - 1} (vocab_size - 1)`);
  const eos = isGiven("eos_token_id") ? json.eos_token_id : [];

  const rope = readRopeConfig(json, { place });
  checkRope(rope, headDim, place);

  const dtypeKey = isGiven("dtype") ? "dtype" : "torch_dtype"; // "dtype" since transformers 5
  const dtypeName = isGiven(dtypeKey) ? json[dtypeKey] : undefined;
  if (dtypeName !== undefined && !(typeof dtypeName === "string" && Object.hasOwn(dtypes, dtypeName))) {
    refuse(dtypeKey, Object.keys(dtypes).join(", "));
  }
  const tie = isGiven("tie_word_embeddings") ? json.tie_word_embeddings : false;
  if (typeof tie !== "boolean") return refuse("tie_word_embeddings", "true or false");

  return {
    modelType,
    vocabSize,
    hiddenSize,
    intermediateSize: count("intermediate_size"),
    layers: count("num_hidden_layers"),
    heads,
    kvHeads,
    headDim,
    maxPositions: rope.maxPositions,
    rmsNormEpsilon: positive("rms_norm_eps"),
    rope,
    tieWordEmbeddings: tie,
    dtype: dtypeName === undefined ? undefined : dtypes[dtypeName as keyof typeof dtypes],
    bosTokenId: isGiven("bos_token_id") ? tokenId("bos_token_id", json.bos_token_id) : undefined,
    eosTokenIds: (Array.isArray(eos) ? eos : [eos]).map((id) => tokenId("eos_token_id", id)),
  };
}

/** @throws ConfigError `CONFIG_VALUE` for a variant that does not fit the head. */
export function checkRope(rope: RopeConfig, headDim: number, place: string): void {
  try {
    ropeFrequencies(rope, { headDim });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.code, `${place}: ${error.message}`, { cause: error });
  }
}
