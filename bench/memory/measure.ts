/** @file Memory of attention's passes on one backend, in a process of its own. */
import { measureMemory } from "../../test/kernels/attention-memory.ts";
import { open } from "../accuracy/devices.ts";
import { serve } from "../support/measurement.ts";
import type { MemoryInput, MemoryResult, MemoryRow } from "./measured.ts";

serve(async ({ backend, lengths }: MemoryInput, progress): Promise<MemoryResult> => {
  const device = await open(backend);
  if ("missing" in device) return device;
  const rows: MemoryRow[] = [];
  for (const kind of ["attention", "piecewise"])
    for (const length of lengths) {
      const start = performance.now();
      const threshold = kind === "piecewise" ? { threshold: length / 2 } : {};
      const measured = await measureMemory(device, length, { headDim: 64, dtype: "f16", ...threshold });
      rows.push({ kind, length, ...measured, seconds: (performance.now() - start) / 1000 });
      progress(`${backend}: ${kind} ${length}`);
    }
  return { device: device.name, rows };
});
