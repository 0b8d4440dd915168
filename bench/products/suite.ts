/**
 * @file Suite `products`: how many matrix products PiecewiseAttention's kernels execute, counted by the interpreter. Where the threshold does not
 * cross a tile it must cost what plain attention does.
 */
import type { Command } from "commander";
import { runChild } from "../support/child.ts";
import { positiveInteger } from "../support/options.ts";
import { Report } from "../support/report.ts";
import type { ProductCounts } from "./measure.ts";

interface Options {
  readonly length: number;
  readonly threshold: number;
  readonly json?: string;
}

async function run({ length, threshold, json }: Options): Promise<void> {
  const report = new Report("products");
  const input = { queries: length, keys: length, threshold, causal: true };
  const counts = await runChild<ProductCounts[]>("products/measure.ts", input, { library: "source" });
  report.table(
    [`causal, N ${length}, threshold ${threshold}`, "tiles", "crossed", "products", "a tile", "if all were crossed"],
    counts.map(({ kernel, visited, crossed, products, mixed }) => [
      kernel,
      String(visited),
      `${crossed} (${((100 * crossed) / visited).toFixed(1)} %)`,
      String(products),
      (products / visited).toFixed(3),
      String(mixed),
    ]),
  );
  report.note("Tiles of 64 x 64, one head. The original computes both terms in every tile.");
  const failures = counts
    .filter(
      ({ visited, crossed, products, plain, mixed }) => products !== plain * (visited - crossed) + mixed * crossed,
    )
    .map(({ kernel, products }) => `${kernel}: ${products} products are not those of the tiles`);
  report.finish(counts, { json, failures });
}

export function addProducts(program: Command): void {
  program
    .command("products")
    .description("executed matrix products of PiecewiseAttention's kernels, counted by the interpreter")
    .option("--length <n>", "queries and keys, a multiple of 4", positiveInteger, 4096)
    .option("--threshold <n>", "from which distance on keys are far", positiveInteger, 1024)
    .option("--json <file>", "also write the results here")
    .action(run);
}
