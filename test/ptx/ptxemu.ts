/**
 * @file ptxemu, an emulator of PTX in C++ that shares nothing with the project: a second opinion where it is built, in the folder named by
 * TILEWRIGHT_PTXEMU or, without that, in one of two usual places. No test needs it.
 */
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import type { Arguments } from "../../src/interpreter/index.ts";
import { elementBytes } from "../../src/ir/index.ts";
import { packParameters } from "../../src/runtime/cuda/parameters.ts";
import { rowMajor } from "../emulator/run.ts";

const named = process.env.TILEWRIGHT_PTXEMU;
const places = named === undefined ? ["/tmp/ptxemu", "/work/shared/tools/ptxemu"] : [named];
const folder = places.find((place) => existsSync(`${place}/ptxemu`));

/** Why ptxemu cannot run; undefined where it can. */
export const noPtxemu: string | undefined = folder
  ? undefined
  : "ptxemu is not built: set TILEWRIGHT_PTXEMU to its folder";

export interface PtxemuReport {
  readonly ok: boolean;
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

type Emulate = (launch: object) => PtxemuReport;
const { emulate } = folder
  ? ((await import(pathToFileURL(`${folder}/ptxemu.mjs`).href)) as { emulate: Emulate })
  : { emulate: undefined };

/** The launch parameters in ABI order: arrays for pointers, bytes for the rest. */
function packArguments({ metadata }: CompiledKernel, given: Arguments): unknown[] {
  return metadata.params.map((parameter) => {
    const [owner, what, axis] = parameter.name.split(".");
    const argument = given[owner!]!;
    const bytes = (value: number | bigint | boolean) => {
      const packed = packParameters([parameter], new Map(), { [parameter.name]: value });
      return { hex: Buffer.from(packed).toString("hex") };
    };
    if (typeof argument !== "object") return bytes(argument);
    const { data, offset = 0, shape = [], strides = rowMajor(shape) } = argument;
    if (parameter.kind === "pointer") return { array: data, offset: offset * elementBytes[parameter.dtype] };
    return bytes((what === "shape" ? shape : strides)[Number(axis)]!);
  });
}

export interface PtxLaunch {
  readonly arguments: Arguments;
  readonly grid: readonly number[];
}

/** Runs one launch in ptxemu; arrays are updated in place. Throws with its messages unless the run was clean. */
export function runPtxemu(
  compiled: CompiledKernel,
  launch: PtxLaunch,
  { seed = 1 }: { readonly seed?: number } = {},
): PtxemuReport {
  const { metadata, source } = compiled;
  const report = emulate!({
    ptx: source,
    entry: metadata.entry,
    grid: launch.grid,
    block: metadata.block,
    smem: metadata.sharedMemory.dynamic,
    args: packArguments(compiled, launch.arguments),
    options: { race: true, fillShared: 1, seed, mmaMode: 0, maxSmem: 166912 },
  });
  if (!report.ok || report.messages.length > 0)
    throw new Error(`ptxemu: ${JSON.stringify(report.messages, undefined, 1)}`);
  return report;
}
