/** Kernels that stop themselves or do what the hardware forbids, compiled by nvcc: each by its code. */
import { describe, expect, it } from "vitest";
import { EmulatedGpu, PtxFault } from "../../src/emulator/index.ts";
import { launchFixture, readFixture } from "./fixture.ts";

const input = (change?: number): Float32Array => Float32Array.from({ length: 32 }, (_, i) => (i === change ? -1 : i));

const faultOf = (act: () => unknown): PtxFault => {
  try {
    act();
  } catch (error) {
    if (error instanceof PtxFault) return error;
    throw error;
  }
  throw new Error("there was no fault");
};

describe("kernels that stop", () => {
  it("a failed assert: its text, file, line and function, and the thread", () => {
    launchFixture("stops", "asserts", { threads: 32 }, input());
    const { code, message, place } = faultOf(() => launchFixture("stops", "asserts", { threads: 32 }, input(21)));
    expect(code).toBe("PTX_ASSERTION");
    expect(message).toContain("stops.cu:6: void asserts(const float *): assertion failed: in[threadIdx.x] >= 0");
    expect(place).toMatchObject({ thread: [21, 0, 0], block: [0, 0, 0], warp: 0 });
  });

  it("a trap", () => {
    const out = new Float32Array(32);
    launchFixture("stops", "traps", { threads: 32 }, out, input());
    expect(out).toEqual(input());
    const fault = faultOf(() => launchFixture("stops", "traps", { threads: 32 }, out, input(3)));
    expect(fault).toMatchObject({ code: "PTX_TRAP", place: { thread: [3, 0, 0], instruction: "trap;" } });
  });

  it("a write to constant memory", () => {
    const out = input();
    launchFixture("stops", "scales", { threads: 32 }, out, 0);
    expect(out).toEqual(input().map((x, i) => x * ((i & 3) + 1)));
    const { code, message } = faultOf(() => launchFixture("stops", "scales", { threads: 32 }, out, -1));
    expect(code).toBe("PTX_READ_ONLY");
    expect(message).toContain("of table");
  });

  it("a call of a function, when the module is loaded", () => {
    expect(() => new EmulatedGpu().loadModule(readFixture("calls"))).toThrow(
      expect.objectContaining({ code: "PTX_UNSUPPORTED" }),
    );
  });
});
