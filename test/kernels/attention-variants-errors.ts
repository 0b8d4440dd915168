/**
 * @file The errors of attention's variants on a device, forward and backward, as shares of what the project allows: twice the error of the naive computation
 * in the same dtype, plus 1e-5, all against f64. It knows nothing of a test framework.
 */
import { attention, attentionBackward } from "../../src/kernels/attention/operator.ts";
import { piecewiseAttention, piecewiseAttentionBackward } from "../../src/kernels/attention/piecewise-operator.ts";
import { allowedError, largestDifference } from "../../src/kernels/attention/reference.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues, roundTo } from "../support/rounding.ts";
import { dropoutOf, dropoutSeed, sizeOf } from "./attention-errors.ts";
import { biasShape, cumulative, problemOf, slopesOf, type VariantCase } from "./attention-variants-cases.ts";
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
export type Inputs = ReturnType<typeof inputsOf>;

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

/** The problem and the inputs of a case as the reference takes them. */
export function givenOf(c: VariantCase, inputs: Inputs) {
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
  return [problem, { terms, v: v.values, dout: dout.values }] as const;
}

/** What `runOperators` gives, by the reference. */
export const exactResults = (c: VariantCase, inputs: Inputs): Record<string, Float64Array> =>
  denseAttention(...givenOf(c, inputs));

/** The same as computed naively in the dtype. */
function naiveResults(c: VariantCase, inputs: Inputs): Record<string, Float64Array> {
  const [problem, given] = givenOf(c, inputs);
  const naive: Record<string, Float64Array> = { ...denseAttention(problem, given, (x) => roundTo(c.dtype, x)) };
  for (const [name, input] of [
    ["dbias", inputs.bias],
    ["dsinks", inputs.sinks],
  ] as const)
    if (input) naive[name] = naive[name]!.map((x) => roundTo(input.tensor.dtype as VariantCase["dtype"], x));
  return naive;
}

export const read = async (tensor: Tensor): Promise<Float32Array> => (await tensor.read()) as Float32Array;

/** Errors as shares of what is allowed, by the result's name. */
export async function errorShares(device: Device, c: VariantCase): Promise<Record<string, number>> {
  const inputs = inputsOf(device, c);
  const results = runOperators(c, inputs, argumentsOf(device, c, inputs));
  const [expected, naive] = [exactResults(c, inputs), naiveResults(c, inputs)];
  const shares: Record<string, number> = {};
  for (const [name, values] of Object.entries(expected))
    shares[name] = largestDifference(await read(results[name]!), values) / allowedError(naive[name]!, values);
  const missing = Object.keys(results).filter((name) => expected[name as keyof typeof expected] === undefined);
  if (missing.length > 0) throw new Error(`no reference for ${missing.join(", ")}`);
  for (const tensor of Object.values(results)) tensor.dispose();
  return shares;
}
