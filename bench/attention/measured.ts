/** @file What the children of suite `attention` are asked and what they answer. */
import type { AdapterKind } from "tilewright";
import type { Accuracy, Problem } from "./problem.ts";
import type { Timing, TimingOptions } from "./stopwatch.ts";

/** WebGPU on one kind of adapter, or the interpreter. */
export type BackendName = Exclude<AdapterKind, "software"> | "cpu";

export interface Measured extends Problem, Timing, Accuracy {
  /** Milliseconds of the first call, where nothing that it needs was compiled before; absent where the kernel was. */
  readonly first?: number;
  /** The same on all processors together. */
  readonly firstProcessor?: number;
}

export interface OursInput extends TimingOptions {
  readonly backend: BackendName;
  readonly problems: readonly Problem[];
}

/** A backend that is not on this machine says why. */
export type OursResult =
  | { readonly device: string; readonly measured: readonly Measured[] }
  | { readonly missing: string };

export interface PeerInput extends TimingOptions {
  readonly problems: readonly Problem[];
}
