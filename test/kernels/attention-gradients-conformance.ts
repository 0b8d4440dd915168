/**
 * @file The conformance test of attention's gradients, of PiecewiseAttention and of dropout: written once, instantiated for every back end.
 * Against f64, under the project's rule that an error is at most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import { describe, expect, it } from "vitest";
import {
  type AttentionExtras,
  allowedError,
  attend,
  attention,
  attentionBackward,
  attentionGradients,
  exactArithmetic,
  largestDifference,
  naiveArithmetic,
  piecewiseAttention,
  piecewiseAttentionBackward,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { tritonRand } from "../support/philox.ts";
import { randomValues } from "../support/rounding.ts";
import { type GradientCase, gradientCases, piecewiseCases, titleOf } from "./attention-backward-cases.ts";

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);
const seed = 0x1234_5678_9abc_def0n;

/** The dropout of a case, as the reference and as the operators take it. */
export function dropoutOf(c: GradientCase, offset: bigint): AttentionExtras["dropout"] {
  if (c.dropout === undefined) return undefined;
  const probability = Math.fround(c.dropout);
  const bits = offset < 2n ** 31n ? 32 : 64;
  return {
    probability,
    keep: (b, h, m, n) => {
      const index = ((b * c.queryHeads + h) * c.queries + m) * c.keys + n;
      return tritonRand(seed, offset + BigInt(index), 6, bits) > probability;
    },
  };
}

/** Runs forward and backward of one case. Errors as shares of what is allowed, by the result's name. */
export async function gradientErrorShares(
  device: Device,
  c: GradientCase,
  offset = 123456n,
): Promise<Record<string, number>> {
  const make = (heads: number, length: number, dim: number, seed: number) => {
    const shape = [c.batch, heads, length, dim];
    const values = randomValues(c.dtype, sizeOf(shape), seed, c.magnitude);
    return { values, tensor: device.tensor(values, { shape, dtype: c.dtype }) };
  };
  const [q1, q2] = [1, 2].map((seed) => make(c.queryHeads, c.queries, c.headDim, seed)) as [Made, Made];
  const [k1, k2] = [3, 4].map((seed) => make(c.keyHeads, c.keys, c.headDim, seed)) as [Made, Made];
  const v = make(c.keyHeads, c.keys, c.valueDim, 5);
  const dout = make(c.queryHeads, c.queries, c.valueDim, 6);
  type Made = ReturnType<typeof make>;

  const random = dropoutOf(c, offset);
  const common = {
    causal: c.causal,
    scale: c.scale,
    dropout: random && { probability: random.probability, seed, offset },
  };
  const wanted = { returnLse: true, returnTotalAttention: true };
  const results: Record<string, Tensor> = {};
  if (c.threshold === undefined) {
    const operands = { q: q1.tensor, k: k1.tensor, v: v.tensor, ...common };
    const { out, lse, totalAttention } = attention({ ...operands, ...wanted });
    Object.assign(results, { out, lse, totalAttention });
    Object.assign(results, attentionBackward({ ...operands, out, lse: lse!, dout: dout.tensor }));
  } else {
    const operands = { q1: q1.tensor, k1: k1.tensor, q2: q2.tensor, k2: k2.tensor, v: v.tensor, ...common };
    const { out, lse, totalAttention } = piecewiseAttention({ ...operands, ...wanted, threshold: c.threshold });
    Object.assign(results, { out, lse, totalAttention });
    const { threshold } = c;
    Object.assign(results, piecewiseAttentionBackward({ ...operands, threshold, out, lse: lse!, dout: dout.tensor }));
  }

  const problem = { ...c, dropout: random };
  const terms = [
    { q: q1.values, k: k1.values },
    { q: q2.values, k: k2.values },
  ].slice(0, c.threshold === undefined ? 1 : 2);
  const inputs = { terms, v: v.values };
  const [expected, naive] = [exactArithmetic, naiveArithmetic(c.dtype)].map((arithmetic) => {
    const { out, lse, total } = attend(problem, inputs, arithmetic);
    const { terms, dv } = attentionGradients(problem, inputs, dout.values, arithmetic);
    const named = terms.flatMap(({ dq, dk }, i) => {
      const suffix = c.threshold === undefined ? "" : String(i + 1);
      return [
        [`dq${suffix}`, dq],
        [`dk${suffix}`, dk],
      ];
    });
    return { out, lse, totalAttention: total, ...Object.fromEntries(named), dv } as Record<string, Float64Array>;
  }) as [Record<string, Float64Array>, Record<string, Float64Array>];

  const shares: Record<string, number> = {};
  for (const [name, values] of Object.entries(expected)) {
    const actual = (await results[name]!.read()) as Float32Array;
    shares[name] = largestDifference(actual, values) / allowedError(naive[name]!, values);
  }
  for (const tensor of Object.values(results)) tensor.dispose();
  return shares;
}

export function describeAttentionGradients(title: string, device: () => Device): void {
  describe.each([
    ["attention", gradientCases],
    ["piecewise attention", piecewiseCases],
  ])(`gradients of %s on ${title}`, (_, cases) => {
    it.each(cases.map((c) => [titleOf(c), c] as const))("%s", async (_, c) => {
      const shares = await gradientErrorShares(device(), c);
      expect(Object.keys(shares).length).toBe(c.threshold === undefined ? 6 : 8);
      for (const [name, share] of Object.entries(shares)) expect(share, name).toBeLessThanOrEqual(1);
    });
  });
}
