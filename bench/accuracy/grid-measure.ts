/** @file FlagAttention's grids on one backend, in a process of its own. */
import { gridUnits } from "../../test/kernels/flag-attention-grid.ts";
import { serve } from "../support/measurement.ts";
import { open } from "./devices.ts";
import type { GridInput, GridResult, UnitResult } from "./measured.ts";

serve(async ({ backend, sizes, filter, every }: GridInput, progress): Promise<GridResult> => {
  const device = await open(backend);
  if ("missing" in device) return device;
  const units: UnitResult[] = [];
  const chosen = gridUnits(sizes)
    .filter(({ family, title }) => `${family}: ${title}`.includes(filter))
    .filter((_, i) => i % every === 0);
  for (const [i, { run, ...unit }] of chosen.entries()) {
    const start = performance.now();
    const outcome = await run(device).then(
      (shares) => ({ shares }),
      (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
    );
    const seconds = (performance.now() - start) / 1000;
    units.push({ ...unit, ...outcome, seconds });
    const worst = "shares" in outcome ? Math.max(...Object.values(outcome.shares)).toPrecision(2) : outcome.error;
    progress(`${i + 1}/${chosen.length} ${backend} ${unit.family}: ${unit.title}: ${worst} (${seconds.toFixed(1)} s)`);
  }
  return { device: device.name, units };
});
