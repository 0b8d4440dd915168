/** @file What the suite `emulators` passes between processes. */
import type { ProblemResult } from "../../test/kernels/clean-ptx.ts";

export interface EmulatorsInput {
  readonly filter: string;
  readonly every: number;
  readonly revision: string;
  readonly journal?: string;
}

/** A problem with everything that is wrong with it. */
export type Judged = ProblemResult & { readonly faults: readonly string[] };

export interface EmulatorsResult {
  /** Why ptxemu did not run. */
  readonly missing?: string;
  /** Processor milliseconds of attention forward, f16, one head, N = 256, D = 64 in the package's emulator. */
  readonly speed: { readonly first: number; readonly best: number };
  readonly problems: readonly Judged[];
}
