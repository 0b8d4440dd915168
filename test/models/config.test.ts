import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { plainRope } from "../../src/kernels/index.ts";
import { parseConfig } from "../../src/models/aquila2/config.ts";
import { ConfigError } from "../../src/support/errors.ts";
import { errorOf, fixtureDirectory } from "./files.ts";

/** Aquila2-34B by the technical report's table. */
const aquila34b = {
  model_type: "aquila",
  vocab_size: 100008,
  hidden_size: 6144,
  intermediate_size: 24576,
  num_hidden_layers: 60,
  num_attention_heads: 48,
  num_key_value_heads: 8,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  torch_dtype: "bfloat16",
  bos_token_id: 100006,
  eos_token_id: 100007,
};
const parse = (changes: Record<string, unknown> = {}) => parseConfig(JSON.stringify({ ...aquila34b, ...changes }));

test("the fixture's config", async () => {
  expect(parseConfig(await readFile(new URL("config.json", fixtureDirectory), "utf8"))).toEqual({
    modelType: "aquila",
    vocabSize: 2048,
    hiddenSize: 128,
    intermediateSize: 384,
    layers: 4,
    heads: 4,
    kvHeads: 2,
    headDim: 32,
    maxPositions: 256,
    rmsNormEpsilon: 1e-5,
    rope: plainRope(10000, 256),
    tieWordEmbeddings: false,
    dtype: "bf16",
    bosTokenId: 2046,
    eosTokenIds: [2047],
  });
});

test("the rotary embedding of the 16K chat models: position interpolation", () => {
  expect(parse({ rope_scaling: { type: "linear", factor: 4 } }).rope).toEqual({
    ...plainRope(10000, 4096),
    scaling: { type: "linear", factor: 4 },
  });
});

test("defaults and alternatives", () => {
  expect(parse()).toMatchObject({ heads: 48, kvHeads: 8, headDim: 128 });
  expect(parse({ num_key_value_heads: undefined })).toMatchObject({ kvHeads: 48 });
  expect(parse({ head_dim: 96 })).toMatchObject({ headDim: 96 });
  expect(parse({ rope_theta: undefined })).toMatchObject({ rope: { theta: 10000 } });
  expect(parse({ rope_theta: undefined, rope_parameters: { rope_type: "default", rope_theta: 5e5 } })).toMatchObject({
    rope: { theta: 5e5 },
  });
  expect(parse({ eos_token_id: [100006, 100007] })).toMatchObject({ eosTokenIds: [100006, 100007] });
  expect(parse({ eos_token_id: null, bos_token_id: null })).toMatchObject({ eosTokenIds: [], bosTokenId: undefined });
  expect(parse({ torch_dtype: undefined, dtype: "float16" })).toMatchObject({ dtype: "f16" });
  expect(parse({ torch_dtype: undefined })).toMatchObject({ dtype: undefined });
  expect(parse({ model_type: "llama", tie_word_embeddings: true })).toMatchObject({
    modelType: "llama",
    tieWordEmbeddings: true,
  });
  expect(parse({ rope_scaling: null, hidden_act: "silu", attention_bias: false, unrelated_key: 1 })).toEqual(parse());
});

describe("each refusal names the key, its value and what is accepted", () => {
  const cases: [changes: Record<string, unknown>, message: RegExp][] = [
    [{ model_type: "qwen2" }, /"model_type" is "qwen2"; accepted: "aquila" or "llama"/],
    [{ model_type: undefined }, /"model_type" is missing/],
    [{ hidden_size: undefined }, /"hidden_size" is missing; accepted: an integer/],
    [{ hidden_size: "6144" }, /"hidden_size" is "6144"/],
    [{ intermediate_size: 0 }, /"intermediate_size" is 0/],
    [{ num_hidden_layers: 1.5 }, /"num_hidden_layers" is 1.5/],
    [{ num_attention_heads: 0 }, /"num_attention_heads" is 0/],
    [{ num_key_value_heads: 7 }, /"num_key_value_heads" is 7; accepted: a divisor of num_attention_heads \(48\)/],
    [
      { num_attention_heads: 40, num_key_value_heads: 8 },
      /"hidden_size" is 6144; accepted: a multiple of num_attention_heads \(40\)/,
    ],
    [{ head_dim: 127 }, /"head_dim" is 127; accepted: an even size/],
    [{ hidden_size: 48 }, /"hidden_size" is 48; accepted: an even multiple/],
    [{ vocab_size: -1 }, /"vocab_size" is -1/],
    [{ max_position_embeddings: null }, /"max_position_embeddings" is null/],
    [{ rms_norm_eps: undefined }, /"rms_norm_eps" is missing; accepted: a number above 0/],
    [{ rms_norm_eps: -1e-5 }, /"rms_norm_eps" is -0.00001/],
    [{ rope_theta: "big" }, /"rope_theta" is "big"/],
    // The forms themselves: test/kernels/rope-config.test.ts.
    [{ rope_scaling: { type: "linear" } }, /"rope_scaling.factor" is missing/],
    [
      { rope_parameters: { partial_rotary_factor: 0.01 } },
      /partial_rotary_factor is 0.01; accepted: a part of the 128/,
    ],
    [
      {
        rope_parameters: { rope_type: "su", short_factor: [1], long_factor: [1], original_max_position_embeddings: 64 },
      },
      /short_factor has 1 numbers; accepted: 64/,
    ],
    [{ tie_word_embeddings: "no" }, /"tie_word_embeddings" is "no"; accepted: true or false/],
    [{ torch_dtype: "int8" }, /"torch_dtype" is "int8"; accepted: float32, float16, bfloat16/],
    [{ torch_dtype: "toString" }, /"torch_dtype" is "toString"/],
    [{ bos_token_id: 100008 }, /"bos_token_id" is 100008; accepted: token ids from 0 to 100007/],
    [{ eos_token_id: [100007, -1] }, /"eos_token_id" is \[100007,-1\]; accepted: token ids/],
    [{ hidden_act: "gelu" }, /"hidden_act" is "gelu"; accepted: "silu"/],
    [{ attention_bias: true }, /"attention_bias" is true; accepted: false/],
    [{ sliding_window: 4096 }, /"sliding_window" is 4096; accepted: null/],
    [{ quantization_config: { bits: 4 } }, /"quantization_config" is an object; accepted: null/],
  ];
  test.each(cases)("%j", async (changes, message) => {
    const error = await errorOf(() => parse(changes));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/^config\.json: /);
    expect(error.message).toMatch(message);
  });

  test("text that is no JSON object", async () => {
    expect((await errorOf(() => parseConfig("{", "dir/config.json"))).message).toMatch(
      /^dir\/config\.json is not JSON/,
    );
    expect((await errorOf(() => parseConfig("[1]"))).message).toMatch(/not an object/);
  });
});
