/** @file What the child of suite `piecewise` is asked and what it answers. */
import type { BackendName } from "../attention/measured.ts";
import type { Timing, TimingOptions } from "../attention/stopwatch.ts";

export interface PiecewiseInput extends TimingOptions {
  readonly backend: BackendName;
  readonly length: number;
  readonly heads: number;
  readonly headDim: number;
  /** Of ReRoPE, which is the threshold. */
  readonly window: number;
}

/** The kinds that are compared; `plain` is what the others are measured against. */
export type Kind = "plain" | "plain, RoPE in the load" | "piecewise, four tensors" | "piecewise, raw q and k";

export type PiecewiseResult =
  | {
      readonly device: string;
      readonly timings: readonly { readonly kind: Kind; readonly timing: Timing }[];
      /** Largest difference of piecewise from raw q and k and from four tensors that were turned in f64, and the largest output. */
      readonly difference: number;
      readonly largest: number;
    }
  | { readonly missing: string };
