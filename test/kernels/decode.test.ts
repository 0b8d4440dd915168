/** Split-KV attention and merging on the interpreter; the heuristics. */
import { afterAll } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { describeDecode } from "./decode-conformance.ts";

const device = new CpuDevice();
afterAll(() => device.dispose());

describeDecode("cpu", () => device);
