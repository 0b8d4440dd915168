/** @file What the suite `emulators` passes between processes. */
import type { ProblemResult } from "../../test/kernels/clean-ptx.ts";
import type { LaunchResult } from "../../test/ptx/both.ts";

export interface EmulatorsInput {
  readonly filter: string;
  readonly every: number;
  readonly revision: string;
  readonly journal?: string;
}

/** A problem with everything that is wrong with it. */
export type Judged = ProblemResult & { readonly faults: readonly string[] };

/** Test files, with every launch and everything that is wrong with them. */
export interface JudgedTests {
  readonly file: string;
  readonly launches: readonly LaunchResult[];
  readonly faults: readonly string[];
}

export interface EmulatorsResult {
  /** Why ptxemu did not run. */
  readonly missing?: string;
  /** Processor milliseconds of attention forward, f16, one head, N = 256, D = 64 in the package's emulator. */
  readonly speed: { readonly first: number; readonly best: number };
  readonly problems: readonly Judged[];
}
