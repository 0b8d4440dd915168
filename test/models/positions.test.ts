/** Positions in the model: every variant and scheme against the f64 reference, whole and from the cache; what is refused and warned of. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { leakyReRope, type PositionMap, reRope, ropeFrequencies, selfExtend } from "../../src/kernels/index.ts";
import { overrideRopeConfig } from "../../src/kernels/rope/index.ts";
import {
  type Aquila2,
  loadAquila2,
  modelFilesOf,
  type PositionOptions,
  parsePositions,
} from "../../src/models/aquila2/index.ts";
import { createDevice, type Device } from "../../src/runtime/index.ts";
import { errorOf, fixtureDirectory } from "./files.ts";
import { loadReference, type ReferencePositions, referenceLogits } from "./reference.ts";

const directory = fileURLToPath(fixtureDirectory);
const ids = (JSON.parse(await readFile(new URL("eval_ids.json", fixtureDirectory), "utf8")) as number[]).slice(0, 48);
const reference = await loadReference();
/** As for the plain model (model.test.ts): what the project asks of f32 logits. */
const tolerance = 2e-4;
const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
};

let device: Device;
let model: Aquila2;
const warnings: string[] = [];
beforeAll(async () => {
  device = await createDevice({ backend: "cpu" });
  model = await loadAquila2(directory, { device, onWarning: (message) => warnings.push(message) });
});
afterAll(() => {
  model.dispose();
  device.dispose();
});

const d = 32;
const theta = (i: number, base = 10000) => base ** ((-2 * i) / d);
const pairs = Array.from({ length: d / 2 }, (_, i) => i);
const longFactors = pairs.map((i) => 1 + i / 4);
const logScale = (i: number) => Math.max(1, Math.log(i + 1) / Math.log(16));

/** Small windows, so that a short text has far keys. Distances and frequencies by the published formulas. */
const cases: [name: string, options: PositionOptions, expected: ReferencePositions][] = [
  ["linear", { rope: { type: "linear", factor: 4 } }, { distance: (i, j) => (i - j) / 4 }],
  [
    "ntk",
    { rope: { type: "ntk", factor: 4 } },
    { frequencies: pairs.map((i) => theta(i, 10000 * 4 ** (d / (d - 2)))) },
  ],
  ["dynamic, within max_position_embeddings", { rope: { type: "dynamic", factor: 4 } }, {}],
  [
    "longrope, with its factor on the logits squared",
    {
      rope: {
        type: "longrope",
        short_factor: pairs.map(() => 1),
        long_factor: longFactors,
        original_max_position_embeddings: 32,
        attention_factor: 1.1,
      },
    },
    { frequencies: pairs.map((i) => theta(i) / longFactors[i]!), logitFactor: () => 1.1 * 1.1 },
  ],
  ["rerope", { scheme: reRope({ window: 8 }) }, { distance: (i, j) => Math.min(i - j, 8) }],
  [
    "rerope with the log scale",
    { scheme: reRope({ window: 8, logScale: 16 }) },
    { distance: (i, j) => Math.min(i - j, 8), logitFactor: logScale },
  ],
  [
    "leaky",
    { scheme: leakyReRope({ window: 8, factor: 16 }) },
    { distance: (i, j) => (i - j < 8 ? i - j : 8 + (i - j - 8) / 16) },
  ],
  [
    "selfextend",
    { scheme: selfExtend({ window: 8, group: 3 }) },
    { distance: (i, j) => (i - j < 8 ? i - j : Math.floor(i / 3) - Math.floor(j / 3) + 8 - 2) },
  ],
  [
    "proportional",
    { rope: { type: "proportional", partial_rotary_factor: 0.5 } },
    { frequencies: pairs.map((i) => (i < 8 ? theta(i) : 0)) },
  ],
  [
    "partial: the first 16 channels turn, with exponents of their own",
    { rope: { type: "default", partial_rotary_factor: 0.5 } },
    {
      pairs: pairs.map((i) => (i < 8 ? [i, i + 8] : [i + 8, i + 16])),
      frequencies: pairs.map((i) => (i < 8 ? theta(2 * i) : 0)),
    },
  ],
  [
    "interleaved",
    { rope: { type: "default", rope_interleave: true } },
    { pairs: pairs.map((i) => [2 * i, 2 * i + 1]) },
  ],
  [
    "rerope on linear",
    { rope: { type: "linear", factor: 2 }, scheme: reRope({ window: 8 }) },
    { distance: (i, j) => Math.min(i - j, 8) / 2 },
  ],
];

describe("logits by the f64 reference, whole, in parts and token by token", () => {
  test.each(cases)("%s", async (_, options, expected) => {
    const whole = await model.logits(ids, options);
    expect(largestDifference(whole, referenceLogits(reference, ids, expected))).toBeLessThanOrEqual(tolerance);
    for (const keys of ["raw", "turned"] as const) {
      using cache = model.createCache(ids.length, { ...options, keys });
      expect(cache.farKeys.length).toBe(options.scheme && keys === "turned" ? model.config.layers : 0);
      const rows: number[] = [];
      for (const part of [ids.slice(0, 20), ...ids.slice(20, 26).map((id) => [id]), ids.slice(26)]) {
        using result = model.forward(part, cache);
        rows.push(...(await result.read()));
      }
      // The same sums in another order: a few units of f32 at logits of up to 20.
      expect(largestDifference(rows, whole), keys).toBeLessThanOrEqual(tolerance / 10);
    }
  });

  test("dynamic and yarn, with the frequencies that their own tests vouch for", async () => {
    const files = await filesWith({ max_position_embeddings: 24 });
    using short = await loadAquila2(files, { device, rope: { rope_type: "dynamic", factor: 2 } });
    const { rope } = short.config;
    for (const override of [undefined, { rope_type: "yarn", factor: 2 }]) {
      const config = overrideRopeConfig(rope, override ?? { rope_type: "dynamic", factor: 2 });
      const frequencies = ropeFrequencies(config, { headDim: d, sequenceLength: ids.length });
      const logitFactor = () => frequencies.attentionFactor ** 2;
      const expected = referenceLogits(reference, ids, { frequencies: frequencies.inverseFrequencies, logitFactor });
      expect(largestDifference(await short.logits(ids, { rope: override }), expected)).toBeLessThanOrEqual(tolerance);
    }
  });

  test("a threshold beyond the text changes nothing at all", async () => {
    const scheme: PositionMap = { name: "own", threshold: ids.length, farQuery: () => 1e6, farKey: () => -1e6 };
    expect(largestDifference(await model.logits(ids, { scheme }), await model.logits(ids))).toBeLessThanOrEqual(
      tolerance / 10,
    );
  });

  test("positions of the checkpoint, of the load and of one sequence give the same", async () => {
    const linear = { type: "linear", factor: 4 };
    using fromFile = await loadAquila2(await filesWith({ rope_scaling: linear }), { device });
    using atLoad = await loadAquila2(directory, { device, rope: linear });
    const expected = await model.logits(ids, { rope: linear });
    expect(await fromFile.logits(ids)).toEqual(expected);
    expect(await atLoad.logits(ids)).toEqual(expected);
    using withScheme = await loadAquila2(directory, { device, scheme: reRope({ window: 8 }) });
    expect(await withScheme.logits(ids)).toEqual(await model.logits(ids, { scheme: reRope({ window: 8 }) }));
    expect(withScheme.positions.scheme?.name).toBe("rerope(window=8)");
  });
});

test("a text beyond the trained length warns once, by name; a scheme does not", async () => {
  const files = await filesWith({ max_position_embeddings: 24 });
  const heard: string[] = [];
  using short = await loadAquila2(files, { device, onWarning: (message) => heard.push(message) });
  await short.logits(ids.slice(0, 24));
  await short.logits(ids, { scheme: reRope({ window: 8 }) });
  await short.logits(ids, { rope: { rope_type: "linear", factor: 2 } });
  expect(heard).toEqual([]);
  await short.logits(ids.slice(0, 25));
  await short.logits(ids);
  expect(heard).toHaveLength(1);
  expect(heard[0]).toMatch(/25 tokens are more than the 24 .*rope_type "default".*reRope\(\{ window: 12 \}\)/);
  expect(warnings).toEqual([]);
});

test("mistakes are named", async () => {
  const load = (options: PositionOptions) => loadAquila2(directory, { device, ...options });
  expect((await errorOf(() => load({ rope: { rope_type: "yarn", factr: 8 } }))).message).toMatch(
    /rope: "factr" is 8; accepted: for rope_type "yarn" the keys factor/,
  );
  expect((await errorOf(() => load({ rope: { rope_type: "default", partial_rotary_factor: 0.1 } }))).message).toMatch(
    /rope: partial_rotary_factor is 0.1; accepted: a part of the 32 channels/,
  );
  const broken = { name: "own", threshold: 1, farQuery: () => Number.NaN, farKey: () => 0 };
  expect((await errorOf(() => model.logits(ids, { scheme: broken }))).message).toMatch(/own: farQuery\(0\) is NaN/);
  expect((await errorOf(() => model.createCache(4, { keys: "both" as never }))).message).toMatch(/keys are "both"/);
});

describe("positions as text", () => {
  const { rope } = reference.config;
  test("types with their keys; the factor by the length where it may be left out", () => {
    expect(parsePositions("default").positions(rope, 512)).toEqual({ rope: { rope_type: "default" } });
    for (const type of ["linear", "ntk", "ntk-by-parts", "yarn"]) {
      expect(parsePositions(type).positions(rope, 512)).toEqual({ rope: { rope_type: type, factor: 2 } });
      expect(parsePositions(type).positions(rope, 128)).toEqual({ rope: { rope_type: type, factor: 1 } });
      expect(parsePositions(type).positions(rope)).toEqual({ rope: { rope_type: type } });
    }
    expect(parsePositions("dynamic").positions(rope, 512)).toEqual({ rope: { rope_type: "dynamic", factor: 1 } });
    expect(parsePositions("yarn:factor=8:truncate=false").positions(rope, 512)).toEqual({
      rope: { rope_type: "yarn", factor: 8, truncate: false },
    });
  });

  test("schemes, with defaults from the trained length of 256", () => {
    const nameOf = (text: string) => parsePositions(text).positions(rope).scheme!.name;
    expect(nameOf("rerope")).toBe(reRope({ window: 128 }).name);
    expect(nameOf("rerope:window=64:logn")).toBe(reRope({ window: 64, logScale: 256 }).name);
    expect(nameOf("rerope:logn=512")).toBe(reRope({ window: 128, logScale: 512 }).name);
    expect(nameOf("leaky")).toBe(leakyReRope({ window: 64, factor: 16 }).name);
    expect(nameOf("selfextend:group=8")).toBe(selfExtend({ window: 64, group: 8 }).name);
  });

  test.each([
    ["rope", /"rope" is unknown; known are default, linear, .*rerope, leaky, selfextend/],
    ["rerope:group=8", /rerope has no option "group"; it has window, logn/],
    ["leaky:factor=x", /factor must be a number/],
    ["leaky:window", /window must be a number/],
  ])("%s", async (text, message) => {
    expect((await errorOf(() => parsePositions(text))).message).toMatch(message);
  });
});

/** The fixture with other keys in its config.json. */
async function filesWith(changes: Record<string, unknown>) {
  const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
  const contents = await Promise.all(names.map((name) => readFile(new URL(name, fixtureDirectory))));
  contents[0] = Buffer.from(JSON.stringify({ ...JSON.parse(contents[0]!.toString()), ...changes }));
  return modelFilesOf(new Map(names.map((name, i) => [name, new Blob([contents[i]!])])));
}
