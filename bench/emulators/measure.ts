/** @file Runs every kernel of the attention family in the package's emulator, and in ptxemu where that is built, launch by launch. */
import { cleanProblems, faultsOf, runClean, titleOf } from "../../test/kernels/clean-ptx.ts";
import { noPtxemu } from "../../test/ptx/ptxemu.ts";
import { serve } from "../support/measurement.ts";
import type { EmulatorsInput, EmulatorsResult } from "./measured.ts";

serve(async ({ filter, every }: EmulatorsInput, progress): Promise<EmulatorsResult> => {
  const problems: EmulatorsResult["problems"][number][] = [];
  for (const problem of cleanProblems.filter((_, i) => i % every === 0)) {
    if (!titleOf(problem).includes(filter)) continue;
    progress(titleOf(problem));
    const result = await runClean(problem);
    problems.push({ ...result, faults: faultsOf(result) });
  }
  return { ...(noPtxemu !== undefined && { missing: noPtxemu }), problems };
});
