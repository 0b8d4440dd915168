import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { optionalPackage } from "../../src/runtime/node/modules.ts";
import type { SwiftShader } from "../../src/runtime/node/swiftshader.ts";
import { unpackSwiftShader } from "../../src/runtime/node/swiftshader.ts";
import { lavapipeDriver } from "../../src/runtime/node/vulkan.ts";
import type { AdapterKind } from "../../src/runtime/webgpu/adapter.ts";
import { openAdapter } from "../../src/runtime/webgpu/adapter.ts";

describe("unpacking SwiftShader", () => {
  const root = mkdtempSync(join(tmpdir(), "tilewright-test-"));
  afterAll(() => rmSync(root, { recursive: true }));
  const unpack = async (): Promise<SwiftShader> => {
    const result = await unpackSwiftShader(root);
    if ("reason" in result) throw new Error(result.reason);
    return result.value;
  };

  it("gives one copy, also when asked twice at once, and leaves nothing else behind", async () => {
    const [first, second] = await Promise.all([unpack(), unpack()]);
    expect(first).toEqual(second);
    expect(readdirSync(root)).toEqual([`swiftshader-${first.version}`]);
    expect(readdirSync(first.directory).sort()).toEqual([
      "libvk_swiftshader.so",
      "libvulkan.so.1",
      "manifest.json",
      "vk_swiftshader_icd.json",
    ]);
  });

  it("uses the copy that is there, and replaces one that was damaged", async () => {
    const { loader } = await unpack();
    const { ino, size } = statSync(loader);
    await unpack();
    expect(statSync(loader).ino).toBe(ino);
    appendFileSync(loader, "x");
    await unpack();
    expect(statSync(loader).size).toBe(size);
  });
});

describe("optional packages", () => {
  it("names a package that is missing, and how to get it", async () => {
    expect(await optionalPackage("tilewright-no-such-package")).toEqual({
      reason:
        'the optional package "tilewright-no-such-package" is not installed (npm install tilewright-no-such-package)',
    });
  });
});

/** Squares sixteen numbers on the adapter's device: the shortest proof that it computes. */
async function squares(kind: AdapterKind): Promise<number[]> {
  const opened = await openAdapter(kind);
  expect(opened.description.kind).toBe(kind);
  const device = await opened.adapter.requestDevice();
  const storage = device.createBuffer({ size: 64, usage: 0x80 | 0x4 });
  const readback = device.createBuffer({ size: 64, usage: 0x1 | 0x8 });
  const code = `@group(0) @binding(0) var<storage, read_write> x : array<u32>;
    @compute @workgroup_size(16) fn main(@builtin(local_invocation_index) i : u32) { x[i] = i * i; }`;
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }) },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: storage } }],
    }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(storage, 0, readback, 0, 64);
  device.queue.submit([encoder.finish()]);
  await readback.mapAsync(1);
  const result = [...new Uint32Array(readback.getMappedRange())];
  device.destroy();
  return result;
}

describe("adapters", () => {
  const expected = Array.from({ length: 16 }, (_, index) => index * index);

  it("computes on SwiftShader", async () => {
    expect(await squares("swiftshader")).toEqual(expected);
  });

  it("computes on lavapipe, and on both in one process", async ({ skip }) => {
    const driver = await lavapipeDriver();
    if ("reason" in driver) skip(driver.reason);
    expect(await Promise.all([squares("lavapipe"), squares("swiftshader")])).toEqual([expected, expected]);
  });

  it("reads the choice from the environment", async () => {
    process.env.TILEWRIGHT_ADAPTER = "swiftshader";
    try {
      expect((await openAdapter()).description.kind).toBe("swiftshader");
    } finally {
      delete process.env.TILEWRIGHT_ADAPTER;
    }
  });

  it("says what was asked for and what there is", async () => {
    await expect(openAdapter("radeon" as AdapterKind)).rejects.toMatchObject({
      code: "BAD_ADAPTER_NAME",
      message: expect.stringContaining("hardware, lavapipe, swiftshader, software"),
    });
    // Never there on Linux: lavapipe and SwiftShader have names of their own.
    if (process.platform !== "linux") return;
    await expect(openAdapter("software")).rejects.toMatchObject({
      code: "NO_ADAPTER",
      message: expect.stringContaining('kind "software"'),
    });
  });

  it("never overrides drivers that the user chose", async () => {
    process.env.VK_DRIVER_FILES = "/nonexistent/driver.json";
    try {
      await expect(openAdapter()).rejects.toMatchObject({
        code: "NO_ADAPTER",
        message: expect.stringContaining("VK_DRIVER_FILES=/nonexistent/driver.json"),
      });
      expect(process.env.VK_DRIVER_FILES).toBe("/nonexistent/driver.json");
    } finally {
      delete process.env.VK_DRIVER_FILES;
    }
  });
});
