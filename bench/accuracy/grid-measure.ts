/** @file FlagAttention's grids on one backend, in a process of its own. */
import type { Device } from "../../src/index.ts";
import { type GridUnit, gridUnits } from "../../test/kernels/flag-attention-grid.ts";
import { finite, Journal } from "../support/journal.ts";
import { serve } from "../support/measurement.ts";
import { open } from "./devices.ts";
import type { GridInput, GridResult, UnitResult } from "./measured.ts";

interface Measured {
  readonly shares: Readonly<Record<string, number>>;
  readonly seconds: number;
}

async function measure(device: Device, run: GridUnit["run"]): Promise<Measured> {
  const start = performance.now();
  const shares = finite(await run(device));
  return { shares, seconds: (performance.now() - start) / 1000 };
}

serve(async (input: GridInput, progress): Promise<GridResult> => {
  const { backend, sizes, revision, minutes = Number.POSITIVE_INFINITY } = input;
  const device = await open(backend);
  if ("missing" in device) return device;
  const journal = new Journal<Measured>(input.journal);
  const units: UnitResult[] = [];
  const chosen = gridUnits(sizes)
    .filter(({ family, title }) => `${family}: ${title}`.includes(input.filter))
    .filter((_, i) => i % input.every === 0);
  for (const [i, { run, ...unit }] of chosen.entries()) {
    const key = {
      suite: "grid",
      revision,
      backend,
      device: device.name,
      sizes,
      family: unit.family,
      title: unit.title,
    };
    if (performance.now() > minutes * 60_000 && !journal.knows(key)) continue;
    const outcome = await journal
      .once(key, () => measure(device, run))
      .catch((error: unknown) => ({ error: error instanceof Error ? error.message : String(error), seconds: 0 }));
    units.push({ ...unit, ...outcome });
    const worst = "shares" in outcome ? Math.max(...Object.values(outcome.shares)).toPrecision(2) : outcome.error;
    progress(
      `${i + 1}/${chosen.length} ${backend} ${unit.family}: ${unit.title}: ${worst} (${outcome.seconds.toFixed(1)} s)`,
    );
  }
  return { device: device.name, units };
});
