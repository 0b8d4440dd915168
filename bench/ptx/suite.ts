/**
 * @file Suite `ptx`: what ptxas makes of the attention kernels, with the block sizes that the operators give them, beside the peers' kernels.
 * No GPU is needed: instructions of one turn of the loop without masks, registers, spills. `--all` assembles every kernel that the operators
 * launch, and fails where one spills.
 */
import type { Command } from "commander";
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { type Assembler, assemblePtx, ptxas } from "../../src/runtime/cuda/assembler.ts";
import { occupancy } from "../../src/runtime/cuda/occupancy.ts";
import { analyzeCubin, type InstructionClass } from "../../src/runtime/cuda/sass/index.ts";
import { oneOrMoreOf, positiveIntegers } from "../support/options.ts";
import { Report } from "../support/report.ts";
import { columns, peers } from "./peers.ts";
import { RecordingDevice } from "./recorder.ts";
import { compileShipped, describeShipped, type Shipped, shipped } from "./shipped.ts";
import { SpillSurvey } from "./survey.ts";

async function row(assembler: Assembler, one: Shipped, { source, metadata }: CompiledKernel): Promise<string[]> {
  const { cubin, spills } = await assemblePtx(assembler, source, "sm_80");
  const code = analyzeCubin(cubin)[0]!;
  const sharedBytes = metadata.sharedMemory.static + metadata.sharedMemory.dynamic;
  const { BLOCK_M, BLOCK_N } = metadata.constants;
  const loop = code.mainLoop!;
  const count = (...names: InstructionClass[]): number =>
    names.reduce((sum, name) => sum + (loop.classes[name] ?? 0), 0);
  return [
    `${metadata.name.replace("attention_", "")} ${one.dtype}`,
    one.headDim,
    one.causal ? "yes" : "no",
    `M${BLOCK_M}N${BLOCK_N} w${metadata.block[0] / 32}`,
    code.registers,
    spills.stores,
    `${Math.ceil(sharedBytes / 1024)}K`,
    // In brackets with the branches that most turns leave out.
    loop.bodyTotal === loop.total ? loop.total : `${loop.total} (${loop.bodyTotal})`,
    count("mma"),
    loop.nonMmaPerMma?.toFixed(2) ?? "-",
    count("special"),
    count("ldmatrix"),
    `${count("sharedLoad")}+${count("sharedStore")}`,
    count("asyncCopy"),
    count("fp32"),
    count("integer"),
    count("compare"),
    count("move"),
    // A multiprocessor has four schedulers.
    occupancy("sm_80", { threads: metadata.block[0], registers: code.registers, sharedBytes }).warps / 4,
  ].map(String);
}

/** The kernels of the table: those of long sequences without variants. */
const compared: readonly Shipped[] = (["forward", "backward"] as const).flatMap((call) =>
  (["dense", "piecewise"] as const).flatMap((terms) =>
    (["f16", "bf16"] as const).flatMap((dtype) =>
      [64, 128].flatMap((headDim) => [false, true].map((causal) => ({ call, terms, dtype, headDim, causal }))),
    ),
  ),
);
const isCompared = ({ metadata }: CompiledKernel): boolean => !/total|statistics/.test(metadata.name);

interface Options {
  readonly all?: boolean;
  readonly dtypes?: readonly string[];
  readonly headDims?: readonly number[];
  readonly cache?: string;
  readonly json?: string;
}

async function run({ all = false, json, ...chosen }: Options): Promise<void> {
  const report = new Report("ptx");
  const found = await ptxas();
  if ("reason" in found) {
    report.finish([], { failures: [found.reason] });
    return;
  }
  const device = new RecordingDevice();
  if (all) {
    await surveyAll(report, found.value, device, { json, ...chosen });
    return;
  }
  const rows: string[][] = [];
  for (const one of compared) {
    report.progress(describeShipped(one));
    for (const kernel of compileShipped(device, one).filter(isCompared)) rows.push(await row(found.value, one, kernel));
  }
  report.table([...columns, "warps per scheduler"], [...rows, ...peers.map((peer) => [...peer.map(String), ""])]);
  const spillColumn = columns.indexOf("spill B");
  const failures = rows
    .filter((cells) => cells[spillColumn] !== "0")
    .map((cells) => `${cells[0]} D=${cells[1]}: ${cells[spillColumn]} bytes are spilled`);
  report.finish(rows, { ...(json !== undefined && { json }), failures });
}

/** Assembles every shipped kernel of the chosen sizes, each text once. */
async function surveyAll(
  report: Report,
  assembler: Assembler,
  device: RecordingDevice,
  { dtypes, headDims, cache, json }: Options,
): Promise<void> {
  const chosen = shipped.filter(
    ({ dtype, headDim }) => (dtypes?.includes(dtype) ?? true) && (headDims?.includes(headDim) ?? true),
  );
  const survey = new SpillSurvey(assembler, cache);
  const failures: string[] = [];
  let kernels = 0;
  for (const [i, one] of chosen.entries()) {
    if (i % 50 === 0) report.progress(`${i} of ${chosen.length} calls, ${failures.length} kernels spill`);
    for (const { source, metadata } of compileShipped(device, one)) {
      kernels++;
      await survey.add(source, (bytes) => {
        if (bytes === 0) return;
        const { BLOCK_M, BLOCK_N } = metadata.constants;
        const blocks = `M${BLOCK_M}N${BLOCK_N} w${metadata.block[0] / 32}`;
        failures.push(`${describeShipped(one)}: ${metadata.name} ${blocks}: ${bytes} bytes are spilled`);
        report.progress(failures.at(-1)!);
      });
    }
  }
  await survey.finish();
  const { texts } = survey;
  report.note(`${chosen.length} calls launch ${kernels} kernels, ${texts} different ones: ${failures.length} spill`);
  report.finish({ calls: chosen.length, kernels, texts }, { ...(json !== undefined && { json }), failures });
}

export function addPtx(program: Command): void {
  program
    .command("ptx")
    .description("instructions, registers and spills of the attention kernels as ptxas makes them, beside peers")
    .option("--all", "instead assemble every kernel that the operators launch (hours; choose sizes, keep a cache)")
    .option("--dtypes <names>", "with --all: only these of f16,bf16,f32", oneOrMoreOf(["f16", "bf16", "f32"]))
    .option("--head-dims <n,...>", "with --all: only these", positiveIntegers)
    .option("--cache <file>", "with --all: keep what ptxas says there, and do not ask it again")
    .option("--json <file>", "also write the results here")
    .action(run);
}
