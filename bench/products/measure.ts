/** @file Executed matrix products of one kernel, in a process of its own. */
import { countedKernels, products, type Run, tiles } from "../../test/kernels/attention-products.ts";
import { serve } from "../support/measurement.ts";

/** One kernel's counts. */
export interface ProductCounts {
  readonly kernel: string;
  readonly visited: number;
  readonly crossed: number;
  readonly products: number;
  /** Products of a tile that the threshold does not cross, and of one that it crosses. */
  readonly plain: number;
  readonly mixed: number;
}

serve(
  async (run: Run): Promise<ProductCounts[]> =>
    Object.entries(countedKernels).map(([kernel, [, piecewise, plain, more]]) => ({
      kernel,
      ...tiles(run),
      products: products(piecewise, run),
      plain,
      mixed: plain + more,
    })),
);
