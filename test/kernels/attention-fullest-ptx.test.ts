/**
 * The fullest kernels on CUDA: 256 channels, two terms, RoPE in the load and every argument at once, which have the smallest tiles and keep the fewest operands
 * in registers (src/kernels/attention/configuration.ts). As PTX in the package's emulator, against the cpu backend, whose tiles are others.
 */
import { expect, it } from "vitest";
import {
  type FloatDType,
  piecewiseAttention,
  piecewiseAttentionBackward,
  plainRope,
  ropeAngles,
  ropeFrequencies,
} from "../../src/kernels/index.ts";
import { createDevice, type Device, type Tensor } from "../../src/runtime/index.ts";
import { ptxDevice } from "../ptx/device.ts";

const [heads, queries, keys, dim] = [2, 20, 26, 256];

/** Numbers from -1 to 1 in no order. */
const numbers = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * 12.9898 * seed));

async function results(device: Device, dtype: FloatDType, offset: number): Promise<Record<string, Float32Array>> {
  const tensor = (seed: number, shape: readonly number[]) =>
    device.tensor(
      numbers(
        shape.reduce((a, b) => a * b),
        seed,
      ),
      { shape, dtype },
    );
  const integers = (values: readonly number[]) =>
    device.tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });
  const map = {
    name: "own",
    threshold: 7,
    farQuery: (position: number) => position / 3 + 7,
    farKey: (position: number) => position / 3,
  };
  using rope = ropeAngles(device, {
    frequencies: ropeFrequencies(plainRope(10000), { headDim: dim }),
    map,
    length: keys,
  });
  const args = {
    q: tensor(1, [1, heads, queries, dim]),
    k: tensor(2, [1, 1, keys, dim]),
    v: tensor(3, [1, 1, keys, dim]),
    causal: true,
    rope,
    threshold: map.threshold,
    window: [20, 3] as const,
    sinkTokens: 2,
    softcap: 20,
    alibiSlopes: device.tensor(Float32Array.of(0.1, 0.02), { shape: [heads], dtype: "f32" }),
    sinks: tensor(4, [heads]),
    cumulativeLengths: { queries: integers([0, 8, queries]), keys: integers([0, 11, keys]) },
    dropout: { probability: 0.2, seed: 3, offset },
  };
  const { out, lse } = piecewiseAttention({ ...args, returnLse: true });
  const gradients = piecewiseAttentionBackward({ ...args, out, lse: lse!, dout: tensor(5, [1, heads, queries, dim]) });
  const read: Record<string, Float32Array> = {};
  for (const [name, made] of Object.entries({ out, lse, ...gradients } as Record<string, Tensor>))
    read[name] = Float32Array.from((await made.read()) as Float32Array);
  return read;
}

it.each([
  ["f16", 5],
  ["f16", 2 ** 40],
  ["f32", 5],
  ["f32", 2 ** 40],
] as const)("%s, dropout from %d on", async (dtype, offset) => {
  const [expected, actual] = await Promise.all([
    createDevice({ backend: "cpu" }).then((device) => results(device, dtype, offset)),
    ptxDevice().then((device) => results(device, dtype, offset)),
  ]);
  // Both round to the dtype: weights, once each term's turned operands, results. Sums are of 26 products at most.
  const unit = dtype === "f16" ? 2 ** -11 : 2 ** -24;
  for (const [name, want] of Object.entries(expected)) {
    const scale = want.reduce((most, x) => Math.max(most, Number.isFinite(x) ? Math.abs(x) : 0), 1);
    const wrong = [...want].filter(
      (x, i) => !(x === actual[name]![i] || Math.abs(x - actual[name]![i]!) <= 8 * unit * scale),
    );
    expect(wrong, name).toEqual([]);
    expect(
      want.some((x) => x !== 0),
      name,
    ).toBe(true);
  }
});
