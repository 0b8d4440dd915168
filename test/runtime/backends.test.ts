import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseKernel } from "../../src/ir/index.ts";
import type { Device, DeviceOptions } from "../../src/runtime/index.ts";
import { createDevice } from "../../src/runtime/index.ts";
import { lavapipeDriver } from "../../src/runtime/node/vulkan.ts";
import { scaleRowsText } from "./scale-rows.ts";

/** One suite for every backend that runs kernels: what a user may rely on wherever the kernel runs. */
const backends: readonly { name: string; options: DeviceOptions; missing?: () => Promise<string | undefined> }[] = [
  { name: "cpu", options: { backend: "cpu" } },
  { name: "webgpu on SwiftShader", options: { backend: "webgpu", adapter: "swiftshader" } },
  {
    name: "webgpu on SwiftShader, bare",
    options: { backend: "webgpu", adapter: "swiftshader", features: [], limits: "default" },
  },
  {
    name: "webgpu on lavapipe",
    options: { backend: "webgpu", adapter: "lavapipe" },
    missing: async () => {
      const driver = await lavapipeDriver();
      return "reason" in driver ? driver.reason : undefined;
    },
  },
];

const scaleRows = parseKernel(scaleRowsText);

describe.each(backends)("$name", ({ options, missing }) => {
  let device: Device;
  let reason: string | undefined;
  const printed: string[] = [];
  beforeAll(async () => {
    reason = await missing?.();
    if (reason === undefined) device = await createDevice({ ...options, onPrint: (line) => printed.push(line) });
  });
  afterAll(() => device?.dispose());
  const test = (name: string, body: () => Promise<void>): void => {
    it(name, async ({ skip }) => {
      if (reason !== undefined) skip(reason);
      await body();
    });
  };

  test("runs Tile IR on strided views, any length", async () => {
    using x = device.tensor(
      Float32Array.from({ length: 60 }, (_, i) => i),
      { shape: [5, 12], dtype: "f32" },
    );
    using out = device.empty([11, 5], "f32");
    device.launch(scaleRows, { x: x.slice(1, 1), out: out.transpose(), factor: -2 });
    const expected = Float32Array.from({ length: 55 }, (_, i) => -2 * ((i % 5) * 12 + 1 + Math.floor(i / 5)));
    expect(await out.read()).toEqual(expected);
  });
});
