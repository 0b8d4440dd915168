/** The custom attention of examples/ against a plain f64 computation, and that it visits no key block outside the window. */
import { describe, expect, it } from "vitest";
import slidingWindow from "../../examples/sliding-window.ts";
import { prepare } from "../../src/interpreter/index.ts";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
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
      slidingWindow,
      { q: tensor(q!), k: tensor(k!), v: tensor(v!), out, lse, scale: 0.25 },
      { constants: { ...constants, WINDOW: window } },
    );
    const actual = (await out.read()) as Float32Array;
    const expected = reference(M, N, window, 0.25, q!, k!, v!);
    for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-5);
  });

  it("executes dots for the blocks of the window only", () => {
    const length = 256;
    const kernel = slidingWindow.trace({ constants: { ...constants, WINDOW: 32 }, dtypes: { T: "f32" } });
    const tensor = (shape: number[]) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape });
    const [q, k, v, out] = [0, 1, 2, 3].map(() => tensor([1, 1, length, DIM]));
    const { counts } = prepare(kernel).run({
      arguments: { q: q!, k: k!, v: v!, out: out!, lse: tensor([1, 1, length]), scale: 1 },
    });
    // 16 query blocks, each with at most 3 key blocks in reach (32 keys back from each of its 16 rows), two dots a block.
    expect(counts.dot).toBe(2 * (1 + 2 + 14 * 3));
  });
});
