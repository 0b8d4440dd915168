/** Gradients of attention, a sample of the cases, as PTX in the package's emulator, with the block sizes that ship for CUDA. */

import { ptxDevice } from "../ptx/device.ts";
import { describeAttentionGradients } from "./attention-gradients-conformance.ts";

const device = await ptxDevice();

describeAttentionGradients("PTX for sm_80", () => device, { every: 6, randomRuns: 2 });
