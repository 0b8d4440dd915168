/**
 * @file The sizes that are chosen by measurement, in one table: how much of a matrix product a thread computes at a time. Larger pieces use
 * an element more often once it is fetched; they also take more registers and, on a CPU, a driver that compiles for seconds.
 */
import type { WgslCapabilities, WgslDeviceKind } from "./capabilities.ts";

export interface DotTuning {
  /** Rows of the accumulator that a thread owns, at least, on a CPU. */
  readonly rows: number;
  /** Columns of the piece that is kept in variables. */
  readonly columns: number;
  /** Accumulators of up to so many pieces are written at indices that the driver knows, each piece behind a condition. */
  readonly knownPieces: number;
}

/**
 * Measured with attention forward (f32, N = 512, D = 64, tiles of 64 x 32), as GFLOP/s on two otherwise idle cores and CPU seconds to
 * create the pipeline:
 *
 *     rows x columns        2 x 4        2 x 8        2 x 16       4 x 4        4 x 8        4 x 16
 *     lavapipe, subgroups                11.3  2.5    11.4  4.2    11.8  3.3    13.8  5.4    11.8  12.5
 *     lavapipe, without      5.5  2.9     5.8  6.2     3.6  18      8.4  4.7     6.9  9.1
 *     SwiftShader, subgr.                 1.8  1.2     1.7  1.4     1.9  1.5     2.3  1.4     2.1   2.1
 *     SwiftShader, without                1.3  1.6     1.2  2.2     1.5  1.7     1.7  1.8     1.9   2.9
 *
 * lavapipe's pipelines must not take longer than 3 s; each load that is written out costs it up to 0.2 s. An element of an array it writes in
 * one instruction if it knows the index, else lane by lane: with known pieces the kernel above is 22 % faster (N = 1024, causal) and its
 * pipeline made in 20 % less. SwiftShader gains nothing from them, and its pipelines take 6 % longer.
 */
const onCpu: Readonly<Record<Exclude<WgslDeviceKind, "hardware">, { subgroups: DotTuning; without: DotTuning }>> = {
  lavapipe: { subgroups: { rows: 2, columns: 8, knownPieces: 8 }, without: { rows: 2, columns: 4, knownPieces: 8 } },
  swiftshader: { subgroups: { rows: 4, columns: 8, knownPieces: 1 }, without: { rows: 4, columns: 8, knownPieces: 1 } },
  software: { subgroups: { rows: 2, columns: 8, knownPieces: 1 }, without: { rows: 2, columns: 4, knownPieces: 1 } },
};

/** On a GPU a thread's block is nearly square (policy.ts) and is one piece. */
const onGpu: DotTuning = { rows: 1, columns: 8, knownPieces: 1 };

export function dotTuning({ kind, features }: WgslCapabilities): DotTuning {
  if (kind === "hardware") return onGpu;
  return features.subgroups ? onCpu[kind].subgroups : onCpu[kind].without;
}
