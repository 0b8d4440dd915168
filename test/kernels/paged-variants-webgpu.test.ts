/** Variants and packed queries over paged caches on WebGPU in software. Each case compiles a pipeline for seconds, so it is a sample of the cases. */
import { afterAll } from "vitest";
import { createDevice } from "../../src/runtime/index.ts";
import { describePagedVariants } from "./paged-variants-conformance.ts";

const device = await createDevice({ backend: "webgpu", adapter: "swiftshader" });
afterAll(() => device.dispose());

describePagedVariants("webgpu, SwiftShader", () => device, { every: 6, randomRuns: 1 });
