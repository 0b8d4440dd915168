/** Variants and packed queries over paged caches as PTX in the emulator, with the block sizes that ship for CUDA: a sample of the cases. */
import { describe } from "vitest";
import { noEmulator } from "../ptx/emulator.ts";
import { describePagedVariants } from "./paged-variants-conformance.ts";
import { PtxEmulatorDevice } from "./ptx-device.ts";

const device = new PtxEmulatorDevice();

describe.skipIf(noEmulator)("in the PTX emulator", () => {
  describePagedVariants("PTX for sm_80", () => device, { every: 3, randomRuns: 2 });
});
