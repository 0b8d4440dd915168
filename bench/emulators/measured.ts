/** @file What the suite `emulators` passes between processes. */
import type { ProblemResult } from "../../test/kernels/clean-ptx.ts";

export interface EmulatorsInput {
  readonly filter: string;
  readonly every: number;
}

export interface EmulatorsResult {
  /** Why ptxemu did not run. */
  readonly missing?: string;
  readonly problems: readonly (ProblemResult & { readonly faults: readonly string[] })[];
}
