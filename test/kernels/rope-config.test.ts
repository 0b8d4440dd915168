/** The rotary embedding in config.json: every form of Hugging Face's keys, and a refusal that names the key for every other. */
import { describe, expect, it } from "vitest";
import { overrideRopeConfig, plainRope, readRopeConfig, trainedLength } from "../../src/kernels/rope/index.ts";
import { ConfigError } from "../../src/support/errors.ts";

const file = { max_position_embeddings: 4096, hidden_size: 4096, hidden_act: "silu" };
const read = (keys: Record<string, unknown> = {}, layerType?: string) =>
  readRopeConfig({ ...file, ...keys }, { layerType });
const legacy = (parameters: Record<string, unknown>, more: Record<string, unknown> = {}) =>
  read({ ...more, rope_scaling: parameters });

describe("forms", () => {
  it("none: plain, base 10000", () => {
    expect(read()).toEqual(plainRope(10000, 4096));
    expect(read({ rope_theta: null, rope_scaling: null, rope_parameters: null })).toEqual(plainRope(10000, 4096));
  });

  it("legacy: type or rope_type, the base beside them", () => {
    const expected = { ...plainRope(1e6, 4096), scaling: { type: "linear", factor: 4 } };
    expect(legacy({ type: "linear", factor: 4 }, { rope_theta: 1e6 })).toEqual(expected);
    expect(legacy({ rope_type: "linear", factor: 4.0, type: "linear" }, { rope_theta: 1e6 })).toEqual(expected);
  });

  it("transformers 5: rope_parameters with the base inside, and without a type for the default", () => {
    const scaling = { type: "linear", factor: 4 };
    expect(read({ rope_parameters: { rope_type: "linear", factor: 4, rope_theta: 1e6 } })).toEqual({
      ...plainRope(1e6, 4096),
      scaling,
    });
    expect(read({ rope_parameters: { rope_theta: 5e5 } })).toEqual(plainRope(5e5, 4096));
    expect(read({ rope_theta: 5e5, rope_parameters: { rope_theta: 5e5 } })).toEqual(plainRope(5e5, 4096));
  });

  it("nested per layer type: refused, unless one is asked for", () => {
    const rope_parameters = {
      full_attention: { rope_type: "linear", factor: 8, rope_theta: 1e6 },
      sliding_attention: { rope_type: "default", rope_theta: 1e4 },
    };
    expect(() => read({ rope_parameters })).toThrow(
      'config.json: "rope_parameters" is an object; accepted: one embedding for all layers; this file has one each for full_attention, sliding_attention.',
    );
    expect(read({ rope_parameters }, "full_attention")).toMatchObject({ theta: 1e6, scaling: { factor: 8 } });
    expect(read({ rope_parameters }, "sliding_attention")).toMatchObject({ theta: 1e4, scaling: { type: "default" } });
    expect(() => read({ rope_parameters }, "chunked_attention")).toThrow(/one of full_attention, sliding_attention/);
  });

  it("every type with its optional keys, and their defaults", () => {
    expect(legacy({ type: "ntk", factor: 2 }).scaling).toEqual({ type: "ntk", factor: 2 });
    expect(legacy({ type: "dynamic", factor: 2, original_max_position_embeddings: 4096 }).scaling).toEqual({
      type: "dynamic",
      factor: 2,
    });
    const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 1024 };
    expect(legacy(yarn).scaling).toEqual({
      type: "yarn",
      factor: 4,
      originalMaxPositions: 1024,
      betaFast: 32,
      betaSlow: 1,
      truncate: true,
      attentionFactor: 0.1 * Math.log(4) + 1,
    });
    const all = { attention_factor: 1.5, beta_fast: 16, beta_slow: 2, truncate: false };
    expect(legacy({ ...yarn, ...all }).scaling).toMatchObject({
      betaFast: 16,
      betaSlow: 2,
      truncate: false,
      attentionFactor: 1.5,
    });
    expect(legacy({ ...yarn, factor: null }).scaling).toMatchObject({ factor: 4 }); // 4096 / 1024
    expect(
      legacy({ rope_type: "ntk-by-parts", factor: 4, original_max_position_embeddings: 1024 }).scaling,
    ).toMatchObject({ alpha: 1, beta: 32 });
    expect(legacy({ rope_type: "proportional" }).scaling).toEqual({ type: "proportional", factor: 1 });
    expect(legacy({ rope_type: "xpos" })).toMatchObject({ layout: "interleaved", scaling: { scaleBase: 512 } });
    const long = { short_factor: [1, 1], long_factor: [2, 4], original_max_position_embeddings: 1024 };
    for (const type of ["longrope", "su"])
      expect(legacy({ type, ...long }).scaling).toMatchObject({
        type: "longrope",
        longFactor: [2, 4],
        attentionFactor: Math.sqrt(1 + Math.log(4) / Math.log(1024)),
      });
    expect(legacy({ type: "su", ...long, factor: 16 }).scaling).toMatchObject({
      attentionFactor: Math.sqrt(1 + Math.log(16) / Math.log(1024)),
    });
  });

  it("partial, interleaved, sections", () => {
    expect(read({ partial_rotary_factor: 0.5, rope_interleave: true })).toMatchObject({
      partialRotaryFactor: 0.5,
      layout: "interleaved",
    });
    expect(read({ rope_parameters: { partial_rotary_factor: 0.25 } })).toMatchObject({ partialRotaryFactor: 0.25 });
    expect(legacy({ type: "mrope", mrope_section: [16, 24, 24] })).toMatchObject({
      scaling: { type: "default" },
      sections: { sizes: [16, 24, 24], interleaved: false },
    });
    // As transformers writes Qwen2-VL's file back.
    expect(legacy({ type: "default", rope_type: "default", mrope_section: [16, 24, 24] }).sections).toBeDefined();
    expect(
      read({ rope_parameters: { mrope_section: [24, 20, 20], mrope_interleaved: true } }).sections?.interleaved,
    ).toBe(true);
  });
});

it("an override keeps what it does not say, the trained length included", () => {
  const base = { ...plainRope(5e5, 4096), partialRotaryFactor: 0.5 };
  const changed = overrideRopeConfig(base, { rope_type: "yarn", factor: 8 });
  expect(changed).toMatchObject({ theta: 5e5, maxPositions: 4096, partialRotaryFactor: 0.5 });
  expect(trainedLength(changed)).toBe(4096);
  expect(
    trainedLength(
      overrideRopeConfig(changed, { rope_type: "llama3", factor: 2, low_freq_factor: 1, high_freq_factor: 4 }),
    ),
  ).toBe(4096);
  expect(overrideRopeConfig(changed, { rope_type: "default", rope_theta: 1e4 })).toMatchObject({
    theta: 1e4,
    scaling: { type: "default" },
  });
  expect(() => overrideRopeConfig(base, { factor: 8 })).toThrow(
    /rope: "rope_type" is missing; accepted: default, linear/,
  );
  expect(() => overrideRopeConfig(base, { rope_type: "yarn" })).toThrow(/rope: "factor" is missing/);
});

describe("each refusal names the key, its value and what is accepted", () => {
  const yarn = { type: "yarn", factor: 4, original_max_position_embeddings: 1024 };
  const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  const long = { type: "longrope", short_factor: [1], long_factor: [2] };
  const cases: [keys: Record<string, unknown>, message: RegExp][] = [
    [
      { rope_scaling: { factor: 4 } },
      /"rope_scaling.rope_type" is missing; accepted: default, linear, .*su for longrope/,
    ],
    [{ rope_scaling: { type: "lineer", factor: 4 } }, /"rope_scaling.type" is "lineer"; accepted: default, linear/],
    [{ rope_scaling: { rope_type: "toString" } }, /"rope_scaling.rope_type" is "toString"/],
    [
      { rope_scaling: { type: "linear", rope_type: "yarn", factor: 4 } },
      /"rope_scaling.type" is "linear"; accepted: the same as rope_type \("yarn"\)/,
    ],
    [{ rope_scaling: "linear" }, /"rope_scaling" is "linear"; accepted: null or an object/],
    [{ rope_scaling: { type: "linear" } }, /"rope_scaling.factor" is missing; accepted: a number of at least 1/],
    [{ rope_scaling: { type: "linear", factor: 0.5 } }, /"rope_scaling.factor" is 0.5/],
    [{ rope_scaling: { type: "linear", factor: "4" } }, /"rope_scaling.factor" is "4"/],
    [
      { rope_scaling: { type: "linear", factor: 4, beta_fast: 32 } },
      /"rope_scaling.beta_fast" is 32; accepted: for rope_type "linear" the keys factor, type/,
    ],
    [
      { rope_scaling: { type: "dynamic", factor: 4, original_max_position_embeddings: 2048 } },
      /"rope_scaling.original_max_position_embeddings" is 2048; accepted: max_position_embeddings \(4096\)/,
    ],
    [
      { rope_scaling: { ...yarn, betafast: 32 } },
      /"rope_scaling.betafast" is 32; accepted: for rope_type "yarn" the keys factor, .*beta_fast/,
    ],
    [{ rope_scaling: { type: "yarn", factor: 4 } }, /"rope_scaling.original_max_position_embeddings" is missing/],
    [
      { rope_scaling: { ...yarn, factor: null, original_max_position_embeddings: 8192 } },
      /"rope_scaling.factor" is null/,
    ],
    [
      { rope_scaling: { ...yarn, beta_fast: 1, beta_slow: 2 } },
      /"rope_scaling.beta_fast" is 1; accepted: a number above beta_slow \(2\)/,
    ],
    [
      { rope_scaling: { ...yarn, mscale: 1 } },
      /"rope_scaling.mscale_all_dim" is missing; accepted: mscale and mscale_all_dim together/,
    ],
    [{ rope_scaling: { ...yarn, mscale: 1, mscale_all_dim: 0 } }, /"rope_scaling.mscale_all_dim" is 0/],
    [
      { rope_scaling: { ...yarn, mscale: 1, mscale_all_dim: 1, attention_factor: 1 } },
      /"rope_scaling.attention_factor" is 1; accepted: attention_factor alone/,
    ],
    [{ rope_scaling: { ...yarn, truncate: "no" } }, /"rope_scaling.truncate" is "no"; accepted: true or false/],
    [
      { rope_scaling: yarn, original_max_position_embeddings: 2048 },
      /"rope_scaling.original_max_position_embeddings" is 1024; accepted: the same value .*\(2048\)/,
    ],
    [{ rope_scaling: long }, /"rope_scaling.original_max_position_embeddings" is missing/],
    [
      { rope_scaling: { ...long, long_factor: [1, "2"] }, original_max_position_embeddings: 1024 },
      /"rope_scaling.long_factor" is \[1,"2"\]; accepted: a list/,
    ],
    [
      { rope_scaling: { ...llama3, original_max_position_embeddings: 1024, high_freq_factor: 1 } },
      /"rope_scaling.high_freq_factor" is 1; accepted: a number above low_freq_factor \(1\)/,
    ],
    [{ rope_scaling: llama3 }, /"rope_scaling.original_max_position_embeddings" is missing/],
    [{ rope_scaling: { type: "mrope" } }, /"rope_scaling.mrope_section" is missing/],
    [
      { rope_parameters: { mrope_section: [16, 24] } },
      /"rope_parameters.mrope_section" is \[16,24\]; accepted: three sizes/,
    ],
    [
      { rope_parameters: { mrope_section: [4, 30, 30], mrope_interleaved: true } },
      /"rope_parameters.mrope_section" is \[4,30,30\]; accepted: interleaved/,
    ],
    [{ rope_parameters: { mrope_interleaved: true } }, /"rope_parameters.mrope_section" is missing/],
    [
      { rope_parameters: { rope_theta: 1e4 }, rope_theta: 1e6 },
      /"rope_parameters.rope_theta" is 10000; accepted: the same value as at the top of the file \(1000000\)/,
    ],
    [
      { rope_parameters: { partial_rotary_factor: 2 } },
      /"rope_parameters.partial_rotary_factor" is 2; accepted: a number above 0 and at most 1/,
    ],
    [
      { rope_parameters: {}, rope_scaling: {} },
      /"rope_scaling" is an object; accepted: only one of rope_scaling and rope_parameters/,
    ],
    [{ rope_theta: "big" }, /"rope_theta" is "big"; accepted: a number above 0/],
    [{ max_position_embeddings: null }, /"max_position_embeddings" is null/],
    [{ rope_local_base_freq: 1e4 }, /"rope_local_base_freq" is 10000; accepted: null/],
    [{ rotary_pct: 0.25 }, /"rotary_pct" is 0.25/],
    [{ use_logn_attn: true }, /"use_logn_attn" is true/],
  ];
  it.each(cases)("%j", (keys, message) => {
    expect(() => read(keys)).toThrow(ConfigError);
    expect(() => read(keys)).toThrow(/^config\.json: /);
    expect(() => read(keys)).toThrow(message);
  });
});
