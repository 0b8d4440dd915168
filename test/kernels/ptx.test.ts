/** The kernels as PTX in the emulator, with the block sizes that ship for CUDA. */
import { describe } from "vitest";
import { noEmulator } from "../ptx/emulator.ts";
import { describeOperators } from "./operators-conformance.ts";
import { PtxEmulatorDevice } from "./ptx-device.ts";
import { describeTraining } from "./training-conformance.ts";

const device = new PtxEmulatorDevice();

describe.skipIf(noEmulator)("in the PTX emulator", () => {
  describeOperators("PTX for sm_80", () => device);
  describeTraining("PTX for sm_80", () => device);
});
