/** Variants and packed queries over paged caches, a sample of the cases, as PTX in the package's emulator, with the block sizes that ship for CUDA. */

import { ptxDevice } from "../ptx/device.ts";
import { describePagedVariants } from "./paged-variants-conformance.ts";

const device = await ptxDevice();

describePagedVariants("PTX for sm_80", () => device, { every: 3, randomRuns: 2 });
