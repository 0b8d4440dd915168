/** The kernels on the interpreter. */
import { afterAll } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { describeAttention } from "./attention-conformance.ts";
import { describeOperators } from "./operators-conformance.ts";
import { describeTraining } from "./training-conformance.ts";

const device = new CpuDevice();
afterAll(() => device.dispose());

describeAttention("cpu", () => device);
describeOperators("cpu", () => device);
describeTraining("cpu", () => device);
