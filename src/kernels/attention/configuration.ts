/**
 * @file Block sizes of the attention kernels, in one table with the reason for each entry.
 */
import type { Backend } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";

/** Tile extents below 16 would leave the tensor cores' fragments (m16n8k16) half empty. */
const smallestExtent = 16;

export interface BlockConfiguration {
  readonly BLOCK_M: number;
  readonly BLOCK_N: number;
  readonly NUM_WARPS?: number;
}

/** By backend, then by the largest tile extent of the head dims and by the number of the variant's terms. */
type Table = Readonly<Record<Backend, (extent: number, terms: number) => BlockConfiguration>>;

const blocks = (BLOCK_M: number, BLOCK_N: number, NUM_WARPS?: number): BlockConfiguration =>
  NUM_WARPS === undefined ? { BLOCK_M, BLOCK_N } : { BLOCK_M, BLOCK_N, NUM_WARPS };

// On CUDA: the largest tiles that ptxas takes for sm_80 without a spill, with f16 operands; 8 warps share the accumulators.
const forwardTable: Table = {
  cuda: (extent, terms) =>
    extent <= 64
      ? blocks(128, 64, 8)
      : extent <= 128
        ? blocks(128, terms === 1 ? 64 : 32, 8)
        : blocks(64, 32 / terms, 8),
  // One query a thread with its whole accumulator: fewer keys a step keep registers and pipeline creation in bounds.
  webgpu: (extent) => (extent <= 64 ? blocks(64, 32) : blocks(64, 16)),
  wasm: () => blocks(64, 64),
  // The interpreter pays for each operation, not for each element: large tiles.
  cpu: () => blocks(128, 128),
};

/** The kernel of dq: a gradient for each term beside the tiles of scores, weights' gradients and dout. */
const queriesTable: Table = {
  cuda: (extent, terms) =>
    extent <= 64 ? blocks(64, 64, 4 * terms) : extent <= 128 ? blocks(64 / terms, 64, 8) : blocks(32, 32, 8),
  webgpu: (extent) => (extent <= 64 ? blocks(32, 32) : blocks(16, 16)),
  wasm: () => blocks(32, 32),
  cpu: () => blocks(64, 64),
};

/** The kernel of dk and dv, one gradient more, and that of the column sums. */
const keysTable: Table = {
  cuda: (extent, terms) =>
    extent <= 64 ? blocks(64 / terms, 64, 8) : extent <= 128 && terms === 1 ? blocks(32, 64, 8) : blocks(32, 32, 8),
  webgpu: queriesTable.webgpu,
  wasm: queriesTable.wasm,
  cpu: queriesTable.cpu,
};

const largestExtent = (headDim: number, valueDim: number): number =>
  Math.max(tileExtent(headDim), tileExtent(valueDim));

/** Block sizes for `queries` rows; never more rows than the next power of two, since a decoding step has one. */
export function forwardConfiguration(
  backend: Backend,
  headDim: number,
  valueDim: number,
  queries: number,
  terms = 1,
): BlockConfiguration {
  const { BLOCK_M, BLOCK_N, NUM_WARPS } = forwardTable[backend](largestExtent(headDim, valueDim), terms);
  const rows = Math.min(BLOCK_M, Math.max(smallestExtent, nextPowerOfTwo(queries)));
  return blocks(rows, BLOCK_N, NUM_WARPS === undefined ? undefined : Math.max(1, (NUM_WARPS * rows) / BLOCK_M));
}

/** Block sizes of the kernel of dq. */
export const backwardQueriesConfiguration = (backend: Backend, headDim: number, valueDim: number, terms = 1) =>
  queriesTable[backend](largestExtent(headDim, valueDim), terms);

/** Block sizes of the kernel of dk and dv, and of the column sums. */
export const backwardKeysConfiguration = (backend: Backend, headDim: number, valueDim: number, terms = 1) =>
  keysTable[backend](largestExtent(headDim, valueDim), terms);

/** Block sizes that take the place of the above where dropout counts in 64 bits: ten words for each weight are kept from round to round. */
export const wideDropoutConfiguration = (backend: Backend): Partial<BlockConfiguration> => {
  if (backend === "cuda") return blocks(32, 32, 8);
  // SwiftShader's compiler crashes on the backward kernels of two terms with larger tiles.
  return backend === "webgpu" ? blocks(16, 16) : {};
};

/** The tile extent that holds `size` channels. */
export const tileExtent = (size: number): number => Math.max(smallestExtent, nextPowerOfTwo(size));

/** The constants of a head: extents, and whether they are wider than the tensors. */
export const headConstants = (headDim: number, valueDim: number) => ({
  HEAD_DIM: tileExtent(headDim),
  VALUE_DIM: tileExtent(valueDim),
  PAD_HEAD: tileExtent(headDim) !== headDim,
  PAD_VALUE: tileExtent(valueDim) !== valueDim,
});
