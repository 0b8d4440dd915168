/** Logits of every finite size on the interpreter and as PTX in the package's emulator. */
import { afterAll } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import { ptxDevice } from "../ptx/device.ts";
import { describeExtremes } from "./attention-extremes-conformance.ts";

const cpu = new CpuDevice();
afterAll(() => cpu.dispose());
describeExtremes("cpu", () => cpu);

const ptx = await ptxDevice();
describeExtremes("PTX for sm_80", () => ptx);
