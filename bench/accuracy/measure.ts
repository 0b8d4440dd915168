/** @file The conformance cases of attention on one backend, in a process of its own. */
import { createDevice, type Device, TilewrightError } from "../../src/index.ts";
import { conformanceCases, titleOf } from "../../test/kernels/attention-cases.ts";
import { errorShares } from "../../test/kernels/attention-errors.ts";
import { PtxEmulatorDevice } from "../../test/kernels/ptx-device.ts";
import { noEmulator } from "../../test/ptx/emulator.ts";
import { serve } from "../support/measurement.ts";
import type { AccuracyInput, AccuracyResult, BackendName, CaseResult } from "./measured.ts";

async function open(backend: BackendName): Promise<Device | { readonly missing: string }> {
  if (backend === "ptx") return noEmulator === undefined ? new PtxEmulatorDevice() : { missing: noEmulator };
  try {
    return await createDevice(backend === "cpu" ? { backend } : { backend: "webgpu", adapter: backend });
  } catch (error) {
    if (!(error instanceof TilewrightError) || error.code !== "NO_ADAPTER") throw error;
    return { missing: error.message };
  }
}

serve(async ({ backend, filter }: AccuracyInput, progress): Promise<AccuracyResult> => {
  const device = await open(backend);
  if ("missing" in device) return device;
  const cases: CaseResult[] = [];
  for (const conformanceCase of conformanceCases) {
    const title = titleOf(conformanceCase);
    if (!title.includes(filter)) continue;
    progress(`${backend}: ${title}`);
    try {
      const { out, lse } = await errorShares(device, conformanceCase, { gradients: false });
      cases.push({ title, out: out!, lse: lse! });
    } catch (error) {
      cases.push({ title, error: error instanceof Error ? error.message : String(error) });
    }
  }
  return { device: device.name, cases };
});
