/** Attention with RoPE in the load, on the interpreter. */
import { createDevice } from "../../src/runtime/index.ts";
import { describeRotated } from "./rotated-attention-conformance.ts";

const device = await createDevice({ backend: "cpu" });
describeRotated("cpu", () => device);
