/** The kernels on WebGPU in software: SwiftShader has no f16 and subgroups of 4, so it takes the paths with packed 16-bit storage. */
import { afterAll } from "vitest";
import { createDevice } from "../../src/runtime/index.ts";
import { describeAttention } from "./attention-conformance.ts";
import { describeOperators } from "./operators-conformance.ts";
import { describeTraining } from "./training-conformance.ts";

const device = await createDevice({ backend: "webgpu", adapter: "swiftshader" });
afterAll(() => device.dispose());

describeAttention("webgpu, SwiftShader", () => device);
describeOperators("webgpu, SwiftShader", () => device);
describeTraining("webgpu, SwiftShader", () => device);
