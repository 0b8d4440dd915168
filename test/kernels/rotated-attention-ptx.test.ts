/** Attention with RoPE in the load as PTX in the emulator, with the block sizes that ship for CUDA: a sample of the cases. */
import { describe } from "vitest";
import { noEmulator } from "../ptx/emulator.ts";
import { PtxEmulatorDevice } from "./ptx-device.ts";
import { describeRotated } from "./rotated-attention-conformance.ts";

const device = new PtxEmulatorDevice();

describe.skipIf(noEmulator)("in the PTX emulator", () => {
  describeRotated("PTX for sm_80", () => device, { every: 3, randomRuns: 0, details: false });
});
