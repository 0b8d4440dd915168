/** Gradients of attention on the interpreter. */
import { afterAll } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { describeAttentionGradients } from "./attention-gradients-conformance.ts";

const device = new CpuDevice();
afterAll(() => device.dispose());

describeAttentionGradients("cpu", () => device);
