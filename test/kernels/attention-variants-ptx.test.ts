/** Variants of attention as PTX in the emulator, with the block sizes that ship for CUDA: a sample of the cases. */
import { describe } from "vitest";
import { noEmulator } from "../ptx/emulator.ts";
import { describeAttentionVariants } from "./attention-variants-conformance.ts";
import { PtxEmulatorDevice } from "./ptx-device.ts";

const device = new PtxEmulatorDevice();

describe.skipIf(noEmulator)("in the PTX emulator", () => {
  describeAttentionVariants("PTX for sm_80", () => device, { every: 4, randomRuns: 2, details: false });
});
