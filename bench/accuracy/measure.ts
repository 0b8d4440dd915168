/** @file The conformance cases of the attention family on one backend, in a process of its own. */
import {
  gradientCases,
  piecewiseCases,
  titleOf as titleOfGradients,
} from "../../test/kernels/attention-backward-cases.ts";
import { conformanceCases, titleOf } from "../../test/kernels/attention-cases.ts";
import { type AttentionProblem, errorShares } from "../../test/kernels/attention-errors.ts";
import { splitCases, titleOf as titleOfSplits } from "../../test/kernels/decode-cases.ts";
import { type PagedCase, pagedCases, titleOf as titleOfPaged } from "../../test/kernels/paged-cases.ts";
import { pagedErrorShares } from "../../test/kernels/paged-errors.ts";
import { pagedVariantCases } from "../../test/kernels/paged-variants-cases.ts";
import { finite, Journal } from "../support/journal.ts";
import { serve } from "../support/measurement.ts";
import { open } from "./devices.ts";
import type { AccuracyInput, AccuracyResult, AnyCase, CaseResult } from "./measured.ts";

const attention = (
  family: string,
  cases: readonly AttentionProblem[],
  title: (c: any) => string,
  gradients: boolean,
): AnyCase[] =>
  cases.map((c) => ({
    family,
    dtype: c.dtype,
    title: title(c),
    run: (device) => errorShares(device, c, { gradients, offset: gradients ? 123456n : 77n }),
  }));

const paged = (cases: readonly PagedCase[], family: (c: PagedCase) => string): AnyCase[] =>
  cases.map((c) => ({
    family: family(c),
    dtype: c.dtype,
    title: titleOfPaged(c),
    run: (device) => pagedErrorShares(device, c),
  }));

const families: readonly (readonly AnyCase[])[] = [
  attention("attention", conformanceCases, titleOf, false),
  attention("attention, gradients", gradientCases, titleOfGradients, true),
  attention("piecewise, gradients", piecewiseCases, titleOfGradients, true),
  attention("split-KV", splitCases, titleOfSplits, false),
  paged(pagedCases, ({ raw }) => (raw ? "paged, raw keys" : "paged")),
  paged(pagedVariantCases, () => "paged, variants and packed queries"),
];

serve(async ({ backend, filter, every, revision, ...input }: AccuracyInput, progress): Promise<AccuracyResult> => {
  const device = await open(backend);
  if ("missing" in device) return device;
  const journal = new Journal<Readonly<Record<string, number>>>(input.journal);
  const cases: CaseResult[] = [];
  for (const family of families)
    for (const { run, ...named } of family.filter((_, i) => i % every === 0)) {
      if (!`${named.family}: ${named.title}`.includes(filter)) continue;
      progress(`${backend}: ${named.family}: ${named.title}`);
      try {
        const key = { suite: "accuracy", revision, backend, device: device.name, ...named };
        cases.push({ ...named, shares: await journal.once(key, async () => finite(await run(device))) });
      } catch (error) {
        cases.push({ ...named, error: error instanceof Error ? error.message : String(error) });
      }
    }
  return { device: device.name, cases };
});
