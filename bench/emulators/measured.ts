/** @file What the suite `emulators` passes between processes. */

export interface EmulatorsInput {
  readonly filter: string;
  readonly every: number;
}

/** One launch in the emulators. */
export interface LaunchResult {
  /** Name of the kernel. */
  readonly kernel: string;
  /** Warp instructions. */
  readonly instructions: number;
  /** Accesses to shared memory that had bank conflicts, inside and outside of loops: wavefronts beyond the least number. */
  readonly conflicts: readonly Conflict[];
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

/** A problem of a family, run by its operators. */
export interface ProblemResult {
  readonly family: string;
  readonly dtype: string;
  readonly headDim: number;
  readonly causal: boolean;
  readonly launches: readonly LaunchResult[];
  /** The largest error as a share of the allowed one; undefined if the problem could not be run to its end. */
  readonly share?: number;
  /** What stopped it. */
  readonly error?: string;
}

export interface EmulatorsResult {
  /** Why ptxemu did not run. */
  readonly missing?: string;
  readonly problems: readonly ProblemResult[];
}
