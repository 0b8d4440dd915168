/** Variants of attention on the interpreter. */
import { afterAll } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { describeAttentionVariants } from "./attention-variants-conformance.ts";

const device = new CpuDevice();
afterAll(() => device.dispose());

describeAttentionVariants("cpu", () => device);
