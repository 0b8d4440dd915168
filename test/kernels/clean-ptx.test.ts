/** A few attention kernels as PTX: nothing to report, no bank conflict in a loop, right results. `npm run bench -- emulators` takes all of them. */
import { expect, it } from "vitest";
import { cleanProblems, faultsOf, runClean, titleOf } from "./clean-ptx.ts";

const chosen = [
  "attention bf16 D=128 causal",
  "rotated piecewise f16 D=64",
  "paged, chunks f16 D=128 causal",
  "paged, ALiBi, bias f16 D=64",
];

it.each(chosen)("%s", async (title) => {
  const result = await runClean(cleanProblems.find((problem) => titleOf(problem) === title)!);
  expect(result.launches.length).toBeGreaterThan(1);
  expect(faultsOf(result)).toEqual([]);
});
