/** `createDevice({ backend: "cuda", emulate: true })`: the operators as PTX in the project's own emulator, against references. */
import { describe, expect, it } from "vitest";
import { createDevice } from "../../../src/runtime/index.ts";
import { make, titleOf } from "../../kernels/attention-backward-cases.ts";
import { errorShares } from "../../kernels/attention-errors.ts";
import { describeOperators } from "../../kernels/operators-conformance.ts";

const device = await createDevice({ backend: "cuda", emulate: true });

it("is a CUDA device", () => {
  expect([device.backend, device.computeCapability]).toEqual(["cuda", [8, 0]]);
});

describe("emulated", () => {
  describeOperators("the PTX emulator of the package", () => device);

  const small = { queryHeads: 1, keyHeads: 1, queries: 40, keys: 48, headDim: 32, dtype: "f16" } as const;
  it.each([make(small), make({ ...small, threshold: 13 })].map((c) => [titleOf(c), c] as const))(
    "attention, forward and backward: %s",
    async (_, c) => {
      for (const [name, share] of Object.entries(await errorShares(device, c)))
        expect(share, name).toBeLessThanOrEqual(1);
    },
  );
});
