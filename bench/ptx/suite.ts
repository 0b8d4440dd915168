/**
 * @file Suite `ptx`: what ptxas makes of the attention kernels, with the block sizes that the operators give them, beside the peers' kernels.
 * No GPU is needed: instructions of one turn of the loop without masks, registers, spills. `--all` assembles every shipped kernel and fails
 * where one spills.
 */
import type { Command } from "commander";
import { type Assembler, assemblePtx, ptxas } from "../../src/runtime/cuda/assembler.ts";
import { occupancy } from "../../src/runtime/cuda/occupancy.ts";
import { analyzeCubin, type InstructionClass } from "../../src/runtime/cuda/sass/index.ts";
import { Report } from "../support/report.ts";
import { columns, peers } from "./peers.ts";
import { blocksOf, compileShipped, describeShipped, type Shipped, shipped } from "./shipped.ts";

async function measure(assembler: Assembler, one: Shipped) {
  const compiled = compileShipped(one);
  const { cubin, spills } = await assemblePtx(assembler, compiled.source, "sm_80");
  const spillBytes = spills.stores;
  const code = analyzeCubin(cubin)[0]!;
  const { metadata } = compiled;
  const sharedBytes = metadata.sharedMemory.static + metadata.sharedMemory.dynamic;
  const needs = { threads: metadata.block[0], registers: code.registers, sharedBytes };
  // A multiprocessor has four schedulers.
  const warps = occupancy("sm_80", needs).warps / 4;
  return { spillBytes, code, sharedBytes, warps };
}

async function row(assembler: Assembler, one: Shipped): Promise<string[]> {
  const { spillBytes, code, sharedBytes, warps } = await measure(assembler, one);
  const { BLOCK_M, BLOCK_N, NUM_WARPS = 4 } = blocksOf(one) as ReturnType<typeof blocksOf> & { NUM_WARPS?: number };
  const loop = code.mainLoop!;
  const count = (...names: InstructionClass[]): number =>
    names.reduce((sum, name) => sum + (loop.classes[name] ?? 0), 0);
  return [
    `${one.variant} ${one.kind} ${one.dtype}`,
    one.headDim,
    one.causal ? "yes" : "no",
    `M${BLOCK_M}N${BLOCK_N} w${NUM_WARPS}`,
    code.registers,
    spillBytes,
    `${Math.ceil(sharedBytes / 1024)}K`,
    loop.total,
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
    warps,
  ].map(String);
}

async function run({ all = false, json }: { readonly all?: boolean; readonly json?: string }): Promise<void> {
  const report = new Report("ptx");
  const found = await ptxas();
  if ("reason" in found) {
    report.finish([], { failures: [found.reason] });
    return;
  }
  const compared = shipped.filter(isCompared);
  const rows: string[][] = [];
  for (const one of compared) {
    report.progress(describeShipped(one));
    rows.push(await row(found.value, one));
  }
  report.table([...columns, "warps per scheduler"], [...rows, ...peers.map((peer) => [...peer.map(String), ""])]);
  const spillColumn = columns.indexOf("spill B");
  const failures = rows
    .filter((cells) => cells[spillColumn] !== "0")
    .map((cells) => `${cells[0]} D=${cells[1]}: ${cells[spillColumn]} bytes are spilled`);
  for (const one of all ? shipped.filter((other) => !isCompared(other)) : []) {
    report.progress(describeShipped(one));
    const { spills } = await assemblePtx(found.value, compileShipped(one).source, "sm_80");
    if (spills.stores > 0) failures.push(`${describeShipped(one)}: ${spills.stores} bytes are spilled`);
  }
  report.note(`${(all ? shipped : compared).length} kernels assembled, ${failures.length} of them spill`);
  report.finish(rows, { ...(json !== undefined && { json }), failures });
}

const isCompared = ({ kind, variant, dtype, headDim }: Shipped): boolean =>
  (headDim === 64 || headDim === 128) &&
  dtype !== "f32" &&
  (variant === "dense" || variant === "piecewise") &&
  kind !== "total" &&
  kind !== "split";

export function addPtx(program: Command): void {
  program
    .command("ptx")
    .description("instructions, registers and spills of the attention kernels as ptxas makes them, beside peers")
    .option("--all", "assemble every shipped kernel, not only those of the table (about half an hour)")
    .option("--json <file>", "also write the results here")
    .action(run);
}
