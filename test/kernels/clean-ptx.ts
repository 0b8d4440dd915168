/**
 * @file Small problems that run every attention kernel, and what must be found clean in each launch: by the package's emulator, and by ptxemu where that
 * is built. For a test, which takes a few of them, and for `npm run bench -- emulators`, which takes all. It knows nothing of a test framework.
 */
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import type { Arguments, StorageArray, TensorArgument } from "../../src/interpreter/index.ts";
import type { FloatDType } from "../../src/kernels/index.ts";
import { runEmulated } from "../emulator/run.ts";
import { noPtxemu, type PtxLaunch, runPtxemu } from "../ptx/ptxemu.ts";
import { make } from "./attention-backward-cases.ts";
import { type AttentionProblem, errorShares } from "./attention-errors.ts";
import { make as variant } from "./attention-variants-cases.ts";
import { errorShares as variantShares } from "./attention-variants-errors.ts";
import { makePagedCase } from "./paged-cases.ts";
import { pagedErrorShares } from "./paged-errors.ts";
import { PtxEmulatorDevice } from "./ptx-device.ts";
import { makeRotated } from "./rotated-cases.ts";
import { errorShares as rotatedErrorShares } from "./rotated-errors.ts";

/** One launch in the emulators. */
export interface LaunchResult {
  /** Name of the kernel. */
  readonly kernel: string;
  /** Warp instructions. */
  readonly instructions: number;
  /** Accesses to shared memory that had bank conflicts, inside and outside of loops: wavefronts beyond the least number. */
  readonly conflicts: readonly Conflict[];
  /** What the package's emulator warned of when the module was loaded. */
  readonly warnings: readonly string[];
  /** Requests to shared memory, and the wavefronts that they took. */
  readonly accesses: number;
  readonly wavefronts: number;
  /** By ptxemu, where it is built. */
  readonly second?: {
    /** Bits of memory that are not what the package's emulator leaves, as "out: 3 of 400 bytes". */
    readonly differences: readonly string[];
    readonly wavefronts: number;
    /** Errors and warnings. */
    readonly messages: readonly string[];
  };
}

export interface Conflict {
  readonly instruction: string;
  readonly line: number;
  readonly inLoop: boolean;
  readonly wavefronts: number;
  readonly accesses: number;
}

/** A problem of a family, in one of its configurations. */
export interface CleanProblem {
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
const families: Record<
  string,
  (c: Omit<CleanProblem, "family" | "run">, device: PtxEmulatorDevice) => Promise<object>
> = {
  attention: (c, device) => errorShares(device, problemOf(c)),
  "attention, dropout": (c, device) => errorShares(device, problemOf({ ...c, dropout: 0.2 })),
  piecewise: (c, device) => errorShares(device, problemOf({ ...c, threshold: 70 })),
  rotated: (c, device) => rotatedErrorShares(device, makeRotated({ ...c, ...lengths, splits: 1 })),
  "rotated piecewise": (c, device) =>
    rotatedErrorShares(device, makeRotated({ ...c, ...lengths, splits: 1, threshold: 70 })),
  "window, sinks": (c, device) =>
    variantShares(device, variant({ ...c, ...lengths, window: [60, c.causal ? 0 : 30], sinkTokens: 3, sinks: true })),
  "soft-capping, ALiBi, bias": (c, device) =>
    variantShares(device, variant({ ...c, ...lengths, softcap: 20, alibi: true, bias: [true, true, true] })),
  "packed documents": (c, device) =>
    variantShares(device, variant({ ...c, ...lengths, documents: { queries: [90, 50], keys: [120, 71] } })),
  "split-KV": (c, device) => errorShares(device, splitOf(c), { gradients: false }),
  "split-KV piecewise": (c, device) => errorShares(device, splitOf({ ...c, threshold: 70 }), { gradients: false }),
  paged: (c, device) =>
    pagedErrorShares(device, makePagedCase({ ...c, queryHeads: 8, keyHeads: 1, contexts, splits: 2 })),
  "paged, chunks": (c, device) =>
    pagedErrorShares(device, makePagedCase({ ...c, queryHeads: 2, keyHeads: 1, queries: 20, contexts, pageSize: 64 })),
  "paged, many queries": (c, device) =>
    pagedErrorShares(
      device,
      makePagedCase({ ...c, queryHeads: 2, keyHeads: 1, queries: 150, contexts: [200, 171], splits: 1 }),
    ),
  "paged piecewise, raw keys": (c, device) => {
    const problem = { ...c, queryHeads: 8, keyHeads: 1, contexts, splits: 2, threshold: 50, raw: true };
    return pagedErrorShares(device, makePagedCase(problem));
  },
};

/** Every family in each dtype, head dim and mask. */
export const cleanProblems: readonly CleanProblem[] = Object.entries(families).flatMap(([family, run]) =>
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

/** A problem of a family, run by its operators. */
export interface ProblemResult extends Omit<CleanProblem, "run"> {
  readonly launches: readonly LaunchResult[];
  /** The largest error as a share of the allowed one; undefined if the problem could not be run to its end. */
  readonly share?: number;
  /** What stopped it. */
  readonly error?: string;
}

export const titleOf = ({ family, dtype, headDim, causal }: Omit<CleanProblem, "run">): string =>
  `${family} ${dtype} D=${headDim}${causal ? " causal" : ""}`;

/** Runs a problem launch by launch. */
export async function runClean({ run, ...named }: CleanProblem): Promise<ProblemResult> {
  const launches: LaunchResult[] = [];
  using device = new PtxEmulatorDevice((compiled, launch) => void launches.push(runInBoth(compiled, launch)));
  try {
    return { ...named, launches, share: Math.max(...Object.values(await run(device))) };
  } catch (error) {
    return { ...named, launches, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Everything that is wrong with a problem. */
export function faultsOf(problem: ProblemResult): string[] {
  const faults = problem.launches.flatMap(({ kernel, wavefronts, conflicts, warnings, second }) => [
    ...warnings.map((warning) => `${kernel}: ${warning}`),
    ...conflicts
      .filter(({ inLoop }) => inLoop)
      .map(
        ({ line, instruction, wavefronts, accesses }) =>
          `${kernel}: bank conflicts in a loop, ${wavefronts} wavefronts for ${accesses} (PTX line ${line}: ${instruction})`,
      ),
    ...(second?.messages ?? []).map((message) => `${kernel}: ${message}`),
    ...(second?.differences ?? []).map((difference) => `${kernel}: the emulators differ in ${difference}`),
    ...(second && second.messages.length === 0 && second.wavefronts !== wavefronts
      ? [`${kernel}: the emulators count ${wavefronts} and ${second.wavefronts} wavefronts`]
      : []),
  ]);
  if (problem.error !== undefined) faults.push(problem.error);
  if (problem.share !== undefined && !(problem.share <= 1))
    faults.push(`WRONG: an error is ${problem.share.toPrecision(3)} of the allowed`);
  return faults.map((fault) => `${titleOf(problem)}: ${fault}`);
}

/** Runs a launch in the package's emulator, whose faults it throws, and in ptxemu where that is built. */
function runInBoth(compiled: CompiledKernel, launch: PtxLaunch): LaunchResult {
  const second = copied(launch.arguments);
  const { instructions, sharedAccesses, warnings } = runEmulated(compiled, launch);
  const inLoop = linesOfLoops(compiled.source);
  const sum = (of: (count: (typeof sharedAccesses)[number]) => number) => sharedAccesses.reduce((n, x) => n + of(x), 0);
  return {
    kernel: compiled.metadata.name,
    instructions,
    warnings,
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
