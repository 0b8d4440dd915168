/** @file The demo's check: attention on a device against f64, under the project's accuracy rule. */
import {
  type AttentionCase,
  allowedError,
  attentionNaive,
  attentionReference,
  type FloatDType,
  largestDifference,
} from "../../kernels/attention/reference.ts";
import { attention } from "../../kernels/index.ts";
import type { Device } from "../../runtime/index.ts";

export interface DemoCase extends AttentionCase {
  readonly title: string;
  readonly dtype: FloatDType;
}

export interface AttentionCheck {
  readonly title: string;
  readonly error: number;
  readonly allowed: number;
  readonly passed: boolean;
  /** Compilation and pipeline creation included. */
  readonly firstMilliseconds: number;
  readonly milliseconds: number;
}

const shape = {
  batch: 1,
  queryHeads: 2,
  keyHeads: 2,
  queries: 128,
  keys: 128,
  headDim: 64,
  valueDim: 64,
  causal: true,
  scale: 1 / 8,
};

export const demoCases: readonly DemoCase[] = [
  { ...shape, title: "f32, 128 x 128, causal", dtype: "f32" },
  {
    ...shape,
    title: "f16, 100 x 200, causal, 6 query heads a key head",
    dtype: "f16",
    queryHeads: 6,
    keyHeads: 1,
    queries: 100,
    keys: 200,
  },
  {
    ...shape,
    title: "bf16, head dim 80, not causal",
    dtype: "bf16",
    headDim: 80,
    valueDim: 80,
    scale: 80 ** -0.5,
    causal: false,
    queries: 64,
    keys: 96,
  },
];

/** Numbers in [-2, 2], the same every time (a linear congruential generator). */
function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 4 - 2;
  });
}

export async function checkAttention(device: Device, demo: DemoCase): Promise<AttentionCheck> {
  const { batch, queryHeads, keyHeads, queries, keys, headDim, valueDim, dtype, causal, scale, title } = demo;
  const make = async (shape: number[], seed: number) => {
    const tensor = device.tensor(
      numbers(
        shape.reduce((a, b) => a * b),
        seed,
      ),
      { shape, dtype },
    );
    return { tensor, values: (await tensor.read()) as Float32Array };
  };
  const q = await make([batch, queryHeads, queries, headDim], 1);
  const k = await make([batch, keyHeads, keys, headDim], 2);
  const v = await make([batch, keyHeads, keys, valueDim], 3);

  const run = async (): Promise<[Float32Array, number]> => {
    const start = performance.now();
    using out = attention({ q: q.tensor, k: k.tensor, v: v.tensor, causal, scale }).out;
    return [(await out.read()) as Float32Array, performance.now() - start];
  };
  const [out, firstMilliseconds] = await run();
  const [, milliseconds] = await run();
  const reference = attentionReference(demo, q.values, k.values, v.values).out;
  const allowed = allowedError(attentionNaive(demo, dtype, q.values, k.values, v.values).out, reference);
  const error = largestDifference(out, reference);
  for (const { tensor } of [q, k, v]) tensor.dispose();
  return { title, error, allowed, passed: error <= allowed, firstMilliseconds, milliseconds };
}
