/** The kernels as PTX in the package's emulator, with the block sizes that ship for CUDA. */

import { ptxDevice } from "../ptx/device.ts";
import { describeAttention } from "./attention-conformance.ts";
import { describeOperators } from "./operators-conformance.ts";
import { describeTraining } from "./training-conformance.ts";

const device = await ptxDevice();

describeAttention("PTX for sm_80", () => device);
describeOperators("PTX for sm_80", () => device);
describeTraining("PTX for sm_80", () => device);
