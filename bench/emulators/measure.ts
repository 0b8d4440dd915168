/** @file Runs every kernel of the attention family in the package's emulator, and in ptxemu where that is built, launch by launch. */
import { createDevice, type Tensor } from "../../src/index.ts";
import { attention } from "../../src/kernels/index.ts";
import { cleanProblems, faultsOf, runClean, titleOf } from "../../test/kernels/clean-ptx.ts";
import { noPtxemu } from "../../test/ptx/ptxemu.ts";
import { randomValues } from "../../test/support/rounding.ts";
import { serve } from "../support/measurement.ts";
import type { EmulatorsInput, EmulatorsResult } from "./measured.ts";

/** Attention forward, f16, one head, N = 256, D = 64, with every check: the first call, which compiles, and the best of those after it. */
async function speed(): Promise<EmulatorsResult["speed"]> {
  using device = await createDevice({ backend: "cuda", emulate: true });
  const shape = [1, 1, 256, 64];
  const [q, k, v] = [1, 2, 3].map((seed) =>
    device.tensor(randomValues("f16", 256 * 64, seed), { shape, dtype: "f16" }),
  ) as [Tensor, Tensor, Tensor];
  const times = Array.from({ length: 12 }, () => {
    const start = process.cpuUsage().user;
    attention({ q, k, v, splits: 1 }).out.dispose();
    return (process.cpuUsage().user - start) / 1000;
  });
  return { first: times[0]!, best: Math.min(...times) };
}

serve(async ({ filter, every }: EmulatorsInput, progress): Promise<EmulatorsResult> => {
  const measured = await speed();
  const problems: EmulatorsResult["problems"][number][] = [];
  for (const problem of cleanProblems.filter((_, i) => i % every === 0)) {
    if (!titleOf(problem).includes(filter)) continue;
    progress(titleOf(problem));
    const result = await runClean(problem);
    problems.push({ ...result, faults: faultsOf(result) });
  }
  return { ...(noPtxemu !== undefined && { missing: noPtxemu }), speed: measured, problems };
});
