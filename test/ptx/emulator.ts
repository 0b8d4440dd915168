/**
 * @file Runs compiled PTX in the ptxemu emulator, where that is built: the folder named by TILEWRIGHT_PTXEMU, or one of two usual places.
 */
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { describe } from "vitest";
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { compilePtx, type PtxOptions } from "../../src/codegen/ptx/index.ts";
import {
  type Argument,
  type Arguments,
  type Checks,
  interpret,
  type StorageArray,
  type TensorArgument,
} from "../../src/interpreter/index.ts";
import { elementBytes, type Kernel } from "../../src/ir/index.ts";

const places = [process.env.TILEWRIGHT_PTXEMU, "/tmp/ptxemu", "/work/shared/tools/ptxemu"];
const folder = places.find((place) => place !== undefined && existsSync(`${place}/ptxemu`));

/** Why tests that need ptxemu are skipped; undefined where it is there. */
export const noEmulator: string | undefined = folder
  ? undefined
  : "ptxemu is not built: set TILEWRIGHT_PTXEMU to its folder";

/** A suite that needs ptxemu; where that is missing, its title says so. */
export function describeInEmulator(title: string, suite: () => void): void {
  describe.skipIf(noEmulator)(noEmulator ? `${title} (skipped: ${noEmulator})` : title, suite);
}

export interface EmulatorReport {
  readonly ok: boolean;
  readonly errors: number;
  readonly warnings: number;
  readonly messages: readonly { severity: string; kind: string; line: number; count: number; message: string }[];
  readonly stats: {
    readonly warpInstructions: number;
    readonly sharedAccesses: number;
    readonly sharedWavefronts: number;
    readonly globalSectors: number;
    readonly globalSectorsIdeal: number;
    readonly ops: Readonly<Record<string, number>>;
  };
}

type Emulate = (launch: object) => EmulatorReport;
const { emulate } = folder
  ? ((await import(pathToFileURL(`${folder}/ptxemu.mjs`).href)) as { emulate: Emulate })
  : { emulate: undefined };

const rowMajor = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => shape.slice(axis + 1).reduce((product, extent) => product * extent, 1));

/** The launch parameters in ABI order: arrays for pointers, `{ i32: 5 }` and the like for the rest. */
function packArguments({ metadata }: CompiledKernel, given: Arguments): unknown[] {
  return metadata.params.map(({ name, kind, dtype }) => {
    const [owner, what, axis] = name.split(".");
    const argument = given[owner!]!;
    if (kind === "pointer") {
      const { data, offset = 0 } = argument as TensorArgument;
      return { array: data, offset: offset * elementBytes[dtype] };
    }
    if (what === undefined) return scalar(argument as number, dtype);
    const { shape = [], strides = rowMajor(shape) } = argument as TensorArgument;
    return what === "shape" ? { i32: shape[Number(axis)] } : { i64: strides[Number(axis)] };
  });
}

function scalar(value: number | bigint | boolean, dtype: string): unknown {
  if (dtype === "i64") {
    const bytes = new Uint8Array(new BigInt64Array([BigInt(value)]).buffer);
    return { hex: Buffer.from(bytes).toString("hex") };
  }
  if (dtype === "bool") return { u8: value ? 1 : 0 };
  return { [dtype]: Number(value) };
}

/** Runs one launch; arrays are updated in place. Throws with the emulator's messages unless the run was clean. */
export function runPtx(
  compiled: CompiledKernel,
  launch: { arguments: Arguments; grid: readonly number[]; options?: object },
): EmulatorReport {
  const { metadata, source } = compiled;
  const report = emulate!({
    ptx: source,
    entry: metadata.entry,
    grid: launch.grid,
    block: metadata.block,
    smem: metadata.sharedMemory.dynamic,
    args: packArguments(compiled, launch.arguments),
    options: { race: true, fillShared: 1, seed: 1, maxSmem: 166912, ...launch.options },
  });
  if (!report.ok || report.warnings > 0 || report.messages.length > 0)
    throw new Error(`ptxemu: ${JSON.stringify(report.messages, undefined, 1)}`);
  return report;
}

const copy = (given: Arguments): Record<string, Argument> =>
  Object.fromEntries(
    Object.entries(given).map(([name, argument]) => [
      name,
      typeof argument === "object" ? { ...argument, data: argument.data.slice() } : argument,
    ]),
  );

/** What the interpreter and the emulator leave in memory, by parameter; and the emulator's report. */
export function runBoth(
  kernel: Kernel,
  launch: { arguments: Arguments; grid?: readonly [number, number, number] },
  options: Omit<PtxOptions, "target"> & { checks?: Partial<Checks>; emulator?: object } = {},
): {
  expected: Readonly<Record<string, StorageArray>>;
  actual: Readonly<Record<string, StorageArray>>;
  report: EmulatorReport;
} {
  const { checks = { nan: false }, emulator = {}, ...compileOptions } = options;
  const grid = launch.grid ?? [1, 1, 1];
  const [interpreted, emulated] = [copy(launch.arguments), copy(launch.arguments)];
  interpret(kernel, { arguments: interpreted, grid, checks, onPrint: () => {} });
  const compiled = compilePtx(kernel, { target: "sm_80", ...compileOptions });
  const report = runPtx(compiled, { arguments: emulated, grid, options: emulator });
  const arrays = (args: Record<string, Argument>): Record<string, StorageArray> =>
    Object.fromEntries(
      Object.entries(args).flatMap(([name, argument]) => (typeof argument === "object" ? [[name, argument.data]] : [])),
    );
  return { expected: arrays(interpreted), actual: arrays(emulated), report };
}
