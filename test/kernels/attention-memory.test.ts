/** Forward and backward take memory that grows with the lengths, not with their product: exactly so, by the device's account. */
import { describe, expect, it } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { measureMemory } from "./attention-memory.ts";
import { expectWithinRule } from "./judge.ts";

describe("memory of attention", () => {
  it.each([
    ["plain", undefined, "f32"],
    ["plain", undefined, "f16"],
    ["piecewise", 50, "f16"],
  ] as const)(
    "%s: what the gradients need besides is two numbers a query (threshold %s, %s)",
    async (_, threshold, dtype) => {
      using device = new CpuDevice();

      const problem = { threshold, dtype, headDim: 32 };
      const measured = await measureMemory(device, 96, problem);
      const bytes = dtype === "f32" ? 4 : 2;
      const tensor = 96 * 32 * bytes;
      const terms = threshold === undefined ? 1 : 2;
      expect(measured.inputs).toBe((2 * terms + 2) * tensor);
      // out, the gradients of queries, keys and values, and lse.
      expect(measured.results).toBe((2 * terms + 2) * tensor + 96 * 4);
      expect(measured.workspace).toBe(96 * 2 * 4);
      expectWithinRule(measured.shares, problem);

      const twice = await measureMemory(device, 192, problem);
      for (const name of ["inputs", "results", "workspace", "peak"] as const)
        expect(twice[name]).toBe(2 * measured[name]);
      expect(device.memory().current).toBe(0);
    },
  );

  it("counts what is made and disposed of, views once", () => {
    using device = new CpuDevice();
    const tensor = device.zeros([10, 4], "f32");
    const view = tensor.slice(0, 0, 5);
    const other = device.zeros([3], "f16");
    expect(device.memory()).toEqual({ current: 166, peak: 166 });
    tensor.dispose();
    other.dispose();
    expect(device.memory()).toEqual({ current: 160, peak: 166 });
    device.resetPeakMemory();
    expect(device.memory()).toEqual({ current: 160, peak: 160 });
    view.dispose();
    expect(device.memory()).toEqual({ current: 0, peak: 160 });
  });
});
