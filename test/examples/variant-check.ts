/** @file A user's variant against f64: the forward kernel and the gradients, for queries that see what a plain function says. */
import { expect } from "vitest";
import {
  type AttentionCase,
  type AttentionExtras,
  attend,
  attentionBackwardKeys,
  attentionBackwardQueries,
  attentionBackwardStatistics,
  attentionForward,
  attentionGradients,
  exactArithmetic,
  largestDifference,
  type Variant,
} from "../../src/kernels/index.ts";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import type { Tensor } from "../../src/runtime/index.ts";
import { ptxDevice, recordsLaunches } from "../ptx/device.ts";
import { randomValues } from "../support/rounding.ts";

export const DIM = 16;
export const blocks = { BLOCK_M: 16, BLOCK_N: 16, HEAD_DIM: DIM, VALUE_DIM: DIM };
/** Sums of a hundred f32 products of numbers of order 1. */
export const tolerance = 1e-5;

/** M queries of two heads that read one key head of N keys, in f32. `sees`: which keys a query sees. */
export async function checkVariant(
  variant: Variant,
  own: Readonly<Record<string, number>>,
  [M, N]: readonly [queries: number, keys: number],
  sees: (query: number, key: number) => boolean,
): Promise<void> {
  using device = recordsLaunches ? await ptxDevice() : new CpuDevice();
  const c: AttentionCase & AttentionExtras = {
    batch: 1,
    queryHeads: 2,
    keyHeads: 1,
    queries: M,
    keys: N,
    headDim: DIM,
    valueDim: DIM,
    causal: true,
    scale: 0.25,
    sees: (_b, _h, m, n) => sees(m, n),
  };
  const [q, dout] = [1, 2].map((seed) => randomValues("f32", 2 * M * DIM, seed)) as [Float32Array, Float32Array];
  const [k, v] = [3, 4].map((seed) => randomValues("f32", N * DIM, seed)) as [Float32Array, Float32Array];
  const inputs = { terms: [{ q, k }], v };
  const forward = attend(c, inputs, exactArithmetic);

  const tensor = (data: ArrayLike<number>, shape: number[]) =>
    device.tensor(Float32Array.from(data), { shape, dtype: "f32" });
  const rows = (data: ArrayLike<number>) => tensor(data, [1, 2, M, DIM]);
  const keys = (data: ArrayLike<number>) => tensor(data, [1, 1, N, DIM]);
  const close = async (actual: Tensor, ...parts: Float64Array[]) => {
    const expected = parts.flatMap((part) => [...part]);
    expect(largestDifference((await actual.read()) as Float32Array, expected)).toBeLessThan(tolerance);
  };
  const operands = { q: rows(q), k: keys(k), v: keys(v), scale: c.scale };
  const options = { constants: { ...blocks, ...own } };
  const [out, lse] = [device.empty([1, 2, M, DIM], "f32"), device.empty([1, 2, M], "f32")];
  device.launch(attentionForward(variant), { ...operands, out, lse }, options);
  await close(out, forward.out);
  await close(lse, forward.lse);

  const statistics = device.empty([2, 1, 2, M], "f32");
  const [dq, dkv] = [device.empty([1, 1, 2, M, DIM], "f32"), device.empty([2, 1, 1, N, DIM], "f32")];
  device.launch(
    attentionBackwardStatistics,
    { out: rows(forward.out), dout: rows(dout), lse: tensor(forward.lse, [1, 2, M]), statistics },
    { constants: { VALUE_DIM: DIM } },
  );
  const values = { ...operands, dout: rows(dout), statistics };
  device.launch(attentionBackwardQueries(variant), { ...values, dq }, options);
  device.launch(attentionBackwardKeys(variant), { ...values, dkv }, options);
  const expected = attentionGradients(c, inputs, dout, exactArithmetic);
  await close(dq, expected.terms[0]!.dq);
  await close(dkv, expected.terms[0]!.dk, expected.dv);
}
