import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Aquila2, type LoadProgress, loadAquila2, modelFilesOf } from "../../src/models/aquila2/index.ts";
import { createDevice, type Device, type DeviceOptions } from "../../src/runtime/index.ts";
import { errorOf, fixtureDirectory } from "./files.ts";
import { type GoldenGeneration, goldenLogits, goldenTexts } from "./golden.ts";
import { loadReference, referenceLogits } from "./reference.ts";

const directory = fileURLToPath(fixtureDirectory);
const prompts = await goldenLogits();
const { generation } = await goldenTexts();

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
};

/** What the project asks of f32 logits, which are at most 20: about ten times the rounding of 4 layers (seen: 5e-6). */
const logitTolerance = 2e-4;

async function greedy(model: Aquila2, { prompt }: GoldenGeneration): Promise<{ ids: number[]; text: string }> {
  const ids: number[] = [];
  let text = "";
  for await (const piece of model.generate(prompt, { maxNewTokens: 64, temperature: 0 })) {
    ids.push(piece.id);
    text += piece.text;
  }
  return { ids, text };
}

/** `texts`: the golden texts that are generated token by token; the others are checked in one pass. */
const devices: readonly { name: string; options: DeviceOptions; texts: readonly number[] }[] = [
  { name: "cpu", options: { backend: "cpu" }, texts: [2] },
  { name: "webgpu on SwiftShader", options: { backend: "webgpu", adapter: "swiftshader" }, texts: [0, 2] },
];

describe.each(devices)("on $name", ({ options, texts }) => {
  let device: Device;
  let model: Aquila2;
  beforeAll(async () => {
    device = await createDevice(options);
    model = await loadAquila2(directory, { device });
  });
  afterAll(() => {
    model.dispose();
    device.dispose();
  });

  test("the golden logits of every prompt", async () => {
    for (const { ids, logits } of prompts) {
      expect(largestDifference(await model.logits(ids), logits)).toBeLessThanOrEqual(logitTolerance);
    }
  });

  test.each(texts)("the golden greedy continuation of prompt %i", async (index) => {
    const golden = generation[index]!;
    expect(await greedy(model, golden)).toEqual({ ids: golden.greedy_ids, text: golden.greedy_text });
  });

  test("after every golden prefix, the golden token is the most probable", async () => {
    for (const { prompt_ids, greedy_ids } of generation) {
      const logits = await model.logits([...prompt_ids, ...greedy_ids]);
      const { vocabSize } = model.config;
      const chosen = greedy_ids.map((_, step) => {
        const end = (prompt_ids.length + step) * vocabSize;
        const row = logits.subarray(end - vocabSize, end);
        return row.indexOf(Math.max(...row));
      });
      expect(chosen).toEqual(greedy_ids);
    }
  });

  test("the cache: tokens one by one, or in parts, give the logits of the whole", async () => {
    const { ids, logits } = prompts[4]!;
    const { vocabSize } = model.config;
    const rows: number[] = [];
    using cache = model.createCache(ids.length);
    for (const part of [ids.slice(0, 4), ids.slice(4, 5), ids.slice(5)]) {
      using result = model.forward(part, cache);
      expect(result.shape).toEqual([part.length, vocabSize]);
      rows.push(...(await result.read()));
    }
    expect(cache.length).toBe(ids.length);
    expect(largestDifference(rows, logits)).toBeLessThanOrEqual(logitTolerance);

    cache.truncate(3); // Another continuation of the same beginning.
    using last = model.forward(ids.slice(3), cache, 1);
    expect(last.shape).toEqual([1, vocabSize]);
    expect(largestDifference(await last.read(), logits.subarray(-vocabSize))).toBeLessThanOrEqual(logitTolerance);
  });

  // The largest difference that rounding causes: each of about 10 roundings a layer moves a value by at most half a unit in the last
  // place (2^-9 for bf16, 2^-12 for f16); independent, they add as the square root of their number. Logits are at most 20.
  test.each([
    ["bf16", 2 ** -9],
    ["f16", 2 ** -12],
  ] as const)("in %s, the logits are those of f32 but for rounding", async (dtype, halfUnit) => {
    using lower = await loadAquila2(directory, { device, dtype });
    expect(lower.dtype).toBe(dtype);
    const { ids, logits } = prompts[1]!;
    const difference = largestDifference(await lower.logits(ids), logits);
    const layers = model.config.layers;
    expect(difference).toBeLessThanOrEqual(20 * 2 * halfUnit * Math.sqrt(10 * layers));
    expect(difference).toBeGreaterThan(0);
  });
});

describe("on the interpreter", () => {
  const open = async () => {
    const device = await createDevice({ backend: "cpu" });
    return { device, model: await loadAquila2(directory, { device }) };
  };

  test("a prompt longer than a chunk, and than the trained context, gives the logits of the f64 reference", async () => {
    const { model } = await open();
    const evaluation = await readFile(new URL("eval_ids.json", fixtureDirectory), "utf8");
    const ids = (JSON.parse(evaluation) as number[]).slice(0, 520); // a chunk is 512
    using cache = model.createCache(ids.length);
    using last = model.prefill(ids, cache);
    expect(cache.length).toBe(520);
    const reference = referenceLogits(await loadReference(), ids).subarray(-model.config.vocabSize);
    expect(largestDifference(await last.read(), reference)).toBeLessThanOrEqual(logitTolerance);
  });

  test("loads from files in memory, and reports every tensor", async () => {
    const { device, model } = await open();
    const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
    const contents = await Promise.all(names.map((name) => readFile(new URL(name, fixtureDirectory))));
    const files = modelFilesOf(new Map(names.map((name, i) => [name, new Blob([contents[i]!])])));
    const progress: LoadProgress[] = [];
    const loaded = await loadAquila2(files, { device, onProgress: (step) => progress.push(step) });
    expect(await loaded.logits([1, 2, 3])).toEqual(await model.logits([1, 2, 3]));
    expect(progress.map(({ done, total }) => [done, total])).toEqual(Array.from({ length: 39 }, (_, i) => [i + 1, 39]));
  });

  test("mistakes are named, and leave the cache as it was", async () => {
    const { model } = await open();
    using cache = model.createCache(4);
    expect((await errorOf(() => model.forward([1, 2048], cache))).message).toMatch(
      /token 1 is 2048; ids are .* 0 to 2047/,
    );
    expect((await errorOf(() => model.forward([0.5], cache))).code).toBe("TOKEN_ID");
    expect((await errorOf(() => model.forward([], cache))).code).toBe("TOKENS_EMPTY");
    expect((await errorOf(() => model.forward([1, 2, 3, 4, 5], cache))).message).toMatch(
      /0 tokens .* 5 more .* capacity of 4/,
    );
    expect((await errorOf(() => model.createCache(0))).code).toBe("CACHE_CAPACITY");
    expect((await errorOf(() => cache.truncate(1))).code).toBe("CACHE_LENGTH");
    expect(cache.length).toBe(0);
    expect((await errorOf(() => loadAquila2("/no/such/model", { device: model.device }))).code).toBe("FILE_MISSING");
  });
});
