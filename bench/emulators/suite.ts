/**
 * @file Suite `emulators`: every kernel of the attention family as PTX for sm_80 in the package's emulator and, where it is built, in ptxemu, and
 * so the launches of the tests that run operators, models, trials and examples as PTX. Either
 * must find nothing to report (no access out of bounds, no uninitialised shared memory, no race, no copy that is not waited for), both must leave
 * the same bits in memory and count the same wavefronts, no loop may have bank conflicts, and results must be right.
 */
import type { Command } from "commander";
import type { Conflict, LaunchResult } from "../../test/ptx/both.ts";
import { noPtxemu } from "../../test/ptx/ptxemu.ts";
import { runChild } from "../support/child.ts";
import { Journal } from "../support/journal.ts";
import { journalOption, positiveInteger } from "../support/options.ts";
import { milliseconds, Report } from "../support/report.ts";
import type { EmulatorsInput, EmulatorsResult, Judged, JudgedTests } from "./measured.ts";
import { runTests, testFiles } from "./tests.ts";

interface Options {
  readonly filter: string;
  readonly every: number;
  readonly journal?: string;
  readonly json?: string;
}

const beyond = (conflicts: readonly Conflict[], inLoop: boolean): number =>
  conflicts.filter((one) => one.inLoop === inLoop).reduce((sum, one) => sum + one.wavefronts - one.accesses, 0);

/** One row a kernel, dtype and head dim; of tests, a kernel. */
function rowsOf(problems: readonly Judged[], tests: readonly JudgedTests[]): string[][] {
  const groups = new Map<string, { launches: LaunchResult[]; shares: number[] }>();
  const all = [
    ...problems.map((problem) => ({ ...problem, place: [problem.dtype, problem.headDim] })),
    ...tests.map(({ launches }) => ({ launches, place: ["tests", ""], share: undefined })),
  ];
  for (const { place, launches, share } of all)
    for (const launch of launches) {
      const key = [launch.kernel, ...place].join("\t");
      const group = groups.get(key) ?? { launches: [], shares: [] };
      group.launches.push(launch);
      if (share !== undefined) group.shares.push(share);
      groups.set(key, group);
    }
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { launches, shares }]) => {
      const sum = (of: (launch: LaunchResult) => number) => launches.reduce((total, launch) => total + of(launch), 0);
      const compared = launches.filter(({ second }) => second !== undefined);
      const same = compared.filter(({ second }) => second!.differences.length === 0 && second!.messages.length === 0);
      return [
        ...key.split("\t"),
        launches.length,
        sum(({ instructions }) => instructions),
        sum(({ accesses }) => accesses),
        sum(({ conflicts }) => beyond(conflicts, true)),
        sum(({ conflicts }) => beyond(conflicts, false)),
        compared.length === 0 ? "-" : `${same.length} of ${compared.length}`,
        shares.length === 0 ? "-" : Math.max(...shares).toFixed(2),
      ].map(String);
    });
}

async function run({ json, ...chosen }: Options): Promise<void> {
  const report = new Report("emulators");
  const input: EmulatorsInput = { ...chosen, revision: report.environment.revision };
  const onProgress = (message: string) => report.progress(message);
  const { missing, speed, problems } = await runChild<EmulatorsResult>("emulators/measure.ts", input, {
    library: "source",
    onProgress,
  });
  const journal = new Journal<JudgedTests>(chosen.journal);
  const tests: JudgedTests[] = [];
  for (const file of testFiles().filter((_, i) => i % chosen.every === 0)) {
    if (!file.includes(chosen.filter)) continue;
    report.progress(file);
    const key = { suite: "emulators", revision: input.revision, second: noPtxemu === undefined, file };
    tests.push(await journal.once(key, () => runTests(file)));
  }
  report.table(
    [
      "kernel",
      "dtype",
      "D",
      "launches",
      "warp instr",
      "shared requests",
      "conflicts in loops",
      "elsewhere",
      "as in ptxemu",
      "error",
    ],
    rowsOf(problems, tests),
  );
  if (missing !== undefined) report.note(`Only in the package's emulator: ${missing}.`);
  report.note(
    `Attention forward, f16, one head, N = 256, D = 64, in the package's emulator: ${milliseconds(speed.first)} ms of processor time at first (with compilation), then ${milliseconds(speed.best)} ms.`,
  );
  const count = (all: readonly { readonly launches: readonly unknown[] }[]) =>
    all.reduce((sum, { launches }) => sum + launches.length, 0);
  report.note(
    `${problems.length} problems, ${count(problems)} launches; ${tests.length} files of tests, ${count(tests)} launches.`,
  );
  report.note(`Conflicts: wavefronts beyond one a request.`);
  report.finish(
    { missing, speed, problems, tests },
    { json, failures: [...new Set([...problems, ...tests].flatMap(({ faults }) => faults))] },
  );
}

export function addEmulators(program: Command): void {
  program
    .command("emulators")
    .description(
      "every kernel as PTX in the package's emulator and in ptxemu, and the tests that run kernels as PTX: nothing to report, equal results, no bank conflicts",
    )
    .option("--filter <text>", "only problems whose title holds this", "")
    .option("--every <n>", "every n-th problem only", positiveInteger, 1)
    .addOption(journalOption())
    .option("--json <file>", "also write the results here")
    .action(run);
}
