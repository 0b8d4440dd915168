/** Variants and packed queries over paged caches, on the interpreter. */
import { afterAll } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { describePagedVariants } from "./paged-variants-conformance.ts";

const device = new CpuDevice();
afterAll(() => device.dispose());

describePagedVariants("cpu", () => device);
