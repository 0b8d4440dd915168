/** Each diagnostic fires on a broken kernel that nvcc compiled, naming the line and the thread, and not on the mended twin. */
import { describe, expect, it } from "vitest";
import { PtxFault, type PtxFaultCode } from "../../src/emulator/index.ts";
import { launchFixture } from "./fixture.ts";

const input = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => i % 7);

interface Case {
  readonly code: PtxFaultCode;
  readonly threads: number;
  /** Floats in each of the two arrays. */
  readonly floats: number;
  readonly blocks?: number;
  readonly size?: number;
  /** Part of the instruction at fault. */
  readonly at: RegExp;
  readonly message: RegExp;
}

const cases: Readonly<Record<string, Case>> = {
  race: {
    code: "PTX_SHARED_RACE",
    threads: 64,
    floats: 64,
    at: /ld\.shared/,
    message: /warp 0 wrote it \(line \d+\)|wrote/,
  },
  hazard: { code: "PTX_WARP_HAZARD", threads: 32, floats: 32, at: /ld\.shared/, message: /__syncwarp/ },
  uninitialised: {
    code: "PTX_UNINITIALISED_SHARED",
    threads: 64,
    floats: 64,
    at: /ld\.shared/,
    message: /nobody has written/,
  },
  bounds: {
    code: "PTX_OUT_OF_BOUNDS",
    threads: 64,
    blocks: 2,
    floats: 100,
    size: 100,
    at: /ld\.global/,
    message: /past the end|byte 400 of/,
  },
  align: { code: "PTX_MISALIGNED", threads: 32, floats: 65, at: /st\.global\.v2/, message: /not a multiple of 8/ },
  barrier: {
    code: "PTX_BARRIER_DIVERGENCE",
    threads: 64,
    floats: 64,
    at: /bar\.sync|barrier\.sync/,
    message: /only some lanes/,
  },
  wait: {
    code: "PTX_COPY_NOT_AWAITED",
    threads: 32,
    floats: 512,
    size: 4,
    at: /ld\.shared/,
    message: /has not waited/,
  },
  copybarrier: { code: "PTX_SHARED_RACE", threads: 64, floats: 256, at: /ld\.shared/, message: /no barrier/ },
  shuffle: { code: "PTX_WARP_SYNC", threads: 32, floats: 32, at: /shfl\.sync/, message: /named as members/ },
};

describe("broken kernels and their mended twins", () => {
  for (const [name, { code, threads, floats, blocks, size, at, message }] of Object.entries(cases))
    it(name, () => {
      const run = (file: string, prefix: string): void => {
        const extra = size === undefined ? [] : [size];
        launchFixture(
          file,
          `${prefix}_${name}`,
          { threads, ...(blocks && { blocks }) },
          new Float32Array(floats),
          input(floats),
          ...extra,
        );
      };
      let fault: unknown;
      try {
        run("hazards-broken", "broken");
      } catch (error) {
        fault = error;
      }
      expect(fault).toBeInstanceOf(PtxFault);
      const { code: found, place, message: text } = fault as PtxFault;
      expect(found).toBe(code);
      expect(place.instruction).toMatch(at);
      expect(text).toMatch(message);
      expect(text).toContain(`PTX line ${place.line}`);
      run("hazards-mended", "mended");
    });

  it("copies in two stages arrive whole", () => {
    const values = Float32Array.from({ length: 512 }, (_, i) => i);
    const out = new Float32Array(512);
    launchFixture("hazards-mended", "mended_wait", { threads: 32 }, out, values, 4);
    // Thread t reads what thread t ^ 5 copied, four floats each.
    expect(out).toEqual(values.map((_, i) => values[(i & ~127) | ((((i >> 2) & 31) ^ 5) << 2) | (i & 3)]!));
  });
});
