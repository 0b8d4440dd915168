/** The operators on a real GPU. Runs by itself where the CUDA driver finds one; elsewhere it is skipped and says why. */
import { afterAll, describe, expect, it } from "vitest";
import { cudaDriver } from "../../../src/runtime/cuda/index.ts";
import { type CudaDevice, createDevice } from "../../../src/runtime/index.ts";
import { describeAttentionGradients } from "../../kernels/attention-gradients-conformance.ts";
import { describeDecode } from "../../kernels/decode-conformance.ts";
import { describeOperators } from "../../kernels/operators-conformance.ts";
import { describeTraining } from "../../kernels/training-conformance.ts";

const driver = await cudaDriver();
const missing =
  "reason" in driver ? driver.reason : driver.value.deviceCount > 0 ? undefined : "the CUDA driver finds no device";

describe.skipIf(missing)(missing ? `on a GPU (skipped: ${missing})` : "on a GPU", async () => {
  if (missing !== undefined) {
    it("needs one", () => {});
    return;
  }
  const device: CudaDevice = await createDevice({ backend: "cuda" });
  afterAll(() => device.dispose());

  it("says what it is", () => {
    expect(device.name.length).toBeGreaterThan(0);
    expect(device.computeCapability[0]).toBeGreaterThanOrEqual(8);
  });
  describeOperators(device.name, () => device);
  describeTraining(device.name, () => device);
  describeAttentionGradients(device.name, () => device, { every: 6, randomRuns: 2 });
  describeDecode(device.name, () => device, { randomRuns: 2 });
});
