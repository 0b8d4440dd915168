/** The custom attention of examples/ against a plain f64 computation, and that it visits no key block outside the window. */
import { describe, expect, it } from "vitest";
import forwardKernel, { slidingWindow } from "../../examples/sliding-window.ts";
import { prepare } from "../../src/interpreter/index.ts";
import {
  type AttentionCase,
  type AttentionExtras,
  attend,
  attentionBackwardKeys,
  attentionBackwardQueries,
  attentionBackwardStatistics,
  attentionGradients,
  exactArithmetic,
  largestDifference,
} from "../../src/kernels/index.ts";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import type { Tensor } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";

const constants = { BLOCK_M: 16, BLOCK_N: 16, HEAD_DIM: 16, VALUE_DIM: 16 };
const DIM = 16;

function reference(
  M: number,
  N: number,
  window: number,
  scale: number,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
): Float64Array {
  const out = new Float64Array(M * DIM);
  for (let m = 0; m < M; m++) {
    const here = N - M + m;
    const seen = Array.from({ length: N }, (_, n) => n).filter((n) => here - n >= 0 && here - n < window);
    const logits = seen.map(
      (n) => scale * Array.from({ length: DIM }, (_, d) => q[m * DIM + d]! * k[n * DIM + d]!).reduce((a, b) => a + b),
    );
    const largest = Math.max(...logits);
    const weights = logits.map((x) => Math.exp(x - largest));
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let d = 0; d < DIM; d++)
      out[m * DIM + d] = seen.reduce((total, n, i) => total + (weights[i]! / sum) * v[n * DIM + d]!, 0);
  }
  return out;
}

describe("examples/sliding-window.ts", () => {
  it.each([
    [64, 64, 1],
    [64, 64, 20],
    [50, 90, 33],
    [40, 40, 100],
    [90, 50, 17],
  ])("%i queries, %i keys, window %i", async (M, N, window) => {
    using device = new CpuDevice();
    const [q, k, v] = [M, N, N].map((length, i) => randomValues("f32", length * DIM, i + 1));
    const tensor = (data: Float32Array) => device.tensor(data, { shape: [1, 1, data.length / DIM, DIM], dtype: "f32" });
    const out = device.zeros([1, 1, M, DIM], "f32");
    const lse = device.zeros([1, 1, M], "f32");
    device.launch(
      forwardKernel,
      { q: tensor(q!), k: tensor(k!), v: tensor(v!), out, lse, scale: 0.25 },
      { constants: { ...constants, WINDOW: window } },
    );
    const actual = (await out.read()) as Float32Array;
    const expected = reference(M, N, window, 0.25, q!, k!, v!);
    for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-5);
  });

  it.each([
    [64, 64, 20],
    [50, 90, 33],
    [90, 50, 17],
  ])("has gradients too, from the same file: %i queries, %i keys, window %i", async (M, N, window) => {
    using device = new CpuDevice();
    const shape = { batch: 1, queryHeads: 2, keyHeads: 1, queries: M, keys: N, headDim: DIM, valueDim: DIM };
    const c: AttentionCase & AttentionExtras = {
      ...shape,
      causal: true,
      scale: 0.25,
      sees: (_b, _h, m, n) => N - M + m - n >= 0 && N - M + m - n < window,
    };
    const [q, dout] = [1, 2].map((seed) => randomValues("f32", 2 * M * DIM, seed)) as [Float32Array, Float32Array];
    const [k, v] = [3, 4].map((seed) => randomValues("f32", N * DIM, seed)) as [Float32Array, Float32Array];
    const inputs = { terms: [{ q, k }], v };
    const forward = attend(c, inputs, exactArithmetic);

    const tensor = (data: ArrayLike<number>, shape: number[]) =>
      device.tensor(Float32Array.from(data), { shape, dtype: "f32" });
    const rows = (data: ArrayLike<number>) => tensor(data, [1, 2, M, DIM]);
    const keys = (data: ArrayLike<number>) => tensor(data, [1, 1, N, DIM]);
    const statistics = device.empty([2, 1, 2, M], "f32");
    const [dq, dkv] = [device.empty([1, 1, 2, M, DIM], "f32"), device.empty([2, 1, 1, N, DIM], "f32")];
    const { VALUE_DIM } = constants;
    device.launch(
      attentionBackwardStatistics,
      { out: rows(forward.out), dout: rows(dout), lse: tensor(forward.lse, [1, 2, M]), statistics },
      { constants: { VALUE_DIM } },
    );
    const values = { q: rows(q), k: keys(k), v: keys(v), dout: rows(dout), statistics, scale: 0.25 };
    const options = { constants: { ...constants, WINDOW: window } };
    device.launch(attentionBackwardQueries(slidingWindow), { ...values, dq }, options);
    device.launch(attentionBackwardKeys(slidingWindow), { ...values, dkv }, options);

    const expected = attentionGradients(c, inputs, dout, exactArithmetic);
    const close = async (actual: Tensor, ...parts: Float64Array[]) => {
      const joined = parts.flatMap((part) => [...part]);
      expect(largestDifference((await actual.read()) as Float32Array, joined)).toBeLessThan(1e-5);
    };
    await close(dq, expected.terms[0]!.dq);
    await close(dkv, expected.terms[0]!.dk, expected.dv);
  });

  it("executes dots for the blocks of the window only", () => {
    const length = 256;
    const kernel = forwardKernel.trace({ constants: { ...constants, WINDOW: 32 }, dtypes: { T: "f32" } });
    const tensor = (shape: number[]) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape });
    const [q, k, v, out] = [0, 1, 2, 3].map(() => tensor([1, 1, length, DIM]));
    const { counts } = prepare(kernel).run({
      arguments: { q: q!, k: k!, v: v!, out: out!, lse: tensor([1, 1, length]), scale: 1 },
    });
    // 16 query blocks, each with at most 3 key blocks in reach (32 keys back from each of its 16 rows), two dots a block.
    expect(counts.dot).toBe(2 * (1 + 2 + 14 * 3));
  });
});
