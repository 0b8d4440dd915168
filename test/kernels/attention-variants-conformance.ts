/**
 * @file The conformance test of attention's variants: written once, instantiated for every back end. Against f64, under the project's rule that an error is at
 * most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attention } from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { decodeCases, make, randomCases, titleOf, type VariantCase, variantCases } from "./attention-variants-cases.ts";
import { argumentsOf, errorShares, inputsOf, read, runOperators } from "./attention-variants-errors.ts";
import { expectWithinRule } from "./judge.ts";

export interface VariantSuiteOptions {
  /** Every n-th case; all by default. For back ends that take seconds to compile each. */
  readonly every?: number;
  readonly randomRuns?: number;
  /** Also extreme values and determinism. Default true. */
  readonly details?: boolean;
}

export function describeAttentionVariants(
  title: string,
  device: () => Device,
  { every = 1, randomRuns = 30, details = true }: VariantSuiteOptions = {},
): void {
  const expectRight = async (c: VariantCase) => expectWithinRule(await errorShares(device(), c), c);

  describe.each([
    ["variants of attention", variantCases],
    ["variants in split-KV attention", decodeCases],
  ])(`%s on ${title}`, (_, cases) => {
    const chosen = cases.filter((_, i) => i % every === 0);
    it.each(chosen.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectRight(c));
  });

  it(`random variants on ${title}`, async () => {
    await fc.assert(fc.asyncProperty(randomCases, expectRight), { numRuns: randomRuns, seed: 4 });
  });

  // Of one key lse is the logit. Both forms of the cap (withSoftcap), which change over beyond 50.
  it.each([3, 50, 51, 10_000])(`caps logits of every size at %d on ${title}`, async (cap) => {
    const [count, scale] = [64, 0.3];
    const products = Float32Array.from({ length: count }, (_, i) => (-1) ** i * cap * 10 ** (i / 12 - 4));
    const [q, k] = [new Float32Array(count * 16), new Float32Array(16)];
    products.forEach((x, m) => {
      q[16 * m] = x;
    });
    k[0] = 1;
    const tensor = (data: Float32Array, rows: number) =>
      device().tensor(data, { shape: [1, 1, rows, 16], dtype: "f32" });
    const operands = { q: tensor(q, count), k: tensor(k, 1), v: tensor(k, 1) };
    const { lse } = attention({ ...operands, scale, softcap: cap, returnLse: true });
    const wrong = Array.from(await read(lse!)).flatMap((got, m) => {
      const want = cap * Math.tanh((products[m]! * Math.fround(scale)) / cap);
      // c · tanh(x / c) in f32 rounds four times; lse is the logit times log2(e) and back, with two rounded constants.
      const naive = 8 * 2 ** -24 * Math.abs(want);
      return Math.abs(got - want) <= 2 * naive + 1e-5 ? [] : [{ product: products[m], got, want }];
    });
    expect(wrong).toEqual([]);
  });

  if (!details) return;
  it.each(
    [
      make({ window: [9, 0], sinkTokens: 2, sinks: true, bias: [true, true, true], queries: 40, keys: 50 }),
      make({ documents: { queries: [20, 13], keys: [30, 9] }, alibi: true, softcap: 5, queries: 35, keys: 40 }),
      make({ threshold: 5, prefix: [7], dropout: 0.3, queries: 40, keys: 30 }),
    ].map((c) => [titleOf(c), c] as const),
  )(`gives the same bits twice on ${title}: %s`, async (_, c) => {
    const inputs = inputsOf(device(), c);
    const args = argumentsOf(device(), c, inputs);
    const [once, again] = [runOperators(c, inputs, args), runOperators(c, inputs, args)];
    for (const [name, tensor] of Object.entries(once))
      expect(await again[name]!.readRaw(), name).toEqual(await tensor.readRaw());
  });

  // What no tolerance can say something about, but what must stay a number: logits far beyond the range of exp, and rows without keys.
  it.each(
    [
      make({ magnitude: 100, scale: 1, sinks: true, window: [3, 0], queries: 60, keys: 40 }),
      make({ magnitude: 100, scale: 1, softcap: 30, alibi: true, bias: [true, true, true] }),
      make({ magnitude: 100, scale: 1, sinks: true, documents: { queries: [30, 0, 40], keys: [10, 20, 60] } }),
      make({ magnitude: 1e-20, sinks: true, keyLengths: [0, 12], batch: 2 }),
    ].map((c) => [titleOf(c), c] as const),
  )(`no NaN on ${title} with extreme logits and rows without keys: %s`, async (_, c) => {
    const inputs = inputsOf(device(), c);
    const results = runOperators(c, inputs, argumentsOf(device(), c, inputs));
    for (const [name, tensor] of Object.entries(results)) {
      const values = await read(tensor);
      expect(
        values.every((x) => (name === "lse" ? !Number.isNaN(x) : Number.isFinite(x))),
        name,
      ).toBe(true);
    }
    // Weights are positive and sum to at most 1: without dropout no output is beyond the largest value.
    const largest = Math.max(...inputs.v.values.map(Math.abs));
    expect(Math.max(...(await read(results.out!)).map(Math.abs))).toBeLessThanOrEqual(largest * 1.0001);
  });
}
