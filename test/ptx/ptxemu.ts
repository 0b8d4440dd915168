/**
 * @file ptxemu, an emulator of PTX in C++ that shares nothing with the project: a second opinion where it is built, in the folder named by
 * TILEWRIGHT_PTXEMU or, without that, in one of two usual places. No test needs it.
 */
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import type { Arguments, TensorArgument } from "../../src/interpreter/index.ts";
import { elementBytes } from "../../src/ir/index.ts";
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
