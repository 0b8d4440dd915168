/** Variants of attention on WebGPU in software. Each case compiles pipelines for seconds, so it is a sample of the cases. */
import { afterAll } from "vitest";
import { createDevice } from "../../src/runtime/index.ts";
import { describeExtremes } from "./attention-extremes-conformance.ts";
import { describeAttentionVariants } from "./attention-variants-conformance.ts";

const device = await createDevice({ backend: "webgpu", adapter: "swiftshader" });
afterAll(() => device.dispose());

describeAttentionVariants("webgpu, SwiftShader", () => device, { every: 6, randomRuns: 1, details: false });
describeExtremes("webgpu, SwiftShader", () => device, { every: 10, products: false });
