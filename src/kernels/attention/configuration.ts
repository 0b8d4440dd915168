/**
 * @file Block sizes of the attention kernels, in one table with the reason for each entry.
 */
import type { Backend } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";

/** Tile extents below 16 would leave the tensor cores' fragments (m16n8k16) half empty. */
const smallestExtent = 16;

export interface ForwardConfiguration {
  readonly BLOCK_M: number;
  readonly BLOCK_N: number;
}

export interface BackwardConfiguration extends ForwardConfiguration {
  readonly NUM_WARPS?: number;
}

/** By backend, then by the largest tile extent of the head dims. */
const forwardTable: Readonly<Record<Backend, (extent: number) => ForwardConfiguration>> = {
  // FlashAttention-2's A100 shapes: 128 x 64 keeps the accumulators of 4 warps in registers up to D = 128.
  cuda: (extent) => (extent <= 128 ? { BLOCK_M: 128, BLOCK_N: 64 } : { BLOCK_M: 64, BLOCK_N: 32 }),
  // One query a thread with its whole accumulator: fewer keys a step keep registers and pipeline creation in bounds.
  webgpu: (extent) => (extent <= 64 ? { BLOCK_M: 64, BLOCK_N: 32 } : { BLOCK_M: 64, BLOCK_N: 16 }),
  wasm: () => ({ BLOCK_M: 64, BLOCK_N: 64 }),
  // The interpreter pays for each operation, not for each element: large tiles.
  cpu: () => ({ BLOCK_M: 128, BLOCK_N: 128 }),
};

/** Block sizes for `queries` rows; never more rows than the next power of two, since a decoding step has one. */
export function forwardConfiguration(
  backend: Backend,
  headDim: number,
  valueDim: number,
  queries: number,
): ForwardConfiguration {
  const { BLOCK_M, BLOCK_N } = forwardTable[backend](Math.max(tileExtent(headDim), tileExtent(valueDim)));
  return { BLOCK_M: Math.min(BLOCK_M, Math.max(smallestExtent, nextPowerOfTwo(queries))), BLOCK_N };
}

/** By backend, then by the largest tile extent of the head dims. */
const backwardTable: Readonly<Record<Backend, (extent: number) => BackwardConfiguration>> = {
  // Two or three accumulators of the kept side beside two score tiles: 8 warps share them from D = 128 on.
  cuda: (extent) =>
    extent <= 64
      ? { BLOCK_M: 64, BLOCK_N: 64, NUM_WARPS: 4 }
      : extent <= 128
        ? { BLOCK_M: 64, BLOCK_N: 64, NUM_WARPS: 8 }
        : { BLOCK_M: 32, BLOCK_N: 32, NUM_WARPS: 8 },
  webgpu: (extent) => (extent <= 64 ? { BLOCK_M: 32, BLOCK_N: 32 } : { BLOCK_M: 16, BLOCK_N: 16 }),
  wasm: () => ({ BLOCK_M: 32, BLOCK_N: 32 }),
  cpu: () => ({ BLOCK_M: 64, BLOCK_N: 64 }),
};

/** Block sizes of the backward kernels and of the column sums. */
export const backwardConfiguration = (backend: Backend, headDim: number, valueDim: number): BackwardConfiguration =>
  backwardTable[backend](Math.max(tileExtent(headDim), tileExtent(valueDim)));

/** The tile extent that holds `size` channels. */
export const tileExtent = (size: number): number => Math.max(smallestExtent, nextPowerOfTwo(size));

/** The constants of a head: extents, and whether they are wider than the tensors. */
export const headConstants = (headDim: number, valueDim: number) => ({
  HEAD_DIM: tileExtent(headDim),
  VALUE_DIM: tileExtent(valueDim),
  PAD_HEAD: tileExtent(headDim) !== headDim,
  PAD_VALUE: tileExtent(valueDim) !== valueDim,
});
