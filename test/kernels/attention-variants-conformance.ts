/**
 * @file The conformance test of attention's variants: written once, instantiated for every back end. Against f64, under the project's rule that an error is at
 * most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attention, attentionBackward } from "../../src/kernels/attention/operator.ts";
import { piecewiseAttention, piecewiseAttentionBackward } from "../../src/kernels/attention/piecewise-operator.ts";
import { allowedError, largestDifference } from "../../src/kernels/attention/reference.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { recordShare } from "../support/record-share.ts";
import { randomValues, roundTo } from "../support/rounding.ts";
import { dropoutOf, dropoutSeed, sizeOf } from "./attention-errors.ts";
import {
  biasShape,
  cumulative,
  decodeCases,
  make,
  problemOf,
  randomCases,
  slopesOf,
  titleOf,
  type VariantCase,
  variantCases,
} from "./attention-variants-cases.ts";
import { denseAttention } from "./attention-variants-reference.ts";

const dropoutOffset = 123456n;

interface Made {
  readonly values: Float32Array;
  readonly tensor: Tensor;
}

/** Inputs of a case. */
export function inputsOf(device: Device, c: VariantCase) {
  const random = (shape: readonly number[], dtype: VariantCase["dtype"], seed: number, scale: number): Made => {
    const values = randomValues(dtype, sizeOf(shape), seed, scale);
    return { values, tensor: device.tensor(values, { shape, dtype }) };
  };
  const operand = (heads: number, length: number, dim: number, seed: number) =>
    random([c.batch, heads, length, dim], c.dtype, seed, c.magnitude);
  return {
    q1: operand(c.queryHeads, c.queries, c.headDim, 1),
    q2: operand(c.queryHeads, c.queries, c.headDim, 2),
    k1: operand(c.keyHeads, c.keys, c.headDim, 3),
    k2: operand(c.keyHeads, c.keys, c.headDim, 4),
    v: operand(c.keyHeads, c.keys, c.valueDim, 5),
    dout: operand(c.queryHeads, c.queries, c.valueDim, 6),
    ...(c.bias && { bias: random(biasShape(c), c.biasDtype ?? c.dtype, 7, 1) }),
    ...(c.sinks && { sinks: random([c.queryHeads], c.sinksDtype ?? "f32", 8, 2) }),
  };
}
type Inputs = ReturnType<typeof inputsOf>;

/** The variant arguments of a case, as the operators take them. */
export function argumentsOf(device: Device, c: VariantCase, { bias, sinks }: Pick<Inputs, "bias" | "sinks">) {
  const integers = (values: readonly number[]) =>
    device.tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });
  return {
    causal: c.causal,
    scale: c.scale,
    ...(c.window && { window: c.window }),
    ...(c.sinkTokens !== undefined && { sinkTokens: c.sinkTokens }),
    ...(c.prefix && { prefixLengths: integers(c.prefix) }),
    ...(c.softcap !== undefined && { softcap: c.softcap }),
    ...(c.alibi && {
      alibiSlopes: device.tensor(slopesOf(c.queryHeads), { shape: [c.queryHeads], dtype: "f32" }),
    }),
    ...(bias && { bias: bias.tensor }),
    ...(sinks && { sinks: sinks.tensor }),
    ...(c.keyLengths && { keyLengths: integers(c.keyLengths) }),
    ...(c.documents && {
      cumulativeLengths: {
        queries: integers(cumulative(c.documents.queries)),
        keys: integers(cumulative(c.documents.keys)),
      },
    }),
    ...(c.dropout && { dropout: { probability: c.dropout, seed: dropoutSeed, offset: dropoutOffset } }),
  };
}

/** Everything that forward and backward operators give, by the reference's names. */
export function runOperators(
  c: VariantCase,
  inputs: Inputs,
  args: ReturnType<typeof argumentsOf>,
): Record<string, Tensor> {
  const { q1, q2, k1, k2, v, dout } = Object.fromEntries(
    Object.entries(inputs).map(([name, { tensor }]) => [name, tensor]),
  ) as Record<keyof Inputs, Tensor>;
  const wanted = { returnLse: true, returnTotalAttention: true, ...(c.splits && { splits: c.splits }) };
  if (c.threshold === undefined) {
    const operands = { q: q1, k: k1, v, ...args };
    const forward = attention({ ...operands, ...wanted });
    const { dq, dk, ...rest } = attentionBackward({ ...operands, out: forward.out, lse: forward.lse!, dout });
    return { ...forward, dq1: dq, dk1: dk, ...rest } as Record<string, Tensor>;
  }
  const operands = { q1, k1, q2, k2, v, threshold: c.threshold, ...args };
  const forward = piecewiseAttention({ ...operands, ...wanted });
  const gradients = piecewiseAttentionBackward({ ...operands, out: forward.out, lse: forward.lse!, dout });
  return { ...forward, ...gradients } as unknown as Record<string, Tensor>;
}

/** The same by the reference, exactly and as computed naively in the dtype. */
function expectedOf(c: VariantCase, inputs: Inputs) {
  const { q1, q2, k1, k2, v, dout } = inputs;
  const problem = problemOf(c, {
    dropout: dropoutOf(c, dropoutOffset),
    ...(inputs.bias && { bias: inputs.bias.values }),
    ...(inputs.sinks && { sinks: inputs.sinks.values }),
  });
  const terms = [
    { q: q1.values, k: k1.values },
    { q: q2.values, k: k2.values },
  ].slice(0, c.threshold === undefined ? 1 : 2);
  const given = { terms, v: v.values, dout: dout.values };
  const naive: Record<string, Float64Array> = { ...denseAttention(problem, given, (x) => roundTo(c.dtype, x)) };
  for (const [name, input] of [
    ["dbias", inputs.bias],
    ["dsinks", inputs.sinks],
  ] as const)
    if (input) naive[name] = naive[name]!.map((x) => roundTo(input.tensor.dtype as VariantCase["dtype"], x));
  return [denseAttention(problem, given), naive] as const;
}

const read = async (tensor: Tensor): Promise<Float32Array> => (await tensor.read()) as Float32Array;

/** Errors as shares of what is allowed, by the result's name. */
export async function errorShares(device: Device, c: VariantCase): Promise<Record<string, number>> {
  const inputs = inputsOf(device, c);
  const results = runOperators(c, inputs, argumentsOf(device, c, inputs));
  const [expected, naive] = expectedOf(c, inputs);
  const shares: Record<string, number> = {};
  for (const [name, values] of Object.entries(expected))
    shares[name] = largestDifference(await read(results[name]!), values) / allowedError(naive[name]!, values);
  expect(Object.keys(results).sort()).toEqual(Object.keys(expected).sort());
  for (const tensor of Object.values(results)) tensor.dispose();
  return shares;
}

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
  const expectWithinRule = async (c: VariantCase): Promise<void> => {
    for (const [name, share] of Object.entries(await errorShares(device(), c))) {
      expect(share, `${name} of ${titleOf(c)}`).toBeLessThanOrEqual(1);
      recordShare(share, `${name} ${c.dtype}`);
    }
  };

  describe.each([
    ["variants of attention", variantCases],
    ["variants in split-KV attention", decodeCases],
  ])(`%s on ${title}`, (_, cases) => {
    const chosen = cases.filter((_, i) => i % every === 0);
    it.each(chosen.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectWithinRule(c));
  });

  it(`random variants on ${title}`, async () => {
    await fc.assert(fc.asyncProperty(randomCases, expectWithinRule), { numRuns: randomRuns, seed: 4 });
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
