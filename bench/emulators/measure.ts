/** @file Runs every kernel of the attention family in the package's emulator, and in ptxemu where that is built, launch by launch. */
import { createDevice, type Tensor } from "../../src/index.ts";
import { attention } from "../../src/kernels/index.ts";
import { cleanProblems, faultsOf, type ProblemResult, runClean, titleOf } from "../../test/kernels/clean-ptx.ts";
import { noPtxemu } from "../../test/ptx/ptxemu.ts";
import { randomValues } from "../../test/support/rounding.ts";
import { Journal } from "../support/journal.ts";
import { serve } from "../support/measurement.ts";
import type { EmulatorsInput, EmulatorsResult, Judged } from "./measured.ts";

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

/** What JSON can hold: a share that is no number has its place among the faults. */
function judge({ share, ...result }: ProblemResult): Judged {
  const faults = faultsOf({ ...result, ...(share !== undefined && { share }) });
  return { ...result, ...(Number.isFinite(share) && { share: share! }), faults };
}

serve(async ({ filter, every, revision, ...input }: EmulatorsInput, progress): Promise<EmulatorsResult> => {
  const measured = await speed();
  const journal = new Journal<Judged>(input.journal);
  const problems: Judged[] = [];
  for (const problem of cleanProblems.filter((_, i) => i % every === 0)) {
    const title = titleOf(problem);
    if (!title.includes(filter)) continue;
    progress(title);
    const key = { suite: "emulators", revision, second: noPtxemu === undefined, title };
    problems.push(await journal.once(key, async () => judge(await runClean(problem))));
  }
  return { ...(noPtxemu !== undefined && { missing: noPtxemu }), speed: measured, problems };
});
