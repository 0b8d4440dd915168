import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { KeyValueCache } from "../../src/models/aquila2/cache.ts";
import { parseConfig } from "../../src/models/aquila2/config.ts";
import { type Continuable, type GenerateOptions, generate, type Piece } from "../../src/models/aquila2/generate.ts";
import { loadAquila2 } from "../../src/models/aquila2/index.ts";
import { Tokenizer } from "../../src/models/aquila2/tokenizer.ts";
import type { Tensor } from "../../src/runtime/index.ts";
import { errorOf, fixtureDirectory } from "./files.ts";

const read = (name: string) => readFile(new URL(name, fixtureDirectory), "utf8");
const config = parseConfig(await read("config.json"));
const tokenizer = await Tokenizer.parse(await read("tokenizer.json"), await read("tokenizer_config.json"));
const endOfText = 2047;

/** A model whose most probable continuation is always `script`; it records what was asked of it. */
function scripted(script: readonly number[]) {
  const calls: number[][] = [];
  const open = { caches: 0, logits: 0 };
  let capacity = 0;
  const model: Continuable = {
    config,
    tokenizer,
    createCache(tokens) {
      open.caches++;
      capacity = tokens;
      return { [Symbol.dispose]: () => open.caches-- } as unknown as KeyValueCache;
    },
    prefill(ids) {
      const row = new Float32Array(config.vocabSize);
      row[script[calls.push([...ids]) - 1]!] = 1;
      open.logits++;
      return { read: async () => row, [Symbol.dispose]: () => open.logits-- } as unknown as Tensor<"f32">;
    },
  };
  return { model, calls, open, capacity: () => capacity };
}

async function collect(model: Continuable, prompt: string | number[], options?: GenerateOptions): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for await (const piece of generate(model, prompt, options)) pieces.push(piece);
  return pieces;
}

test("the prompt goes through the model once, then each token; everything is given back", async () => {
  const { model, calls, open, capacity } = scripted([296, 258, 336]);
  expect(await collect(model, "Hello world", { maxNewTokens: 3 })).toEqual([
    { id: 296, text: "And" },
    { id: 258, text: " the" },
    { id: 336, text: " LORD" },
  ]);
  expect(calls).toEqual([[39, 625, 78, 1990], [296], [258]]);
  expect(capacity()).toBeGreaterThanOrEqual(4 + 3 - 1); // the last token's successor is not asked for
  expect(open).toEqual({ caches: 0, logits: 0 });
});

test("a character comes with its last token, and what is left of one at the end", async () => {
  const [first, second] = tokenizer.encode("½") as [number, number];
  expect((await collect(scripted([first, second]).model, [1], { maxNewTokens: 2 })).map(({ text }) => text)).toEqual([
    "",
    "½",
  ]);
  expect((await collect(scripted([296, first]).model, [1], { maxNewTokens: 2 })).map(({ text }) => text)).toEqual([
    "And",
    "\uFFFD",
  ]);
});

test("stops after an end token of the config, which has no text", async () => {
  expect(await collect(scripted([296, endOfText, 258]).model, [1])).toEqual([
    { id: 296, text: "And" },
    { id: endOfText, text: "" },
  ]);
});

test("stops at the tokenizer's end token when the config names none, and at the caller's own", async () => {
  const { model } = scripted([296, endOfText]);
  expect(await collect({ ...model, config: { ...config, eosTokenIds: [] } }, [1])).toHaveLength(2);
  expect(await collect(scripted([endOfText, 258, 296]).model, [1], { stopIds: [258] })).toHaveLength(2);
});

test("no new tokens: no work", async () => {
  const { model, calls } = scripted([1]);
  expect(await collect(model, "a", { maxNewTokens: 0 })).toEqual([]);
  expect(calls).toEqual([]);
});

test("a consumer that leaves early, an aborted signal: the cache is given back", async () => {
  const early = scripted([296, 258, 336]);
  for await (const _ of generate(early.model, "a")) break;
  expect(early.open).toEqual({ caches: 0, logits: 0 });

  const aborted = scripted([296, 258, 336]);
  const controller = new AbortController();
  const run = async () => {
    for await (const _ of generate(aborted.model, "a", { signal: controller.signal }))
      controller.abort(new Error("enough"));
  };
  await expect(run()).rejects.toThrow("enough");
  expect(aborted.calls).toHaveLength(1);
  expect(aborted.open).toEqual({ caches: 0, logits: 0 });
});

test("mistakes are named", async () => {
  const { model } = scripted([1]);
  expect((await errorOf(() => collect(model, ""))).code).toBe("PROMPT_EMPTY");
  expect((await errorOf(() => collect(model, "a", { maxNewTokens: -1 }))).code).toBe("MAX_NEW_TOKENS");
  expect((await errorOf(() => collect(model, "a", { temperature: -1 }))).code).toBe("SAMPLING_OPTION");
  const named = { max_new_tokens: 3 } as GenerateOptions;
  expect(await errorOf(() => collect(model, "a", named))).toMatchObject({
    code: "ARGUMENT_UNKNOWN",
    message: expect.stringContaining('there is no option "max_new_tokens"; known are maxNewTokens'),
  });
  expect(await errorOf(() => loadAquila2("nowhere", { device: {}, dtyp: "f16" } as never))).toMatchObject({
    code: "ARGUMENT_UNKNOWN",
    message: expect.stringContaining('there is no option "dtyp"; known are device, dtype'),
  });
  expect((await errorOf(() => loadAquila2("nowhere", {} as never))).code).toBe("ARGUMENT_MISSING");
});
