import { expect, it } from "vitest";
import type { DoctorReport } from "../../src/runtime/doctor.ts";
import { doctor, renderDoctor } from "../../src/runtime/doctor.ts";
import { openAdapter } from "../../src/runtime/webgpu/adapter.ts";

it("reports what createDevice will then find", async () => {
  const report = await doctor();
  expect(report.system.runtime).toBe(`Node ${process.versions.node}`);
  expect(report.packages.map(({ name, found }) => [name, "value" in found])).toEqual([
    ["webgpu", true],
    ["koffi", true],
    ["@sparticuz/chromium", true],
  ]);
  const software = report.adapters.find(({ kind }) => kind === "swiftshader")?.found;
  expect(software).toMatchObject({ value: { kind: "swiftshader", subgroupSizes: [4, 4] } });
  expect(report.auto.adapter).toEqual((await openAdapter()).description);
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  const text = renderDoctor(report);
  expect(text).toContain("+ swiftshader: SwiftShader");
  expect(text).toContain(`backend "auto" takes webgpu on ${report.auto.adapter!.name}`);
});

it("gives a reason for each thing that is missing", () => {
  const bare: DoctorReport = {
    system: { runtime: "Node 20.0.0", platform: "linux x64", processors: 2, memoryBytes: 2 ** 31 },
    packages: [{ name: "webgpu", purpose: "WebGPU in Node", found: { reason: "not installed (npm install webgpu)" } }],
    vulkan: { loader: "no libvulkan.so.1 on this system", userDrivers: undefined },
    adapters: [{ kind: "lavapipe", found: { reason: "lavapipe: no driver" } }],
    cuda: { driver: { reason: "no CUDA driver" }, ptxas: { reason: "ptxas is not on the PATH" } },
    browsers: [],
    auto: { backend: "cpu", adapter: undefined, reason: "no WebGPU adapter" },
  };
  expect(renderDoctor(bare)).toBe(`System
  + Node 20.0.0, linux x64, 2 processors, 2.0 GiB memory
Optional packages
  - webgpu: not installed (npm install webgpu); gives WebGPU in Node
WebGPU
  Vulkan loader: no libvulkan.so.1 on this system
  - lavapipe: no driver
CUDA
  - no CUDA driver
  - ptxas is not on the PATH
Browsers
  - none found on the PATH
Choice
  backend "auto" takes cpu: no WebGPU adapter`);
});
