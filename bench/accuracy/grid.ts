/**
 * @file Suite `grid`: the grids of FlagAttention's own tests, each of its tests judged by the project's rule, on every backend that is asked for.
 */
import type { Command } from "commander";
import { type GridSizes, gridFamilies, gridSizes, gridUnits } from "../../test/kernels/flag-attention-grid.ts";
import { runChild } from "../support/child.ts";
import { journalOption, notNegative, oneOf, oneOrMoreOf, positiveInteger } from "../support/options.ts";
import { Report } from "../support/report.ts";
import { type BackendName, backendNames, type GridInput, type GridResult, type UnitResult } from "./measured.ts";

interface Options {
  readonly backends: readonly BackendName[];
  readonly sizes: GridSizes;
  readonly filter: string;
  readonly every: number;
  readonly journal?: string;
  readonly minutes?: number;
  readonly json?: string;
}

async function run({ backends, json, ...chosen }: Options): Promise<void> {
  const report = new Report("grid");
  const results: Partial<Record<BackendName, GridResult>> = {};
  const failures: string[] = [];
  for (const backend of backends) {
    try {
      const input: GridInput = { backend, ...chosen, revision: report.environment.revision };
      const onProgress = (message: string) => report.progress(message);
      const result = await runChild<GridResult>("accuracy/grid-measure.ts", input, { library: "source", onProgress });
      results[backend] = result;
      if ("missing" in result) report.note(`${backend} is not here: ${result.missing}`);
      else showDevice(report, backend, result, chosen.sizes, failures);
    } catch (error) {
      failures.push(`${backend}: ${error instanceof Error ? error.message : error}`);
    }
  }
  report.note(
    "A cell is one of FlagAttention's tests. Shares: largest error / (twice the error of the naive computation in the same dtype + 1e-5), against f64.",
  );
  report.finish({ sizes: chosen.sizes, ...results }, { json, failures });
}

/** One family a line. */
function showDevice(
  report: Report,
  backend: BackendName,
  { device, units }: Extract<GridResult, { device: string }>,
  sizes: GridSizes,
  failures: string[],
): void {
  const grid = gridUnits(sizes);
  const families = gridFamilies.map((family) => units.filter((unit) => unit.family === family));
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  report.table(
    [`${backend}: ${device}`, "units run", "cells", "within", "largest shares", "seconds", "scaled"],
    families
      .filter((members) => members.length > 0)
      .map((members) => {
        const largest = new Map<string, number>();
        for (const unit of members)
          for (const [name, share] of Object.entries("shares" in unit ? unit.shares : {})) {
            const kind = name.replace(/[12]$/, "");
            largest.set(kind, Math.max(largest.get(kind) ?? 0, share));
          }
        const changes = new Map<string, number>();
        for (const { scaled, cells } of members)
          changes.set(scaled ?? "own size", (changes.get(scaled ?? "own size") ?? 0) + cells);
        return [
          members[0]!.family,
          `${members.length} of ${grid.filter(({ family }) => family === members[0]!.family).length}`,
          String(sum(members.map(({ cells }) => cells))),
          String(sum(members.filter(isWithin).map(({ cells }) => cells))),
          [...largest].map(([name, share]) => `${name} ${share.toPrecision(2)}`).join(", "),
          sum(members.map(({ seconds }) => seconds)).toFixed(0),
          [...changes].map(([change, cells]) => `${change}: ${cells}`).join("; "),
        ];
      }),
  );
  for (const unit of units.filter((unit) => !isWithin(unit)))
    failures.push(
      `${backend}: ${unit.family}: ${unit.title}: ${"error" in unit ? unit.error : JSON.stringify(unit.shares)}`,
    );
}

const isWithin = (unit: UnitResult): boolean =>
  "shares" in unit && Object.values(unit.shares).every((share) => share <= 1);

export function addGrid(program: Command): void {
  program
    .command("grid")
    .description("the grids of FlagAttention's own tests, judged by the same-precision rule")
    .option("--backends <list>", backendNames.join(","), oneOrMoreOf(backendNames), ["lavapipe"])
    .option(
      "--sizes <sizes>",
      "full, scaled (lengths / 8) or small (/ 32)",
      oneOf(Object.keys(gridSizes) as GridSizes[]),
      "scaled",
    )
    .option("--filter <text>", "only units whose family and title contain this", "")
    .option("--every <n>", "only every n-th of them", positiveInteger, 1)
    .option("--minutes <n>", "begin no unit after so many minutes; 0: report the journal alone", notNegative)
    .addOption(journalOption())
    .option("--json <file>", "also write the results here")
    .action(run);
}
