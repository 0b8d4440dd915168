/** Gradients of attention as PTX in the emulator, with the block sizes that ship for CUDA: a sample of the cases. */
import { describe } from "vitest";
import { noEmulator } from "../ptx/emulator.ts";
import { describeAttentionGradients } from "./attention-gradients-conformance.ts";
import { PtxEmulatorDevice } from "./ptx-device.ts";

const device = new PtxEmulatorDevice();

describe.skipIf(noEmulator)("in the PTX emulator", () => {
  describeAttentionGradients("PTX for sm_80", () => device, { every: 6, randomRuns: 2 });
});
