/** Paged caches, and attention over them, on the interpreter. */
import { afterAll } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { describeCaches } from "./cache-conformance.ts";
import { describePaged } from "./paged-conformance.ts";

const device = new CpuDevice();
afterAll(() => device.dispose());

describeCaches("cpu", () => device);
describePaged("cpu", () => device);
