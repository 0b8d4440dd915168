/** Lengths of sequences and tables of pages, right and wrong ones, on every back end. */
import { afterAll, expect, it } from "vitest";
import { appendToCache, attention } from "../../src/kernels/index.ts";
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

// A failed check ends a CUDA context, so each has its own.
it.each([
  ["cpu", () => createDevice({ backend: "cpu" })],
  ["PTX for sm_80", () => createDevice({ backend: "cuda", emulate: true })],
] as const)("appendToCache says on %s what is wrong with slots of the device, if asked", async (_, open) => {
  const written = async (values: readonly number[]) => {
    using device = await open();
    const slots = device.tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });
    const rows = device.zeros([values.length, 2, 16], "f16");
    const cache = device.zeros([20, 2, 5, 16], "f16");
    appendToCache({ rows, slots, cache, validate: true });
    await device.synchronize();
  };
  const slots = Array.from({ length: 70 }, (_, i) => 99 - i);
  await written([...slots, -1, -1, -5]);
  await expect(written([...slots, 100])).rejects.toThrow(/"slots" must lie in the cache/);
  await expect(written([...slots, 98])).rejects.toThrow(/"slots" must be different/);
});
