/** The default numbers of splits, against FlagAttention's rules worked out by hand, and the blocks for pages of any size. */
import { describe, expect, it } from "vitest";
import { keysWithinWindow } from "../../src/kernels/attention/modifiers.ts";
import {
  countedPrograms,
  defaultPagedSplits,
  defaultSplits,
  packsHeads,
  pagedKeyBlock,
  splitConfiguration,
} from "../../src/kernels/attention/splits.ts";

describe("default splits on 108 multiprocessors", () => {
  it.each([
    // Enough programs: 87 of 108 are more than 0.8 · 108 = 86.4.
    { programs: 87, keys: 100_000, splits: 1 },
    // 64 programs fill 0.59 of a wave; 2 splits 128 / 216 = 0.59; 3: 192 / 216 = 0.89; 5: 320 / 324 = 0.99, of which 0.85 is 0.84.
    { programs: 64, keys: 128 * 60, splits: 3 },
    // Two heads and 8 blocks of keys: the most that there are keys for, 16 / 108.
    { programs: 2, keys: 1024, splits: 8 },
    // 7 blocks can be split by 1, 2, 3, 4 and 7 (5 and 6 leave splits empty); 4 is only 4 / 7 as busy as 7.
    { programs: 2, keys: 128 * 7, splits: 7 },
    // One key block.
    { programs: 1, keys: 100, splits: 1 },
    { programs: 1, keys: 0, splits: 1 },
    // The most that leaves none of 1024 blocks' splits empty is 103 (of 10 blocks); 0.85 · 103 = 87.6, and 88 to 93 (of 12) would leave some.
    { programs: 1, keys: 128 * 1024, splits: 94 },
  ])("$programs programs, $keys keys: $splits", ({ programs, keys, splits }) => {
    expect(defaultSplits(programs, keys, 108)).toBe(splits);
  });

  it("never splits so that a split is empty, nor beyond the processors, and is nearly the best", () => {
    for (let programs = 1; programs <= 86; programs += 5)
      for (let blocks = 1; blocks <= 200; blocks += 3) {
        const splits = defaultSplits(programs, blocks * 128 - 5, 108);
        const size = Math.ceil(blocks / splits);
        expect((splits - 1) * size).toBeLessThan(blocks);
        expect(splits).toBeLessThanOrEqual(Math.min(108, blocks));
        const efficiency = (s: number) => (programs * s) / 108 / Math.ceil((programs * s) / 108);
        for (let other = 1; other <= Math.min(108, blocks, 128); other++)
          if ((other - 1) * Math.ceil(blocks / other) < blocks)
            expect(efficiency(splits)).toBeGreaterThanOrEqual(0.85 * efficiency(other) - 1e-12);
      }
  });

  it("never splits on one processor", () => {
    expect(defaultSplits(1, 100_000, 1)).toBe(1);
    expect(defaultPagedSplits({ sequences: 1, keyHeads: 1, pageSize: 16 }, 100_000, 1)).toBe(1);
  });
});

it("default splits of paged caches follow FlagAttention's rule", () => {
  const paged = (sequences: number, keyHeads: number, pageSize: number, keys: number) =>
    defaultPagedSplits({ sequences, keyHeads, pageSize }, keys, 108);
  expect(paged(1, 8, 16, 1024)).toBe(1);
  expect(paged(1, 8, 16, 1025)).toBe(5);
  expect(paged(1, 8, 16, 8192)).toBe(32);
  expect(paged(1, 8, 256, 8192)).toBe(1);
  expect(paged(64, 8, 16, 4095)).toBe(1);
  expect(paged(64, 8, 16, 4096)).toBe(16);
  expect(paged(64, 8, 512, 4096)).toBe(8);
});

it("of a window, only the keys in reach count", () => {
  const window = (left: number, SINK_TOKENS = false) => ({
    values: { windowLeft: left },
    constants: { WINDOW_LEFT: true, SINK_TOKENS },
  });
  expect(keysWithinWindow(window(127), 1, 10_000)).toBe(128);
  expect(keysWithinWindow(window(127), 20, 10_000)).toBe(147);
  expect(keysWithinWindow(window(127), 20, 100)).toBe(100);
  expect(keysWithinWindow(window(127, true), 1, 10_000)).toBe(10_000);
  expect(keysWithinWindow({ values: {}, constants: {} }, 1, 10_000)).toBe(10_000);
});

it("heads share tiles where one head would fill at most half of the smallest", () => {
  expect([packsHeads(1, 6), packsHeads(8, 2), packsHeads(9, 2), packsHeads(1, 1)]).toEqual([true, true, false, false]);
  expect(countedPrograms(2, 8, 6)).toBe(16);
  expect(countedPrograms(2, 8, 17)).toBe(32);
});

it("blocks hold the rows; they divide pages or pages divide them, unless that would leave less than 32 keys", () => {
  const problem = { backend: "cuda", dtype: "f16", headDim: 128, valueDim: 128, terms: 1 } as const;
  const rows = (count: number) => splitConfiguration(problem, count).BLOCK_M;
  expect([1, 6, 17, 48, 1000].map(rows)).toEqual([16, 16, 32, 64, 64]);
  const keys = (pageSize: number) => pagedKeyBlock(splitConfiguration(problem, 1).BLOCK_N, pageSize);
  expect([1, 16, 24, 32, 96, 64, 128, 256].map(keys)).toEqual([64, 64, 64, 64, 32, 64, 64, 64]);
  expect(splitConfiguration({ ...problem, turned: true }, 1).BLOCK_N).toBe(32);
  expect(splitConfiguration({ ...problem, backend: "webgpu" }, 1).BLOCK_N).toBe(16);
  expect(splitConfiguration({ ...problem, headDim: 64, valueDim: 64 }, 1)).toMatchObject({ BLOCK_M: 16, BLOCK_N: 128 });
  expect(splitConfiguration({ ...problem, terms: 2 }, 1000)).toMatchObject({ BLOCK_M: 32, BLOCK_N: 64 });
  expect(splitConfiguration({ ...problem, dtype: "f32" }, 1000)).toMatchObject({ BLOCK_M: 16, BLOCK_N: 32 });
  const turned = { ...problem, terms: 2, turned: true };
  expect(splitConfiguration(turned, 6)).toMatchObject({ BLOCK_M: 16, BLOCK_N: 32 });
  expect(splitConfiguration(turned, 1000)).toMatchObject({ BLOCK_M: 32, BLOCK_N: 32, NUM_WARPS: 8 });
  expect(splitConfiguration({ ...turned, headDim: 256 }, 6)).toMatchObject({ BLOCK_M: 16, BLOCK_N: 16, NUM_WARPS: 8 });
});
