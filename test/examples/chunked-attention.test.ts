/** The chunked attention of examples/ against a plain f64 computation, over tensors and over a paged cache, and that other chunks are not visited. */
import { describe, expect, it } from "vitest";
import forwardKernel, { chunked } from "../../examples/chunked-attention.ts";
import { prepare } from "../../src/interpreter/index.ts";
import { attend, attentionSplit, exactArithmetic, largestDifference, paged } from "../../src/kernels/index.ts";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { randomValues } from "../support/rounding.ts";
import { blocks, checkVariant, DIM, tolerance } from "./variant-check.ts";

/** Whether a query of M sees a key of N, by the definition. */
const seesOf = (M: number, N: number, chunk: number) => (m: number, n: number) => {
  const here = N - M + m;
  return n <= here && Math.floor(n / chunk) === Math.floor(here / chunk);
};

describe("examples/chunked-attention.ts", () => {
  it.each([
    [64, 64, 16],
    [70, 70, 33],
    [50, 90, 20],
    [30, 100, 1],
    [40, 40, 100],
    [90, 50, 17],
  ])("%i queries, %i keys, chunks of %i: forward and gradients", (M, N, CHUNK) =>
    checkVariant(chunked, { CHUNK }, [M, N], seesOf(M, N, CHUNK)),
  );

  it("over a paged cache, queries see the chunk in which they stand", async () => {
    using device = new CpuDevice();
    const [M, N, CHUNK, PAGE_SIZE] = [5, 70, 24, 8];
    const pages = Math.ceil(N / PAGE_SIZE);
    const q = randomValues("f32", M * DIM, 1);
    const [k, v] = [2, 3].map((seed) => randomValues("f32", pages * PAGE_SIZE * DIM, seed)) as [
      Float32Array,
      Float32Array,
    ];
    const cache = (data: Float32Array) => device.tensor(data, { shape: [pages, 1, PAGE_SIZE, DIM], dtype: "f32" });
    const integers = (values: readonly number[], shape: readonly number[]) =>
      device.tensor(Int32Array.from(values), { shape, dtype: "i32" });
    const partial = device.empty([1, 1, 1, M, DIM + 4], "f32");
    device.launch(
      attentionSplit(paged(chunked)),
      {
        q: device.tensor(q, { shape: [1, 1, M, DIM], dtype: "f32" }),
        k: cache(k),
        v: cache(v),
        scale: 0.25,
        contextLengths: integers([N], [1]),
        blockTables: integers(
          Array.from({ length: pages }, (_, i) => i),
          [1, pages],
        ),
        partial,
      },
      { constants: { ...blocks, PAGE_SIZE, CHUNK } },
    );
    const shape = { batch: 1, queryHeads: 1, keyHeads: 1, queries: M, keys: N, headDim: DIM, valueDim: DIM };
    const sees = seesOf(M, N, CHUNK);
    const c = {
      ...shape,
      causal: true,
      scale: 0.25,
      sees: (_b: number, _h: number, m: number, n: number) => sees(m, n),
    };
    const ofKeys = (data: Float32Array) => data.subarray(0, N * DIM);
    const expected = attend(c, { terms: [{ q, k: ofKeys(k) }], v: ofKeys(v) }, exactArithmetic);
    const out = ((await partial.read()) as Float32Array).filter((_, i) => i % (DIM + 4) < DIM);
    expect(largestDifference(out, expected.out)).toBeLessThan(tolerance);
  });

  it("executes dots for the blocks of the query's chunk only", () => {
    const length = 256;
    const kernel = forwardKernel.trace({ constants: { ...blocks, CHUNK: 64 }, dtypes: { T: "f32" } });
    const tensor = (shape: number[]) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape });
    const [q, k, v, out] = [0, 1, 2, 3].map(() => tensor([1, 1, length, DIM]));
    const { counts } = prepare(kernel).run({
      arguments: { q: q!, k: k!, v: v!, out: out!, lse: tensor([1, 1, length]), scale: 1 },
    });
    // 4 chunks of 4 query blocks, which see 1, 2, 3 and 4 key blocks, two dots a block.
    expect(counts.dot).toBe(2 * 4 * (1 + 2 + 3 + 4));
  });
});
