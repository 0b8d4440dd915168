/** Gradients of attention, a sample of the cases, as PTX in the package's emulator, with the block sizes that ship for CUDA. */
import { createDevice } from "../../src/runtime/index.ts";
import { describeAttentionGradients } from "./attention-gradients-conformance.ts";

const device = await createDevice({ backend: "cuda", emulate: true });

describeAttentionGradients("PTX for sm_80", () => device, { every: 6, randomRuns: 2 });
