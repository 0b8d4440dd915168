/** Attention over paged caches on the interpreter. */
import { afterAll } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { describePaged } from "./paged-conformance.ts";

const device = new CpuDevice();
afterAll(() => device.dispose());

describePaged("cpu", () => device);
