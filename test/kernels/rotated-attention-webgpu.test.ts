/** Attention with RoPE in the load, on WebGPU in software. Each case compiles pipelines for seconds, so it is one of the cases. */
import { afterAll } from "vitest";
import { createDevice } from "../../src/runtime/index.ts";
import { describeRotated } from "./rotated-attention-conformance.ts";

const device = await createDevice({ backend: "webgpu", adapter: "swiftshader" });
afterAll(() => device.dispose());

describeRotated("webgpu, SwiftShader", () => device, { every: 100, randomRuns: 0, details: false });
