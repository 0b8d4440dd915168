/**
 * @file Suite `ptx`: what ptxas makes of the attention kernels, with the block sizes that the operators give them, beside the peers' kernels.
 * No GPU is needed: instructions of one turn of the loop without masks, registers, spills. `--all` assembles every kernel that the operators
 * launch, those around attention too, and fails where one spills.
 */
import type { Command } from "commander";
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { type Assembler, assemblePtx, ptxas } from "../../src/runtime/cuda/assembler.ts";
import { occupancy } from "../../src/runtime/cuda/occupancy.ts";
import { analyzeCubin, type InstructionClass } from "../../src/runtime/cuda/sass/index.ts";
import { journalOption, oneOrMoreOf, positiveInteger, positiveIntegers } from "../support/options.ts";
import { Report } from "../support/report.ts";
import { around } from "./around.ts";
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
  readonly every?: number;
  readonly journal?: string;
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

/** Assembles every shipped kernel, those of attention of the chosen sizes, each text once. */
async function surveyAll(
  report: Report,
  assembler: Assembler,
  device: RecordingDevice,
  { dtypes, headDims, every = 1, journal, json }: Options,
): Promise<void> {
  const ofAttention = shipped
    .filter(({ dtype, headDim }) => (dtypes?.includes(dtype) ?? true) && (headDims?.includes(headDim) ?? true))
    .map((one) => ({ description: describeShipped(one), compile: () => compileShipped(device, one) }));
  const others = around.map(({ description, launch }) => ({
    description,
    compile: () => device.record(() => launch((shape, dtype) => device.empty(shape, dtype))),
  }));
  const all = dtypes || headDims ? ofAttention : [...ofAttention, ...others];
  const calls = all.filter((_, i) => i % every === 0);
  const survey = new SpillSurvey(assembler, journal);
  const spilling: { call: string; kernel: string; blocks: string; registers: number; stores: number; loads: number }[] =
    [];
  let kernels = 0;
  for (const [i, { description, compile }] of calls.entries()) {
    if (i % 50 === 0)
      report.progress(`${i} of ${calls.length} calls, ${survey.texts} different kernels, ${spilling.length} spill`);
    for (const kernel of compile()) {
      kernels++;
      await survey.add(kernel, (assembled) => {
        if (assembled.stores === 0 && assembled.loads === 0) return;
        const { name, constants, block } = kernel.metadata;
        const blocks = `M${constants.BLOCK_M}N${constants.BLOCK_N} w${block[0] / 32}`;
        spilling.push({ call: description, kernel: name, blocks, ...assembled });
        report.progress(`${description}: ${name} ${blocks}: ${assembled.stores} bytes are spilled`);
      });
    }
  }
  await survey.finish();
  const { texts } = survey;
  report.note(
    `${calls.length} calls of ${all.length} launch ${kernels} kernels, ${texts} different ones: ${spilling.length} spill`,
  );
  report.finish(
    { calls: calls.length, kernels, texts, spilling },
    {
      ...(json !== undefined && { json }),
      failures: spilling.map(
        ({ call, kernel, blocks, stores }) => `${call}: ${kernel} ${blocks}: ${stores} bytes are spilled`,
      ),
    },
  );
}

export function addPtx(program: Command): void {
  program
    .command("ptx")
    .description("instructions, registers and spills of the attention kernels as ptxas makes them, beside peers")
    .option("--all", "instead assemble every kernel that the operators launch (hours: keep a journal)")
    .option(
      "--dtypes <names>",
      "with --all: only attention in these of f16,bf16,f32",
      oneOrMoreOf(["f16", "bf16", "f32"]),
    )
    .option("--head-dims <n,...>", "with --all: only attention with these", positiveIntegers)
    .option("--every <n>", "with --all: only every n-th call", positiveInteger)
    .addOption(journalOption())
    .option("--json <file>", "also write the results here")
    .action(run);
}
