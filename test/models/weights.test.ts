import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { modelFilesOf, modelFilesOfDirectory } from "../../src/models/aquila2/byte-source.ts";
import { openCheckpoint } from "../../src/models/aquila2/checkpoint.ts";
import { type ModelConfig, parseConfig } from "../../src/models/aquila2/config.ts";
import { checkWeights, expectedTensors, readWeights } from "../../src/models/aquila2/weights.ts";
import { errorOf, fixtureDirectory, safetensorsFile, type TestTensor } from "./files.ts";

const config: ModelConfig = parseConfig(
  JSON.stringify({
    model_type: "aquila",
    vocab_size: 5,
    hidden_size: 4,
    intermediate_size: 6,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 8,
    rms_norm_eps: 1e-5,
  }),
);
/** Every bf16 element of the n-th tensor is the bit pattern n. */
const tensors: TestTensor[] = [...expectedTensors(config)].map(([name, shape], position) => {
  const elements = new Uint16Array(shape.reduce((a, b) => a * b)).fill(position);
  return { name, dtype: "BF16", shape: [...shape], data: new Uint8Array(elements.buffer) };
});
const bytes = (text: string) => new TextEncoder().encode(text);
const inOneFile = (list: TestTensor[]) =>
  openCheckpoint(modelFilesOf(new Map([["model.safetensors", safetensorsFile(list)]]), "dir"));
const changed = (name: string, change: Partial<TestTensor>) =>
  tensors.map((t) => (t.name === name ? { ...t, ...change } : t));

test("the parameter counts of the three published models", () => {
  const count = (layers: number, hiddenSize: number, heads: number, kvHeads: number, intermediateSize: number) => {
    const shapes = expectedTensors({
      ...config,
      vocabSize: 100008,
      headDim: 128,
      layers,
      hiddenSize,
      heads,
      kvHeads,
      intermediateSize,
    });
    return [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b), 0);
  };
  expect(count(32, 4096, 32, 32, 11008)).toBe(7_295_537_152);
  expect(count(60, 6144, 48, 8, 24576)).toBe(33_693_554_688);
  expect(count(80, 8192, 64, 8, 28672)).toBe(70_090_891_264);
});

test("the fixture has exactly the tensors that its config asks for", async () => {
  const checkpoint = await openCheckpoint(await modelFilesOfDirectory(fileURLToPath(fixtureDirectory)));
  const fixtureConfig = parseConfig(await readFile(new URL("config.json", fixtureDirectory), "utf8"));
  let elements = 0;
  for await (const weight of readWeights(checkpoint, fixtureConfig)) {
    expect(weight.dtype).toBe("bf16");
    expect(weight.data.length).toBe(weight.shape.reduce((a, b) => a * b));
    elements += weight.data.length;
  }
  await checkpoint.close();
  expect(elements).toBe(2 * 2048 * 128 + 4 * (128 * 128 * 2 + 64 * 128 * 2 + 3 * 384 * 128 + 2 * 128) + 128);
});

describe("one file", () => {
  test("gives every weight's bits", async () => {
    const seen: [string, number][] = [];
    for await (const { name, data } of readWeights(await inOneFile(tensors), config)) seen.push([name, data[0]!]);
    expect(seen).toEqual(tensors.map(({ name }, position) => [name, position]));
  });

  test("rotary_emb.inv_freq is ignored; an unknown tensor is not", async () => {
    const surplus = (name: string): TestTensor => ({ name, dtype: "F32", shape: [1], data: new Uint8Array(4) });
    checkWeights(await inOneFile([...tensors, surplus("model.layers.0.self_attn.rotary_emb.inv_freq")]), config);
    const checkpoint = await inOneFile([...tensors, surplus("model.layers.0.self_attn.q_proj.bias")]);
    const error = await errorOf(() => checkWeights(checkpoint, config));
    expect(error).toMatchObject({
      code: "TENSOR_UNEXPECTED",
      message: expect.stringContaining("model.layers.0.self_attn.q_proj.bias"),
    });
  });

  test("tied embeddings: the output projection may be absent or present, and is not read", async () => {
    const tied = { ...config, tieWordEmbeddings: true };
    for (const list of [tensors, tensors.filter(({ name }) => name !== "lm_head.weight")]) {
      const names: string[] = [];
      for await (const { name } of readWeights(await inOneFile(list), tied)) names.push(name);
      expect(names).not.toContain("lm_head.weight");
      expect(names.length).toBe(tensors.length - 1);
    }
  });

  test("missing tensors, wrong shapes and integer weights are named", async () => {
    const without = await inOneFile(tensors.filter(({ name }) => !name.includes("layers.1.")));
    expect(await errorOf(() => checkWeights(without, config))).toMatchObject({
      code: "TENSOR_MISSING",
      message: expect.stringMatching(
        /^dir: .*lacks 9 tensors: "model\.layers\.1\.input_layernorm\.weight".*and 4 more/,
      ),
    });
    const transposed = await inOneFile(changed("model.layers.0.mlp.down_proj.weight", { shape: [6, 4] }));
    expect(await errorOf(() => checkWeights(transposed, config))).toMatchObject({
      code: "TENSOR_SHAPE",
      message: expect.stringMatching(
        /"model\.layers\.0\.mlp\.down_proj\.weight" of model\.safetensors has shape \[6, 4\].*asks for \[4, 6\]/,
      ),
    });
    const integers = await inOneFile(changed("model.norm.weight", { dtype: "I16" }));
    expect(await errorOf(() => checkWeights(integers, config))).toMatchObject({
      code: "DTYPE_UNSUPPORTED",
      message: expect.stringMatching(/"model\.norm\.weight".*I16/),
    });
  });
});

describe("shards", () => {
  const [first, second] = [tensors.slice(0, 8), tensors.slice(8)];
  const names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
  const place = (list: TestTensor[], shard: string) => list.map(({ name }) => [name, shard] as const);
  const goodMap: Record<string, unknown> = Object.fromEntries([...place(first, names[0]), ...place(second, names[1])]);
  const openWith = (weightMap: unknown, files: Record<string, Uint8Array> = {}) =>
    openCheckpoint(
      modelFilesOf(
        new Map([
          [
            "model.safetensors.index.json",
            bytes(JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap })),
          ],
          [names[0], safetensorsFile(first)],
          [names[1], safetensorsFile(second)],
          ...Object.entries(files),
        ]),
        "dir",
      ),
    );

  test("give the same weights as one file", async () => {
    const seen: number[] = [];
    for await (const { data } of readWeights(await openWith(goodMap), config)) seen.push(data[0]!);
    expect(seen).toEqual(tensors.map((_, position) => position));
  });

  const cases: [what: string, open: () => Promise<unknown>, code: string, message: RegExp][] = [
    [
      "a shard that is missing",
      () => openWith({ ...goodMap, extra: "model-00003-of-00002.safetensors" }),
      "FILE_MISSING",
      /^dir: no file model-00003-of-00002\.safetensors/,
    ],
    [
      "a tensor in the wrong shard",
      () => openWith({ ...goodMap, "model.embed_tokens.weight": names[1] }),
      "INDEX_MISMATCH",
      /places tensor "model\.embed_tokens\.weight" in model-00002/,
    ],
    [
      "a tensor that no shard holds",
      () => openWith({ ...goodMap, extra: names[0] }),
      "INDEX_MISMATCH",
      /places tensor "extra" in model-00001.*does not hold it/,
    ],
    [
      "a tensor missing in the index",
      () => openWith({ ...goodMap, "model.norm.weight": undefined }),
      "INDEX_MISMATCH",
      /model-00002-of-00002\.safetensors: holds tensor "model\.norm\.weight", which .* does not list/,
    ],
    [
      "a tensor held by both shards",
      () => openWith(goodMap, { [names[1]]: safetensorsFile([...second, first[0]!]) }),
      "INDEX_MISMATCH",
      /model-00002.*holds tensor "model\.embed_tokens\.weight".*places in model-00001/,
    ],
    [
      "a truncated shard",
      () => openWith(goodMap, { [names[1]]: safetensorsFile(second).slice(0, -1) }),
      "FILE_TRUNCATED",
      /model-00002-of-00002\.safetensors: tensor "lm_head\.weight"/,
    ],
    [
      "a shard outside the directory",
      () => openWith({ ...goodMap, extra: "../secret.safetensors" }),
      "INDEX_MALFORMED",
      /"extra" in "\.\.\/secret\.safetensors"/,
    ],
    ["a shard that is no name", () => openWith({ ...goodMap, extra: 7 }), "INDEX_MALFORMED", /"extra" in 7/],
    ["no weight_map", () => openWith(undefined), "INDEX_MALFORMED", /no object "weight_map"/],
    [
      "an index that is not JSON",
      () => openCheckpoint(modelFilesOf(new Map([["model.safetensors.index.json", bytes("{")]]))),
      "INDEX_MALFORMED",
      /not JSON/,
    ],
    [
      "no safetensors at all",
      () => openCheckpoint(modelFilesOf(new Map([["pytorch_model.bin", new Uint8Array()]]), "dir")),
      "FILE_MISSING",
      /^dir: neither model\.safetensors.*it holds pytorch_model\.bin/,
    ],
    [
      "a directory that is missing",
      async () => openCheckpoint(await modelFilesOfDirectory("/no/such/directory")),
      "FILE_MISSING",
      /\/no\/such\/directory cannot be read/,
    ],
  ];
  test.each(cases)("%s is refused", async (_, open, code, message) => {
    const error = await errorOf(open);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});
