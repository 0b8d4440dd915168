/** Perplexity under position schemes against the golden table, as far as the interpreter goes in seconds; the rest is `tilewright evaluate`. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { evaluatePerplexity, loadAquila2, logProbability, parsePositions } from "../../src/models/aquila2/index.ts";
import { createDevice } from "../../src/runtime/index.ts";
import { errorOf, fixtureDirectory } from "./files.ts";

const read = async (name: string) => JSON.parse(await readFile(new URL(name, fixtureDirectory), "utf8"));
const ids: number[] = await read("eval_ids.json");
const golden: { scheme: Record<string, unknown>; ppl: Record<string, number> }[] = await read("golden_perplexity.json");
const device = await createDevice({ backend: "cpu" });
const model = await loadAquila2(fileURLToPath(fixtureDirectory), { device, onWarning: () => {} });

const goldenOf = (scheme: Record<string, unknown>): Record<string, number> => {
  const wanted = JSON.stringify(scheme);
  return golden.find((row) => JSON.stringify(row.scheme) === wanted)!.ppl;
};

test("the golden perplexity at 128 tokens", async () => {
  const cases = [
    ["default", { kind: "default" }],
    ["rerope:window=64", { kind: "rerope", w: 64 }],
    ["selfextend:window=64:group=8", { kind: "selfextend", w: 64, g: 8 }],
  ] as const;
  const seen: number[] = [];
  const report = await evaluatePerplexity(model, {
    ids,
    lengths: [128],
    schemes: cases.map(([text]) => parsePositions(text)),
    onProgress: ({ done }) => seen.push(done),
  });
  for (const [row, [, scheme]] of cases.entries()) {
    const expected = goldenOf(scheme)["128"]!;
    // Both in f32: the losses of 512 tokens differ by their rounding, about 1e-5 each. (The project asks for 1 percent.)
    expect(Math.abs(report.rows[row]!.perplexity[0]! / expected - 1)).toBeLessThan(1e-4);
  }
  expect(report).toMatchObject({ lengths: [128], tail: 128, starts: [0, 4096, 8192, 12288] });
  expect(seen).toHaveLength(13);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect([seen[0], seen.at(-1)]).toEqual([0, 1]);
});

test("the last positions of a context in chunks are those of the whole", async () => {
  const [length, tail] = [520, 5]; // more than a chunk of 512
  const schemes = [parsePositions("rerope")];
  const { rows } = await evaluatePerplexity(model, { ids, lengths: [length], schemes, tail, starts: [7] });
  const logits = await model.logits(ids.slice(7, 7 + length), schemes[0]!.positions(model.config.rope, length));
  const { vocabSize } = model.config;
  let loss = 0;
  for (let at = length - tail; at < length; at++) {
    const row = Array.from(logits.subarray(at * vocabSize, (at + 1) * vocabSize), Math.exp);
    loss -= Math.log(row[ids[7 + at + 1]!]! / row.reduce((sum, x) => sum + x, 0));
  }
  expect(rows[0]!.perplexity[0]! / Math.exp(loss / tail)).toBeCloseTo(1, 4);
});

test("log-probabilities of large logits stay finite", () => {
  expect(logProbability(Float32Array.of(1000, 1000, -1000), 1)).toBeCloseTo(-Math.LN2, 12);
  expect(logProbability(Float32Array.of(1000, 0), 1)).toBe(-1000);
});

test("mistakes are named", async () => {
  const schemes = [parsePositions("default")];
  const message = async (options: object) =>
    (await errorOf(() => evaluatePerplexity(model, { ids, lengths: [128], schemes, ...options }))).message;
  expect(await message({ lengths: [64] })).toMatch(
    /lengths are \[64\]; accepted: one or more integers of at least 128/,
  );
  expect(await message({ tail: 0 })).toMatch(/tail is 0/);
  expect(await message({ starts: [] })).toMatch(/starts are \[\]/);
  expect(await message({ starts: [18400] })).toMatch(/the text has 18484 tokens, but .* need 18529/);
});
