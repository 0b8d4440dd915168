/** Variants of attention, a sample of the cases, as PTX in the package's emulator, with the block sizes that ship for CUDA. */

import { ptxDevice } from "../ptx/device.ts";
import { describeAttentionVariants } from "./attention-variants-conformance.ts";

const device = await ptxDevice();

describeAttentionVariants("PTX for sm_80", () => device, { every: 4, randomRuns: 2, details: false });
