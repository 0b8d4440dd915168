/**
 * Which tiles are visited and how many matrix products they cost, counted by the interpreter: a tile that PiecewiseAttention's threshold does
 * not cross multiplies one pair of queries and keys, and a tile in which no query sees a key multiplies nothing.
 */
import { describe, expect, it } from "vitest";
import { countedKernels, products, tiles } from "./attention-products.ts";

describe.each(Object.entries(countedKernels))("products of %s", (_, [plain, pieces, each, more]) => {
  it.each([
    { queries: 256, keys: 256, causal: true },
    { queries: 200, keys: 332, causal: true },
    { queries: 332, keys: 200, causal: true },
    { queries: 200, keys: 332, causal: false },
    { queries: 132, keys: 132, causal: true, group: 3 },
  ])("dense $queries x $keys, causal $causal: every tile that is seen, once", (run) => {
    expect(products(plain, run)).toBe((run.group ?? 1) * each * tiles(run).visited);
  });

  it.each(
    [-300, -40, 0, 1, 50, 64, 128, 200, 5000].flatMap((threshold) => [
      { queries: 256, keys: 320, causal: true, threshold },
      { queries: 256, keys: 320, causal: false, threshold },
    ]),
  )("piecewise 256 x 320, causal $causal, threshold $threshold: more only where the threshold crosses", (run) => {
    const { visited, crossed } = tiles(run);
    expect(products(pieces, run)).toBe(each * visited + more * crossed);
  });

  it("piecewise causal at N = 4096 with threshold 1024", () => {
    const run = { queries: 4096, keys: 4096, causal: true, threshold: 1024 };
    const { visited, crossed } = tiles(run);
    const perTile = products(pieces, run) / visited;
    expect(perTile).toBe(each + (more * crossed) / visited);
    // 2.3 % of the tiles cost more; the original runs all products in all of them.
    expect(perTile).toBeLessThan(each + 0.05 * more);
  });
});
