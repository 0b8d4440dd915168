/**
 * @file The error of `attention` on a device, in units of what the project allows: at most twice that of the naive computation in the same
 * dtype, plus 1e-5. For the conformance test and for the accuracy table of the benchmarks.
 */
import {
  allowedError,
  attention,
  attentionNaive,
  attentionReference,
  largestDifference,
} from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import type { ConformanceCase } from "../kernels/attention-cases.ts";
import { randomValues } from "./rounding.ts";

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** Runs one case and gives the errors of `out` and `lse` as shares of what is allowed. */
export async function errorShares(device: Device, c: ConformanceCase): Promise<{ out: number; lse: number }> {
  const make = (heads: number, length: number, dim: number, seed: number) => {
    const shape = [c.batch, heads, length, dim];
    const values = randomValues(c.dtype, sizeOf(shape), seed, c.magnitude);
    return { values, tensor: device.tensor(values, { shape, dtype: c.dtype }) };
  };
  const q = make(c.queryHeads, c.queries, c.headDim, 1);
  const k = make(c.keyHeads, c.keys, c.headDim, 2);
  const v = make(c.keyHeads, c.keys, c.valueDim, 3);
  const { out, lse } = attention({
    q: q.tensor,
    k: k.tensor,
    v: v.tensor,
    causal: c.causal,
    scale: c.scale,
    returnLse: true,
  });
  const reference = attentionReference(c, q.values, k.values, v.values);
  const naive = attentionNaive(c, c.dtype, q.values, k.values, v.values);
  const shares = {
    out: largestDifference((await out.read()) as Float32Array, reference.out) / allowedError(naive.out, reference.out),
    lse: largestDifference((await lse!.read()) as Float32Array, reference.lse) / allowedError(naive.lse, reference.lse),
  };
  for (const tensor of [q.tensor, k.tensor, v.tensor, out, lse!]) tensor.dispose();
  return shares;
}
