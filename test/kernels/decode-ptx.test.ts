/** Split-KV and paged attention as PTX in the emulator, with the block sizes that ship for CUDA. */
import { describe } from "vitest";
import { noEmulator } from "../ptx/emulator.ts";
import { describeCaches } from "./cache-conformance.ts";
import { describeDecode } from "./decode-conformance.ts";
import { describePaged } from "./paged-conformance.ts";
import { PtxEmulatorDevice } from "./ptx-device.ts";

const device = new PtxEmulatorDevice();

describe.skipIf(noEmulator)("in the PTX emulator", () => {
  describeCaches("PTX for sm_80", () => device);
  describeDecode("PTX for sm_80", () => device, { randomRuns: 2 });
  describePaged("PTX for sm_80", () => device, { randomRuns: 2 });
});
