/**
 * @file Small problems that run every attention kernel, and what must be found clean in each launch: by the package's emulator, and by ptxemu where that
 * is built. For a test, which takes a few of them, and for `npm run bench -- emulators`, which takes all. It knows nothing of a test framework.
 */
import type { FloatDType } from "../../src/kernels/index.ts";
import { conflictsOfLaunch, faultsOfLaunch, type LaunchResult, runInBoth } from "../ptx/both.ts";
import { make } from "./attention-backward-cases.ts";
import { type AttentionProblem, errorShares } from "./attention-errors.ts";
import { make as variant } from "./attention-variants-cases.ts";
import { errorShares as variantShares } from "./attention-variants-errors.ts";
import { makePagedCase } from "./paged-cases.ts";
import { pagedErrorShares } from "./paged-errors.ts";
import { PtxEmulatorDevice } from "./ptx-device.ts";
import { makeRotated } from "./rotated-cases.ts";
import { errorShares as rotatedErrorShares } from "./rotated-errors.ts";

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
  "paged, window, sinks, soft-capping": (c, device) => {
    const own = { window: [60, c.causal ? 0 : 20], sinks: true, softcap: 20 } as const;
    return pagedErrorShares(
      device,
      makePagedCase({ ...c, queryHeads: 8, keyHeads: 1, contexts, splits: 2, variant: own }),
    );
  },
  "paged, ALiBi, bias": (c, device) => {
    const own = { alibi: true, bias: [true, true, true] } as const;
    return pagedErrorShares(
      device,
      makePagedCase({ ...c, queryHeads: 2, keyHeads: 1, queries: 5, contexts, variant: own }),
    );
  },
  "paged, packed queries": (c, device) =>
    pagedErrorShares(
      device,
      makePagedCase({ ...c, queryHeads: 4, keyHeads: 2, queries: [1, 70, 0, 9], contexts: [150, 90, 40, 33] }),
    ),
  "paged, packed queries, alone": (c, device) =>
    pagedErrorShares(
      device,
      makePagedCase({ ...c, queryHeads: 2, keyHeads: 2, queries: [130, 1, 20], contexts: [150, 33, 40], splits: 1 }),
    ),
  "paged piecewise": (c, device) =>
    pagedErrorShares(device, makePagedCase({ ...c, queryHeads: 8, keyHeads: 1, contexts, splits: 2, threshold: 50 })),
  "paged, raw keys": (c, device) =>
    pagedErrorShares(device, makePagedCase({ ...c, queryHeads: 8, keyHeads: 1, contexts, splits: 2, raw: true })),
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
        .filter((causal) => causal || !/^paged.*(piecewise|raw)/.test(family))
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
  const faults = problem.launches.flatMap((launch) => [...conflictsOfLaunch(launch), ...faultsOfLaunch(launch)]);
  if (problem.error !== undefined) faults.push(problem.error);
  if (problem.share !== undefined && !(problem.share <= 1))
    faults.push(`WRONG: an error is ${problem.share.toPrecision(3)} of the allowed`);
  return faults.map((fault) => `${titleOf(problem)}: ${fault}`);
}
