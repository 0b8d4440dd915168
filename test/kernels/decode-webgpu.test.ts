/** Split-KV and paged attention on WebGPU in software. Each case compiles a pipeline for seconds, so it is a sample of the cases. */
import { afterAll } from "vitest";
import { createDevice } from "../../src/runtime/index.ts";
import { describeCaches } from "./cache-conformance.ts";
import { describeDecode } from "./decode-conformance.ts";
import { describePaged } from "./paged-conformance.ts";

const device = await createDevice({ backend: "webgpu", adapter: "swiftshader" });
afterAll(() => device.dispose());

describeCaches("webgpu, SwiftShader", () => device);
describeDecode("webgpu, SwiftShader", () => device, { randomRuns: 1, every: 7 });
describePaged("webgpu, SwiftShader", () => device, { randomRuns: 1, every: 7 });
