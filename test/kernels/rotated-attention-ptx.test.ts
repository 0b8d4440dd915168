/** Attention with RoPE in the load, a sample of the cases, as PTX in the package's emulator, with the block sizes that ship for CUDA. */

import { ptxDevice } from "../ptx/device.ts";
import { describeRotated } from "./rotated-attention-conformance.ts";

const device = await ptxDevice();

describeRotated("PTX for sm_80", () => device, { every: 3, randomRuns: 0, details: false });
