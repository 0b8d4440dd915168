import { describe, expect, it } from "vitest";
import { parseKernel } from "../../src/ir/index.ts";
import type { AdapterKind, Backend } from "../../src/runtime/index.ts";
import { createDevice, doctor } from "../../src/runtime/index.ts";
import { scaleRowsText } from "./scale-rows.ts";

async function withEnvironment(name: string, value: string, body: () => Promise<void>): Promise<void> {
  process.env[name] = value;
  try {
    await body();
  } finally {
    delete process.env[name];
  }
}

describe("createDevice", () => {
  it("takes by itself what doctor says that it takes", async () => {
    const { auto } = await doctor();
    using device = await createDevice();
    expect([device.backend, device.name]).toEqual([auto.backend, auto.adapter?.name]);
  });

  it("falls back on the interpreter where there is no adapter, unless one was asked for", async () => {
    await withEnvironment("VK_DRIVER_FILES", "/nonexistent/driver.json", async () => {
      using device = await createDevice();
      expect(device.backend).toBe("cpu");
      expect((await doctor()).auto).toMatchObject({
        backend: "cpu",
        reason: expect.stringContaining("no WebGPU adapter"),
      });
      await expect(createDevice({ backend: "webgpu" })).rejects.toMatchObject({ code: "NO_ADAPTER" });
      await expect(createDevice({ adapter: "swiftshader" })).rejects.toMatchObject({ code: "NO_ADAPTER" });
    });
  });

  it("takes the adapter that the environment names", async () => {
    await withEnvironment("TILEWRIGHT_ADAPTER", "swiftshader", async () => {
      using device = await createDevice({ backend: "webgpu" });
      expect(device.adapter?.kind).toBe("swiftshader");
      expect(device.capabilities).toMatchObject({
        kind: "swiftshader",
        subgroupMinSize: 4,
        features: { shaderF16: false, subgroups: true },
      });
    });
  });

  it.each([
    ["ARGUMENT_UNKNOWN", 'there is no option "bakend"; known are backend', { bakend: "cpu" } as object],
    ["LIMITS", '"limits" must be "adapter" or "default"', { backend: "webgpu" as const, limits: "big" as "default" }],
    ["NOT_BUILT", 'the backend "wasm" is not built yet', { backend: "wasm" as const }],
    ["BACKEND", 'backend "metal" is unknown: use auto, cuda, webgpu, wasm or cpu', { backend: "metal" as Backend }],
    [
      "BAD_ADAPTER_NAME",
      'adapter "nvidia" is unknown',
      { backend: "webgpu" as const, adapter: "nvidia" as AdapterKind },
    ],
  ])("refuses with %s: %s", async (code, message, options) => {
    await expect(createDevice(options)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it("refuses cuda without the driver or the device asked for", async () => {
    await expect(createDevice({ backend: "cuda", ordinal: 99 })).rejects.toMatchObject({
      code: expect.stringMatching(/^NO_(DRIVER|DEVICE)$/),
    });
  });

  it("keeps to WebGPU's default limits and no feature when told so", async () => {
    using device = await createDevice({ backend: "webgpu", adapter: "swiftshader", features: [], limits: "default" });
    expect(device.capabilities).toMatchObject({
      features: { shaderF16: false, subgroups: false },
      limits: {
        maxComputeInvocationsPerWorkgroup: 256,
        maxComputeWorkgroupStorageSize: 16384,
        maxStorageBuffersPerShaderStage: 8,
      },
    });
  });
});

describe("the cpu device", () => {
  const kernel = parseKernel(scaleRowsText);

  it("reports elements that were never written, and forgets it once they are", async () => {
    using device = await createDevice({ backend: "cpu" });
    const x = device.empty([2, 4], "f32");
    const out = device.empty([2, 4], "f32");
    expect(() => device.launch(kernel, { x, out, factor: 1 })).toThrow(
      expect.objectContaining({ code: "UNDEFINED_VALUE" }),
    );
    x.slice(0, 0, 1).write(Float32Array.of(1, 2, 3, 4));
    expect(() => device.launch(kernel, { x, out, factor: 1 })).toThrow(
      expect.objectContaining({ code: "UNDEFINED_VALUE" }),
    );
    x.slice(0, 1, 2).write(Float32Array.of(5, 6, 7, 8));
    device.launch(kernel, { x, out, factor: 1 });
    expect([...(await out.read())]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    device.launch(kernel, { x: out, out: x, factor: 2 });
    expect([...(await x.read())]).toEqual([2, 4, 6, 8, 10, 12, 14, 16]);
  });

  it("looks for what it is told to", async () => {
    using device = await createDevice({ backend: "cpu", checks: { undefinedValues: false } });
    const out = device.empty([1, 1], "f32");
    device.launch(kernel, { x: device.empty([1, 1], "f32"), out, factor: 1 });
    expect([...(await out.read())]).toEqual([0]);
  });

  it("refuses compiled text, constants for a traced kernel, and use after dispose", async () => {
    const device = await createDevice({ backend: "cpu" });
    const x = device.zeros([1, 1], "f32");
    const compiled = { source: "", metadata: { name: "k", target: "wgsl" } } as never;
    expect(() => device.launch(compiled, {})).toThrow(expect.objectContaining({ code: "NOT_INTERPRETABLE" }));
    expect(() =>
      device.launch(kernel, { x, out: device.empty([1, 1], "f32"), factor: 1 }, { constants: { BLOCK: 8 } }),
    ).toThrow(expect.objectContaining({ code: "CONSTANTS" }));
    const both = device.zeros([2, 4], "f32");
    for (const out of [both, both.slice(0, 1, 2), both.permute([1, 0])])
      expect(() => device.launch(kernel, { x: both, out, factor: 1 })).toThrow(
        expect.objectContaining({ code: "ARGUMENT_OVERLAP", message: expect.stringContaining('"out"') }),
      );
    const out = device.empty([1, 1], "f32");
    device.dispose();
    expect(() => device.launch(kernel, { x, out, factor: 1 })).toThrow(
      expect.objectContaining({ code: "DEVICE_DISPOSED" }),
    );
  });
});
