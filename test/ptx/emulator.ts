/**
 * @file Runs compiled PTX in the package's own emulator, and beside it in ptxemu where that is built: both must find nothing to report and
 * leave the same bits. Every instruction must be one that a fixture of nvcc holds, too.
 */
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { compilePtx, type PtxOptions } from "../../src/codegen/ptx/index.ts";
import type { LaunchReport } from "../../src/emulator/index.ts";
import {
  type Argument,
  type Arguments,
  type Checks,
  interpret,
  type StorageArray,
} from "../../src/interpreter/index.ts";
import type { Kernel } from "../../src/ir/index.ts";
import { requireForeignForms } from "../emulator/foreign-forms.ts";
import { runEmulated } from "../emulator/run.ts";
import { noPtxemu, type PtxLaunch, runPtxemu } from "./ptxemu.ts";

const copy = (given: Arguments): Record<string, Argument> =>
  Object.fromEntries(
    Object.entries(given).map(([name, argument]) => [
      name,
      typeof argument === "object" ? { ...argument, data: argument.data.slice() } : argument,
    ]),
  );

const arrays = (given: Arguments): Record<string, StorageArray> =>
  Object.fromEntries(
    Object.entries(given).flatMap(([name, argument]) => (typeof argument === "object" ? [[name, argument.data]] : [])),
  );

const bytesOf = ({ buffer, byteOffset, byteLength }: StorageArray): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

/** Runs one launch; arrays are updated in place. Throws what an emulator reports. `seed`: the order in which ptxemu runs warps. */
export function runPtx(
  compiled: CompiledKernel,
  launch: PtxLaunch,
  { seed }: { readonly seed?: number } = {},
): LaunchReport {
  requireForeignForms(compiled.source);
  const second = copy(launch.arguments);
  const report = runEmulated(compiled, launch);
  if (noPtxemu !== undefined) return report;
  runPtxemu(compiled, { ...launch, arguments: second }, { seed });
  const [ours, theirs] = [arrays(launch.arguments), arrays(second)];
  for (const [name, data] of Object.entries(ours))
    if (!bytesOf(data).equals(bytesOf(theirs[name]!))) throw new Error(`the emulators differ in ${name}`);
  return report;
}

/** Whether every access to shared memory took as few wavefronts as it can: no bank conflicts. */
export const withoutConflicts = ({ sharedAccesses }: LaunchReport): boolean =>
  sharedAccesses.every(({ accesses, wavefronts }) => accesses === wavefronts);

/** What the interpreter and the emulator leave in memory, by parameter; and the emulator's report. */
export function runBoth(
  kernel: Kernel,
  launch: { arguments: Arguments; grid?: readonly [number, number, number] },
  options: Omit<PtxOptions, "target"> & { checks?: Partial<Checks>; seed?: number } = {},
): {
  expected: Readonly<Record<string, StorageArray>>;
  actual: Readonly<Record<string, StorageArray>>;
  report: LaunchReport;
} {
  const { checks = { nan: false }, seed, ...compileOptions } = options;
  const grid = launch.grid ?? [1, 1, 1];
  const [interpreted, emulated] = [copy(launch.arguments), copy(launch.arguments)];
  interpret(kernel, { arguments: interpreted, grid, checks, onPrint: () => {} });
  const compiled = compilePtx(kernel, { target: "sm_80", ...compileOptions });
  const report = runPtx(compiled, { arguments: emulated, grid }, { seed });
  return { expected: arrays(interpreted), actual: arrays(emulated), report };
}
