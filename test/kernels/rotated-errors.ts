/**
 * @file The errors of attention over raw queries and keys, RoPE in the load, forward and backward, as shares of what the project allows: twice the
 * error of the naive computation in the same dtype, plus 1e-5, all against f64. It knows nothing of a test framework.
 */
import {
  allowedError,
  attention,
  attentionBackward,
  exactArithmetic,
  largestDifference,
  naiveArithmetic,
  piecewiseAttention,
  piecewiseAttentionBackward,
  plainRope,
  type RopeAngles,
  ropeAngles,
  ropeFrequencies,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";
import { mapOf, type RotatedCase, type RotatedInputs, rotatedReference } from "./rotated-cases.ts";

export const frequenciesOf = ({ turned, layout }: Pick<RotatedCase, "turned" | "layout">) =>
  ropeFrequencies({ ...plainRope(10000), layout }, { headDim: turned });

export const anglesOf = (device: Device, c: RotatedCase, length = c.keys + 3): RopeAngles =>
  ropeAngles(device, {
    frequencies: frequenciesOf(c),
    length,
    ...(c.threshold !== undefined && { map: mapOf(c) }),
  });

/** An operand: its values, and they on a device. */
export interface Made {
  readonly values: Float32Array;
  readonly tensor: Tensor;
}

/** Random inputs, as values and on a device. */
export function inputsOf(device: Device, c: RotatedCase): RotatedInputs<Made> {
  const make = (heads: number, length: number, dim: number, seed: number): Made => {
    const shape = [c.batch, heads, length, dim];
    const values = randomValues(c.dtype, c.batch * heads * length * dim, seed);
    return { values, tensor: device.tensor(values, { shape, dtype: c.dtype }) };
  };
  return {
    q: make(c.queryHeads, c.queries, c.headDim, 1),
    k: make(c.keyHeads, c.keys, c.headDim, 2),
    v: make(c.keyHeads, c.keys, c.valueDim, 3),
    dout: make(c.queryHeads, c.queries, c.valueDim, 4),
  };
}

export const mapped = <T, U>({ q, k, v, dout }: RotatedInputs<T>, map: (x: T) => U): RotatedInputs<U> => ({
  q: map(q),
  k: map(k),
  v: map(v),
  dout: map(dout),
});

/** Everything that forward and backward operators give, by name. */
export function runRotated(
  c: RotatedCase,
  rope: RopeAngles,
  { q, k, v, dout }: RotatedInputs<Tensor>,
): Record<string, Tensor> {
  const { causal, scale, splits, threshold } = c;
  const operands = { q, k, v, rope, causal, scale };
  const wanted = { returnLse: true, returnTotalAttention: true, splits };
  if (threshold === undefined) {
    const { out, lse, totalAttention } = attention({ ...operands, ...wanted });
    const gradients = attentionBackward({ ...operands, out, lse: lse!, dout });
    return { out, lse: lse!, totalAttention: totalAttention!, ...gradients };
  }
  const { out, lse, totalAttention } = piecewiseAttention({ ...operands, ...wanted, threshold });
  const gradients = piecewiseAttentionBackward({ ...operands, threshold, out, lse: lse!, dout });
  return { out, lse: lse!, totalAttention: totalAttention!, ...gradients };
}

const read = async (tensor: Tensor): Promise<Float32Array> => (await tensor.read()) as Float32Array;

/** Errors as shares of what is allowed, by the result's name. */
export async function errorShares(device: Device, c: RotatedCase): Promise<Record<string, number>> {
  const made = inputsOf(device, c);
  using rope = anglesOf(device, c);
  const results = runRotated(
    c,
    rope,
    mapped(made, ({ tensor }) => tensor),
  );
  const values = mapped(made, ({ values }) => values);
  const expected = rotatedReference(c, values, exactArithmetic);
  const naive = rotatedReference(c, values, naiveArithmetic(c.dtype));
  const shares: Record<string, number> = {};
  for (const [name, exact] of Object.entries(expected))
    shares[name] = largestDifference(await read(results[name]!), exact) / allowedError(naive[name]!, exact);
  for (const tensor of Object.values(results)) tensor.dispose();
  for (const { tensor } of Object.values(made)) tensor.dispose();
  return shares;
}
