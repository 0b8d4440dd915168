/** Lengths of sequences and tables of pages, right and wrong ones, on every back end. */
import { afterAll, expect, it } from "vitest";
import { attention } from "../../src/kernels/index.ts";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { createDevice } from "../../src/runtime/index.ts";
import { describeLengths } from "./lengths-conformance.ts";

const cpu = new CpuDevice();
const cuda = await createDevice({ backend: "cuda", emulate: true });
const webgpu = await createDevice({ backend: "webgpu", adapter: "swiftshader" });
afterAll(() => {
  for (const device of [cpu, cuda, webgpu]) device.dispose();
});

describeLengths("cpu", () => cpu);
describeLengths("PTX for sm_80", () => cuda);
// Its compiler takes long for the backward kernels, which find their rows as the forward kernel does.
describeLengths("webgpu, SwiftShader", () => webgpu, { backward: false });

it("cpu checks lengths without being asked", async () => {
  const ones = cpu.tensor(new Float32Array(16).fill(1), { shape: [1, 1, 1, 16], dtype: "f32" });
  const keyLengths = cpu.tensor(Int32Array.of(2), { shape: [1], dtype: "i32" });
  expect(() => attention({ q: ones, k: ones, v: ones, keyLengths })).toThrow(/"keyLengths" must be from 0/);
  const { out } = attention({ q: ones, k: ones, v: ones, keyLengths, validate: false });
  expect((await out.read())[0]).toBe(1);
});
