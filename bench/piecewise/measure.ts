/** @file Attention and PiecewiseAttention on one backend, in a process of its own. */
import type { Tensor } from "tilewright";
import { attention, piecewiseAttention, readRopeConfig, reRope, ropeAngles, ropeFrequencies } from "tilewright/kernels";
import { randomValues } from "../../test/support/rounding.ts";
import { type Timing, time } from "../attention/stopwatch.ts";
import { serve } from "../support/measurement.ts";
import { openDevice } from "../support/open-device.ts";
import type { Kind, PiecewiseInput, PiecewiseResult } from "./measured.ts";

serve(async (input: PiecewiseInput, progress): Promise<PiecewiseResult> => {
  const { backend, length, heads, headDim, window, seconds } = input;
  const device = await openDevice(backend);
  if ("missing" in device) return device;
  const shape = [1, heads, length, headDim];
  const size = heads * length * headDim;
  const values = [1, 2, 3].map((seed) => randomValues("f32", size, seed));
  const tensor = (data: Float32Array): Tensor => device.tensor(data, { shape, dtype: "f32" });
  const [q, k, v] = values.map(tensor) as [Tensor, Tensor, Tensor];
  const frequencies = ropeFrequencies(readRopeConfig({ max_position_embeddings: length, rope_theta: 10000 }), {
    headDim,
    sequenceLength: length,
  });
  const own = ropeAngles(device, { frequencies, length });
  const mapped = ropeAngles(device, { frequencies, map: reRope({ window }), length });
  const position = (i: number): number => i;
  const turned = (data: Float32Array, at: (i: number) => number): Tensor =>
    tensor(turn(data, input, frequencies.inverseFrequencies, at));
  const [rawQ, rawK] = [values[0]!, values[1]!];
  const pieces = {
    q1: turned(rawQ, position),
    k1: turned(rawK, position),
    q2: turned(rawQ, () => window),
    k2: turned(rawK, () => 0),
  };
  const causal = true;
  const outs = { raw: device.empty(shape, "f32"), four: device.empty(shape, "f32"), other: device.empty(shape, "f32") };
  const calls: Record<Kind, () => unknown> = {
    plain: () => attention({ q, k, v, causal, out: outs.other }),
    "plain, RoPE in the load": () => attention({ q, k, v, causal, rope: own, out: outs.other }),
    "piecewise, four tensors": () => piecewiseAttention({ ...pieces, v, threshold: window, causal, out: outs.four }),
    "piecewise, raw q and k": () =>
      piecewiseAttention({ q, k, rope: mapped, v, threshold: window, causal, out: outs.raw }),
  };
  const timings: { kind: Kind; timing: Timing }[] = [];
  for (const [kind, enqueue] of Object.entries(calls) as [Kind, () => unknown][]) {
    progress(`${backend}: ${kind}`);
    const call = async (): Promise<void> => {
      enqueue();
      await device.synchronize();
    };
    await call();
    timings.push({ kind, timing: await time(call, { seconds }) });
  }
  const [raw, four] = [await outs.raw.read(), await outs.four.read()] as [Float32Array, Float32Array];
  return {
    device: device.name,
    timings,
    difference: raw.reduce((most, x, i) => Math.max(most, Math.abs(x - four[i]!)), 0),
    largest: four.reduce((most, x) => Math.max(most, Math.abs(x)), 0),
  };
});

/** Rows turned to positions: channel i and i + D/2 by the angle of frequency i. */
function turn(
  data: Float32Array,
  { length, heads, headDim }: PiecewiseInput,
  frequencies: ArrayLike<number>,
  at: (row: number) => number,
): Float32Array {
  const turned = new Float32Array(data.length);
  for (let row = 0; row < heads * length; row++)
    for (let i = 0; i < headDim / 2; i++) {
      const angle = at(row % length) * frequencies[i]!;
      const [a, b] = [data[row * headDim + i]!, data[row * headDim + i + headDim / 2]!];
      turned[row * headDim + i] = a * Math.cos(angle) - b * Math.sin(angle);
      turned[row * headDim + i + headDim / 2] = b * Math.cos(angle) + a * Math.sin(angle);
    }
  return turned;
}
