/** @file What the suite `emulators` passes between processes. */
import type { ProblemResult } from "../../test/kernels/clean-ptx.ts";

export interface EmulatorsInput {
  readonly filter: string;
  readonly every: number;
}

export interface EmulatorsResult {
  /** Why ptxemu did not run. */
  readonly missing?: string;
  /** Processor milliseconds of attention forward, f16, one head, N = 256, D = 64 in the package's emulator. */
  readonly speed: { readonly first: number; readonly best: number };
  readonly problems: readonly (ProblemResult & { readonly faults: readonly string[] })[];
}
