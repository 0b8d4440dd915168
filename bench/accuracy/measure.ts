/** @file The conformance cases of attention on one backend, in a process of its own. */
import { conformanceCases, titleOf } from "../../test/kernels/attention-cases.ts";
import { errorShares } from "../../test/kernels/attention-errors.ts";
import { serve } from "../support/measurement.ts";
import { open } from "./devices.ts";
import type { AccuracyInput, AccuracyResult, CaseResult } from "./measured.ts";

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
