import { readFile } from "node:fs/promises";
import * as library from "@huggingface/tokenizers";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Tokenizer } from "../../src/models/aquila2/tokenizer.ts";
import { errorOf, fixtureDirectory } from "./files.ts";
import { goldenTexts } from "./golden.ts";

const read = (name: string) => readFile(new URL(name, fixtureDirectory), "utf8");
const tokenizerJson = await read("tokenizer.json");
const settingsJson = await read("tokenizer_config.json");
const golden = await goldenTexts();
const vocabularySize = 2048;
const tokenizer = await Tokenizer.parse(tokenizerJson, settingsJson);

const streamed = (ids: number[]): string[] => {
  const stream = tokenizer.stream();
  return [...ids.map((id) => stream.push(id)), stream.end()];
};

test.each(golden.tokenizer)("golden: $text", ({ text, ids }) => {
  expect(tokenizer.encode(text)).toEqual(ids);
  expect(tokenizer.decode(ids)).toBe(text);
});

test.each(golden.generation)("golden generation: $prompt", (sample) => {
  expect(tokenizer.encode(sample.prompt)).toEqual(sample.prompt_ids);
  expect(tokenizer.decode(sample.greedy_ids, { skipSpecialTokens: true })).toBe(sample.greedy_text);
});

test("special tokens are found by tokenizer_config.json, kept in text unless skipped", () => {
  expect(tokenizer.bosTokenId).toBe(2046);
  expect(tokenizer.eosTokenId).toBe(2047);
  expect(tokenizer.decode([2041, 296, 2047])).toBe("<|startofpiece|>And</s>");
  expect(tokenizer.decode([2041, 296, 2047], { skipSpecialTokens: true })).toBe("And");
});

test("a character split over tokens appears whole, with its last token", () => {
  const ids = tokenizer.encode("½");
  expect(ids).toEqual([126, 121]);
  expect(streamed(ids)).toEqual(["", "½", ""]);
  expect(streamed(ids.slice(0, 1))).toEqual(["", "\uFFFD"]);
  expect(streamed([126, 2047])).toEqual(["", "\uFFFD</s>", ""]); // a special token ends the unfinished character
});

test("any text survives the way there and back, and its stream never shows half a character (property)", () => {
  const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 40 }), fc.string({ unit: "binary", maxLength: 40 }));
  fc.assert(
    fc.property(text, (original) => {
      const ids = tokenizer.encode(original);
      expect(tokenizer.decode(ids)).toBe(original);
      const pieces = streamed(ids);
      expect(pieces.join("")).toBe(original);
      if (original.includes("\uFFFD")) return;
      for (const piece of pieces) expect(piece).not.toContain("\uFFFD");
    }),
    { numRuns: 300 },
  );
});

test("any ids decode as the library decodes them, streamed or at once (property)", () => {
  const reference = new library.Tokenizer(JSON.parse(tokenizerJson), JSON.parse(settingsJson));
  const ids = fc.array(fc.nat(vocabularySize - 1), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(ids, (sequence) => {
      for (const skipSpecialTokens of [false, true]) {
        const expected = reference.decode(sequence, {
          skip_special_tokens: skipSpecialTokens,
          clean_up_tokenization_spaces: false,
        });
        expect(tokenizer.decode(sequence, { skipSpecialTokens })).toBe(expected);
      }
      expect(streamed(sequence).join("")).toBe(tokenizer.decode(sequence));
    }),
    { numRuns: 500 },
  );
});

test("mistakes are named", async () => {
  expect((await errorOf(() => tokenizer.decode([vocabularySize]))).message).toContain("no token 2048");
  expect((await errorOf(() => Tokenizer.parse("{"))).message).toMatch(/tokenizer\.json is not JSON/);
  expect((await errorOf(() => Tokenizer.parse("[]"))).message).toMatch(/tokenizer\.json holds .*not an object/);
  const other = { ...JSON.parse(tokenizerJson), model: { type: "Unigram", vocab: [] } };
  expect((await errorOf(() => Tokenizer.parse(JSON.stringify(other)))).message).toMatch(
    /model is "Unigram"; accepted: "BPE"/,
  );
  const incomplete = JSON.parse(tokenizerJson);
  delete incomplete.added_tokens;
  expect((await errorOf(() => Tokenizer.parse(JSON.stringify(incomplete)))).code).toBe("TOKENIZER_MALFORMED");
});
