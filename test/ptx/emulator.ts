/**
 * @file Runs compiled PTX in the ptxemu emulator, where that is built: the folder named by TILEWRIGHT_PTXEMU, or one of two usual places.
 */
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import type { Arguments, TensorArgument } from "../../src/interpreter/index.ts";
import { elementBytes } from "../../src/ir/index.ts";

const places = [process.env.TILEWRIGHT_PTXEMU, "/tmp/ptxemu", "/work/shared/tools/ptxemu"];
const folder = places.find((place) => place !== undefined && existsSync(`${place}/ptxemu`));

/** Why tests that need ptxemu are skipped; undefined where it is there. */
export const noEmulator: string | undefined = folder
  ? undefined
  : "ptxemu is not built: set TILEWRIGHT_PTXEMU to its folder";

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
