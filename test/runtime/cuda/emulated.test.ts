/** `createDevice({ backend: "cuda", emulate: true })`: the operators as PTX in the project's own emulator, against references. */
import { describe, expect, it } from "vitest";
import { createDevice } from "../../../src/runtime/index.ts";
import { describeOperators } from "../../kernels/operators-conformance.ts";

const device = await createDevice({ backend: "cuda", emulate: true });

it("is a CUDA device", () => {
  expect([device.backend, device.computeCapability]).toEqual(["cuda", [8, 0]]);
});

describe("emulated", () => {
  describeOperators("the PTX emulator of the package", () => device);
});
