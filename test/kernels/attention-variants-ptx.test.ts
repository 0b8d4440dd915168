/** Variants of attention, a sample of the cases, as PTX in the package's emulator, with the block sizes that ship for CUDA. */
import { createDevice } from "../../src/runtime/index.ts";
import { describeAttentionVariants } from "./attention-variants-conformance.ts";

const device = await createDevice({ backend: "cuda", emulate: true });

describeAttentionVariants("PTX for sm_80", () => device, { every: 4, randomRuns: 2, details: false });
