/** @file Runs every kernel of the attention family in the package's emulator, and in ptxemu where that is built, launch by launch. */

import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import type { Arguments, StorageArray, TensorArgument } from "../../src/interpreter/index.ts";
import type { FloatDType } from "../../src/kernels/index.ts";
import { runEmulated } from "../../test/emulator/run.ts";
import { make } from "../../test/kernels/attention-backward-cases.ts";
import { type AttentionProblem, errorShares } from "../../test/kernels/attention-errors.ts";
import { makePagedCase } from "../../test/kernels/paged-cases.ts";
import { pagedErrorShares } from "../../test/kernels/paged-errors.ts";
import { PtxEmulatorDevice } from "../../test/kernels/ptx-device.ts";
import { makeRotated } from "../../test/kernels/rotated-cases.ts";
import { errorShares as rotatedErrorShares } from "../../test/kernels/rotated-errors.ts";
import { noPtxemu, type PtxLaunch, runPtxemu } from "../../test/ptx/ptxemu.ts";
import { serve } from "../support/measurement.ts";
import type { Conflict, EmulatorsInput, EmulatorsResult, LaunchResult, ProblemResult } from "./measured.ts";

interface Problem {
  readonly family: string;
  readonly dtype: FloatDType;
  readonly headDim: number;
  readonly causal: boolean;
  run(device: PtxEmulatorDevice): Promise<object>;
}

/** Lengths that no block size divides; more than one turn of every loop; groups of two. One split, so the plain forward kernel runs. */
const lengths = { queries: 150, keys: 200, queryHeads: 2, keyHeads: 1 };
const contexts = [150, 33];

const problemOf = (change: Parameters<typeof make>[0]): AttentionProblem => ({
  ...make({ ...change, ...lengths }),
  splits: 1,
});
const splitOf = (change: Parameters<typeof make>[0]): AttentionProblem => ({
  ...make({ ...change, queryHeads: 4, keyHeads: 2, queries: 3, keys: 300 }),
  splits: 3,
});

/** Shares of the allowed error by result, of a problem of each family. */
const families: Record<string, (c: Omit<Problem, "family" | "run">, device: PtxEmulatorDevice) => Promise<object>> = {
  attention: (c, device) => errorShares(device, problemOf(c)),
  "attention, dropout": (c, device) => errorShares(device, problemOf({ ...c, dropout: 0.2 })),
  piecewise: (c, device) => errorShares(device, problemOf({ ...c, threshold: 70 })),
  rotated: (c, device) => rotatedErrorShares(device, makeRotated({ ...c, ...lengths, splits: 1 })),
  "rotated piecewise": (c, device) =>
    rotatedErrorShares(device, makeRotated({ ...c, ...lengths, splits: 1, threshold: 70 })),
  "split-KV": (c, device) => errorShares(device, splitOf(c), { gradients: false }),
  "split-KV piecewise": (c, device) => errorShares(device, splitOf({ ...c, threshold: 70 }), { gradients: false }),
  paged: (c, device) =>
    pagedErrorShares(device, makePagedCase({ ...c, queryHeads: 8, keyHeads: 1, contexts, splits: 2 })),
  "paged, chunks": (c, device) =>
    pagedErrorShares(device, makePagedCase({ ...c, queryHeads: 2, keyHeads: 1, queries: 20, contexts, pageSize: 64 })),
  "paged piecewise, raw keys": (c, device) => {
    const problem = { ...c, queryHeads: 8, keyHeads: 1, contexts, splits: 2, threshold: 50, raw: true };
    return pagedErrorShares(device, makePagedCase(problem));
  },
};

const problems: readonly Problem[] = Object.entries(families).flatMap(([family, run]) =>
  [64, 128].flatMap((headDim) =>
    (["f16", "bf16", "f32"] as const).flatMap((dtype) =>
      [false, true]
        // Raw keys are causal.
        .filter((causal) => causal || !family.startsWith("paged piecewise"))
        .map((causal) => {
          const c = { dtype, headDim, causal };
          return { family, ...c, run: (device: PtxEmulatorDevice) => run(c, device) };
        }),
    ),
  ),
);

serve(async ({ filter, every }: EmulatorsInput, progress): Promise<EmulatorsResult> => {
  const results: ProblemResult[] = [];
  for (const { run, ...named } of problems.filter((_, i) => i % every === 0)) {
    const { family, dtype, headDim, causal } = named;
    const title = `${family} ${dtype} D=${headDim}${causal ? " causal" : ""}`;
    if (!title.includes(filter)) continue;
    progress(title);
    const launches: LaunchResult[] = [];
    using device = new PtxEmulatorDevice((compiled, launch) => void launches.push(runInBoth(compiled, launch)));
    try {
      const share = Math.max(...Object.values(await run(device)));
      results.push({ ...named, launches, share });
    } catch (error) {
      results.push({ ...named, launches, error: error instanceof Error ? error.message : String(error) });
    }
  }
  return { ...(noPtxemu !== undefined && { missing: noPtxemu }), problems: results };
});

/** Throws what the package's emulator reports. */
function runInBoth(compiled: CompiledKernel, launch: PtxLaunch): LaunchResult {
  const second = copied(launch.arguments);
  const { instructions, sharedAccesses } = runEmulated(compiled, launch);
  const inLoop = linesOfLoops(compiled.source);
  const sum = (of: (count: (typeof sharedAccesses)[number]) => number) => sharedAccesses.reduce((n, x) => n + of(x), 0);
  return {
    kernel: compiled.metadata.name,
    instructions,
    conflicts: sharedAccesses
      .filter(({ accesses, wavefronts }) => wavefronts > accesses)
      .map(({ source: _, ...count }): Conflict => ({ ...count, inLoop: inLoop(count.line) })),
    accesses: sum(({ accesses }) => accesses),
    wavefronts: sum(({ wavefronts }) => wavefronts),
    ...(noPtxemu === undefined && { second: runSecond(compiled, launch, second) }),
  };
}

function runSecond(compiled: CompiledKernel, launch: PtxLaunch, given: Arguments): LaunchResult["second"] {
  try {
    const { stats } = runPtxemu(compiled, { ...launch, arguments: given });
    const differences = [...arraysOf(launch.arguments)].flatMap(([name, ours]) => {
      const theirs = bytesOf(arraysOf(given).get(name)!);
      const count = bytesOf(ours).reduce((n, byte, i) => (byte === theirs[i] ? n : n + 1), 0);
      return count === 0 ? [] : [`${name}: ${count} of ${theirs.length} bytes`];
    });
    return { differences, wavefronts: stats.sharedWavefronts, messages: [] };
  } catch (error) {
    return { differences: [], wavefronts: 0, messages: [error instanceof Error ? error.message : String(error)] };
  }
}

const isTensor = (argument: unknown): argument is TensorArgument => typeof argument === "object";

function copied(given: Arguments): Arguments {
  // Arguments that share memory share it in the copy.
  const copies = new Map([...arraysOf(given)].map(([, data]) => [data, data.slice()]));
  return Object.fromEntries(
    Object.entries(given).map(([name, argument]) => [
      name,
      isTensor(argument) ? { ...argument, data: copies.get(argument.data)! } : argument,
    ]),
  );
}

const arraysOf = (given: Arguments): Map<string, StorageArray> =>
  new Map(Object.entries(given).flatMap(([name, argument]) => (isTensor(argument) ? [[name, argument.data]] : [])));

const bytesOf = ({ buffer, byteOffset, byteLength }: StorageArray): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** Whether a line of the PTX, from 1, lies between a label and a branch back to it. */
function linesOfLoops(source: string): (line: number) => boolean {
  const labels = new Map<string, number>();
  const loops: [first: number, last: number][] = [];
  source.split("\n").forEach((text, at) => {
    const label = /^\s*(\$\w+):/.exec(text)?.[1];
    if (label !== undefined) labels.set(label, at + 1);
    const start = labels.get(/\bbra(?:\.uni)?\s+(\$\w+);/.exec(text)?.[1] ?? "");
    if (start !== undefined) loops.push([start, at + 1]);
  });
  return (line) => loops.some(([first, last]) => line >= first && line <= last);
}
