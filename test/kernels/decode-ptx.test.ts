/** Split-KV and paged attention as PTX in the package's emulator, with the block sizes that ship for CUDA. */

import { ptxDevice } from "../ptx/device.ts";
import { describeCaches } from "./cache-conformance.ts";
import { describeDecode } from "./decode-conformance.ts";
import { describePaged } from "./paged-conformance.ts";

const device = await ptxDevice();

describeCaches("PTX for sm_80", () => device);
describeDecode("PTX for sm_80", () => device, { randomRuns: 2 });
describePaged("PTX for sm_80", () => device, { randomRuns: 2 });
