/** Variants and packed queries over paged caches, on the interpreter. */
import { afterAll, expect, it } from "vitest";
import { pagedAttention } from "../../src/kernels/index.ts";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { describePagedVariants } from "./paged-variants-conformance.ts";

const device = new CpuDevice();
afterAll(() => device.dispose());

describePagedVariants("cpu", () => device);

it.each([
  // Read by the forward kernel, which writes its results itself.
  ["a chunk of many queries", [2, 4, 40, 16], 1, 0],
  // For each of 3 splits, 2 sequences and 4 heads: 16 channels, lse and what fills 16 bytes, in f32.
  ["one query, in 3 parts", [2, 4, 1, 16], 3, 3 * 2 * 4 * (16 + 4) * 4],
] as const)("%s: memory besides the results, and nothing left over", (_, shape, splits, workspace) => {
  using own = new CpuDevice();
  const integers = (values: readonly number[], of: readonly number[]) =>
    own.tensor(Int32Array.from(values), { shape: of, dtype: "i32" });
  const args = {
    q: own.zeros(shape, "f16"),
    keyCache: own.zeros([8, 2, 16, 16], "f16"),
    valueCache: own.zeros([8, 2, 16, 16], "f16"),
    contextLengths: integers([50, 64], [2]),
    blockTables: integers([0, 1, 2, 3, 4, 5, 6, 7], [2, 4]),
  };
  const before = own.memory().current;
  own.resetPeakMemory();
  const { out, lse } = pagedAttention({ ...args, window: [20, 0], softcap: 5, splits, returnLse: true });
  const rows = shape[0] * shape[1] * shape[2];
  const results = rows * 16 * 2 + rows * 4;
  expect(own.memory()).toEqual({ current: before + results, peak: before + results + workspace });
  for (const tensor of [out, lse!]) tensor.dispose();
  expect(own.memory().current).toBe(before);
});
