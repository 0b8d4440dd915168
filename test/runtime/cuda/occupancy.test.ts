/**
 * Occupancy against NVIDIA's own calculator: the numbers below are what `cudaOccMaxActiveBlocksPerMultiprocessor` of cuda_occupancy.h (CUDA
 * 13.0) gives with the largest share of shared memory, for 1024 threads a block at most.
 */
import { describe, expect, it } from "vitest";
import { occupancy } from "../../../src/runtime/cuda/occupancy.ts";

/** Threads, registers, bytes of shared memory; then for each architecture the blocks, and what warps, registers and memory allow. */
// biome-ignore format: a table
const cases = [
  [128, 168, 49152],  [128, 255, 65536], [256, 96, 0],      [32, 40, 100],
  [128, 16, 0],       [1024, 65, 0],     [1024, 64, 1024],  [96, 200, 30000],
  [512, 128, 131072], [64, 24, 4096],    [256, 255, 163840], [128, 128, 50000],
  [32, 255, 1],       [256, 180, 100000], [192, 72, 33000],  [128, 250, 102000],
] as const;
// biome-ignore format: a table
const calculator = {
  sm_80: [[3, 16, 3, 3], [2, 16, 2, 2], [2, 8, 2, 164], [32, 64, 48, 145], [16, 16, 32, 164], [0, 2, 0, 164], [1, 2, 1, 82], [2, 21, 2, 5], [1, 4, 1, 1], [32, 32, 42, 32], [1, 8, 1, 1], [3, 16, 4, 3], [8, 64, 8, 145], [1, 8, 1, 1], [4, 10, 4, 4], [1, 16, 2, 1]],
  sm_86: [[2, 12, 3, 2], [1, 12, 2, 1], [2, 6, 2, 100], [16, 48, 48, 88], [12, 12, 32, 100], [0, 1, 0, 100], [1, 1, 1, 50], [2, 16, 2, 3], [0, 3, 1, 0], [16, 24, 42, 20], [0, 6, 1, 0], [2, 12, 4, 2], [8, 48, 8, 88], [1, 6, 1, 1], [3, 8, 4, 3], [0, 12, 2, 0]],
  sm_89: [[2, 12, 3, 2], [1, 12, 2, 1], [2, 6, 2, 100], [24, 48, 48, 88], [12, 12, 32, 100], [0, 1, 0, 100], [1, 1, 1, 50], [2, 16, 2, 3], [0, 3, 1, 0], [20, 24, 42, 20], [0, 6, 1, 0], [2, 12, 4, 2], [8, 48, 8, 88], [1, 6, 1, 1], [3, 8, 4, 3], [0, 12, 2, 0]],
  sm_90: [[3, 16, 3, 4], [2, 16, 2, 3], [2, 8, 2, 228], [32, 64, 48, 202], [16, 16, 32, 228], [0, 2, 0, 228], [1, 2, 1, 114], [2, 21, 2, 7], [1, 4, 1, 1], [32, 32, 42, 45], [1, 8, 1, 1], [4, 16, 4, 4], [8, 64, 8, 202], [1, 8, 1, 2], [4, 10, 4, 6], [2, 16, 2, 2]],
};

describe("occupancy", () => {
  for (const [architecture, rows] of Object.entries(calculator))
    it.each(cases.map((needs, i) => [needs, rows[i]!] as const))(
      `is NVIDIA's on ${architecture} for %j`,
      ([threads, registers, sharedBytes], [blocks, warps, byRegisters, byMemory]) => {
        const found = occupancy(architecture, { threads, registers, sharedBytes });
        expect([found.blocks, found.allowed.warps, found.allowed.registers, found.allowed["shared memory"]]).toEqual([
          blocks,
          warps,
          byRegisters,
          byMemory,
        ]);
      },
    );

  it("worked by hand: 4 warps of 168 registers in 48 KiB on sm_80", () => {
    // 168 · 32 = 5376 registers a warp, a multiple of 256; a scheduler's 16384 hold 3 such warps, so 12 in all: 3 blocks.
    // 48 KiB + 1 KiB is 50176 bytes; 164 KiB hold 3 of those.
    const found = occupancy("sm_80", { threads: 128, registers: 168, sharedBytes: 49152 });
    expect(found).toMatchObject({ blocks: 3, warps: 12, share: 12 / 64, limitedBy: ["registers", "shared memory"] });
  });

  it("names what limits", () => {
    const needs = { threads: 128, registers: 32, sharedBytes: 0 };
    expect(occupancy("sm_80", needs)).toMatchObject({ share: 1, limitedBy: ["warps", "registers"] });
    expect(occupancy("sm_80", { ...needs, threads: 32, registers: 24 }).limitedBy).toEqual(["blocks"]);
    expect(occupancy("sm_80", { ...needs, sharedBytes: 60000 }).limitedBy).toEqual(["shared memory"]);
  });

  it("refuses an architecture that it has no limits of", () => {
    for (const name of ["sm_30", "constructor"])
      expect(() => occupancy(name, { threads: 32, registers: 1, sharedBytes: 0 })).toThrow(`"${name}"`);
  });
});
