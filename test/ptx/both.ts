/**
 * @file A launch in both emulators, the package's and ptxemu where that is built, and what must be found clean in it. Knows nothing of a test framework.
 */
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import type { Arguments, StorageArray, TensorArgument } from "../../src/interpreter/index.ts";
import { runEmulated } from "../emulator/run.ts";
import { noPtxemu, type PtxLaunch, runPtxemu } from "./ptxemu.ts";

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
  /** Requests to shared memory, and the wavefronts that they took; without atomics, which ptxemu does not count. */
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

/** The bank conflicts in its loops, each as a fault. */
export const conflictsOfLaunch = ({ kernel, conflicts }: LaunchResult): string[] =>
  conflicts
    .filter(({ inLoop }) => inLoop)
    .map(
      ({ line, instruction, wavefronts, accesses }) =>
        `${kernel}: bank conflicts in a loop, ${wavefronts} wavefronts for ${accesses} (PTX line ${line}: ${instruction})`,
    );

/** Everything else that is wrong with a launch. */
export const faultsOfLaunch = ({ kernel, wavefronts, warnings, second }: LaunchResult): string[] => [
  ...warnings.map((warning) => `${kernel}: ${warning}`),
  ...(second?.messages ?? []).map((message) => `${kernel}: ${message}`),
  ...(second?.differences ?? []).map((difference) => `${kernel}: the emulators differ in ${difference}`),
  ...(second && second.messages.length === 0 && second.wavefronts !== wavefronts
    ? [`${kernel}: the emulators count ${wavefronts} and ${second.wavefronts} wavefronts`]
    : []),
];

/** Runs a launch in the package's emulator, whose faults it throws, and in ptxemu where that is built. */
export function runInBoth(compiled: CompiledKernel, launch: PtxLaunch): LaunchResult {
  const second = copied(launch.arguments);
  const { instructions, sharedAccesses, warnings } = runEmulated(compiled, launch);
  const inLoop = linesOfLoops(compiled.source);
  const plain = sharedAccesses.filter(({ instruction }) => !/^(@!?\S+ +)?(atom|red)\./.test(instruction));
  const sum = (of: (count: (typeof plain)[number]) => number) => plain.reduce((n, x) => n + of(x), 0);
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
