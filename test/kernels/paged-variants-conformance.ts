/**
 * @file The conformance test of variants and of packed queries over paged caches: written once, instantiated for every back end. Against f64 over each
 * sequence's keys, element by element, under the project's rule (paged-errors.ts).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pagedAttention } from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { recordShare } from "../support/record-share.ts";
import { randomValues } from "../support/rounding.ts";
import { type PagedCase, titleOf } from "./paged-cases.ts";
import { pagedErrorShares } from "./paged-errors.ts";
import { pagedVariantCases, randomPagedVariantCases } from "./paged-variants-cases.ts";

/** `every`: only each so many-th case, for devices that are slow. */
export function describePagedVariants(title: string, device: () => Device, { randomRuns = 40, every = 1 } = {}): void {
  const expectWithinRule = async (c: PagedCase): Promise<void> => {
    const { out, lse } = await pagedErrorShares(device(), c);
    expect(out, `out of ${titleOf(c)}`).toBeLessThanOrEqual(1);
    expect(lse, `lse of ${titleOf(c)}`).toBeLessThanOrEqual(1);
    recordShare(Math.max(out, lse), c.dtype);
  };

  describe(`variants over paged caches on ${title}`, () => {
    const cases = pagedVariantCases.filter((_, i) => i % every === 0);
    it.each(cases.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectWithinRule(c));

    it("holds for random variants and shapes", async () => {
      await fc.assert(fc.asyncProperty(randomPagedVariantCases, expectWithinRule), { numRuns: randomRuns, seed: 7 });
    });
  });
}
