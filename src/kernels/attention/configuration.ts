/**
 * @file Block sizes of the attention kernels, in one table with the reason for each entry.
 */
import type { DType } from "../../ir/index.ts";
import type { Backend } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { termsOf, type Variant } from "./variant.ts";

/** Tile extents below 16 would leave the tensor cores' fragments (m16n8k16) half empty. */
const smallestExtent = 16;

export interface BlockConfiguration {
  readonly BLOCK_M: number;
  readonly BLOCK_N: number;
  readonly NUM_WARPS?: number;
  readonly RESIDENT_WORDS?: number;
}

/** What the block sizes of a kernel depend on. */
export interface HeadProblem {
  readonly backend: Backend;
  readonly dtype: DType;
  readonly headDim: number;
  readonly valueDim: number;
  /** Number of the variant's terms. Default 1. */
  readonly terms?: number;
  /** Whether nothing but edges changes the logits and weights: other variants keep more in registers. Default false. */
  readonly plain?: boolean;
  /** Whether queries and keys are turned while they are loaded (rotated.ts). Default false. */
  readonly turned?: boolean;
  /** How many of these there are: a function of the logits, dropout. Default 0. */
  readonly changes?: number;
  /** Whether dropout counts in 64 bits. Default false. */
  readonly wideDropout?: boolean;
}

/** What a kernel's blocks depend on of its variant. */
export const traitsOfVariant = (variant: Variant): Required<Pick<HeadProblem, "terms" | "turned" | "changes">> => ({
  terms: termsOf(variant).length,
  turned: variant.tensors !== undefined,
  changes: [variant.logits, variant.dropout].filter(Boolean).length,
});

export interface Traits {
  /** The largest tile extent of the head dims. */
  readonly extent: number;
  readonly terms: number;
  /** Whether operands are of 16 bits: tensor cores multiply them, f32 is multiplied by the threads. */
  readonly half: boolean;
  /** Plain, with head dims that fill the tiles. */
  readonly lean: boolean;
  /** Whether tiles have more channels than a head. */
  readonly padded: boolean;
  /** Whether a function changes the logits, or dropout the weights. */
  readonly changed: boolean;
  readonly turned: boolean;
  /** Turned operands, a function of the logits, dropout: two of them or more, whose values and addresses take registers from the tiles. */
  readonly laden: boolean;
  /** Dropout that counts in 64 bits: ten words for each weight are kept from round to round. */
  readonly wide: boolean;
}

type Table = Readonly<Record<Backend, (traits: Traits) => BlockConfiguration>>;

const blocks = (BLOCK_M: number, BLOCK_N: number, NUM_WARPS?: number): BlockConfiguration =>
  NUM_WARPS === undefined ? { BLOCK_M, BLOCK_N } : { BLOCK_M, BLOCK_N, NUM_WARPS };

// On CUDA: what ptxas takes for sm_80 without a spill (test/ptx/spills.test.ts). Of that, warps with many rows (128 rows by 4 warps: each
// fragment of k and v that is loaded feeds 2 products of 16 rows), which only lean kernels have registers for; else 8 warps.
const forwardTable: Table = {
  cuda({ extent, terms, half, lean, turned, laden, wide }) {
    const full = turned && terms === 2;
    if (wide) return blocks(32, full && extent > 128 ? 16 : 32, 8);
    if (!half)
      return extent <= 64
        ? blocks(64, full ? 32 : 64, 8)
        : extent <= 128
          ? blocks(64, 32, 8)
          : blocks(32, 32 / terms, 8);
    if (extent <= 64) return blocks(128, 64, lean && terms === 1 ? 4 : 8);
    if (extent > 128) return blocks(full ? 32 : 64, 32 / terms, 8);
    if (terms === 1) return blocks(128, turned && laden ? 32 : 64, lean ? 4 : 8);
    return lean ? blocks(64, 64, 4) : blocks(128, 32, 8);
  },
  // One query a thread with its whole accumulator: fewer keys a step keep registers and pipeline creation in bounds.
  webgpu: ({ extent, wide }) => (wide ? blocks(16, 16) : extent <= 64 ? blocks(64, 32) : blocks(64, 16)),
  wasm: () => blocks(64, 64),
  // The interpreter pays for each operation, not for each element: large tiles.
  cpu: () => blocks(128, 128),
};

/** The kernel of dq: a gradient for each term beside the tiles of scores, weights' gradients and dout. */
const queriesTable: Table = {
  cuda({ extent, terms, half, lean, padded, turned, laden, wide }) {
    if (wide) {
      if (turned && terms === 2) return blocks(16, 16, 8);
      return blocks(!half && extent > 128 && terms === 2 ? 16 : 32, 32, 8);
    }
    const crowded = turned && laden && terms === 2;
    if (!half) {
      if (extent <= 64) return turned && laden ? blocks(32, 32, 8) : blocks(64, 64 / terms, 8);
      return extent <= 128 ? blocks(crowded ? 16 : 32, 32, 8) : blocks(terms === 1 ? 32 : 16, 16, 8);
    }
    // Two gradients of 256 channels and turned operands take the smallest tiles.
    if (extent > 128) return turned && terms === 2 ? blocks(16, 16, 8) : blocks(32, 32, 8);
    if (terms === 1) return blocks(lean ? 128 : 64, turned && laden ? 32 : 64, 8);
    // Rows rather than keys: a row's q and dout stay, and the keys' tiles pass by all of them.
    if (extent <= 64) return blocks(64, laden || (turned && padded) ? 32 : 64, 8);
    if (turned) return blocks(laden ? 16 : 32, 32, 8);
    return lean ? blocks(64, 32, 8) : blocks(32, 64, 8);
  },
  // With 64-bit dropout, SwiftShader's compiler crashes on the kernels of two terms with larger tiles.
  webgpu: ({ extent, wide }) => (extent <= 64 && !wide ? blocks(32, 32) : blocks(16, 16)),
  wasm: () => blocks(32, 32),
  cpu: () => blocks(64, 64),
};

/** Of f32, which the threads multiply: tiles need not fill the tensor cores' fragments. */
const fewestKeys = blocks(16, 8, 8);

/** The kernel of dk and dv, one gradient more, and that of the column sums. */
const keysTable: Table = {
  cuda({ extent, terms, half, lean, changed, turned, laden, wide }) {
    if (wide) {
      const large = !half && extent > 128;
      if (terms === 1) return blocks(turned && large ? 16 : 32, 32, 8);
      // 32 keys of 16 bits spill at 128 channels, though not at 256.
      if (!turned) return blocks(16, extent === 128 || large ? 16 : 32, 8);
      return large ? blocks(8, 8, 8) : blocks(extent <= 128 ? 32 : 16, 16, 8);
    }
    if (!half) {
      const crowded = turned && laden;
      if (extent <= 64) return blocks(32, crowded ? 32 / terms : 64 / terms, 8);
      if (extent <= 128) return blocks(32 / terms, crowded ? 16 : 32, 8);
      return crowded && terms === 2 ? fewestKeys : blocks(16, 16, 8);
    }
    if (extent <= 64) {
      const few = turned && laden;
      return terms === 1 ? blocks(few ? 32 : 64, lean ? 128 : 64, 8) : blocks(32, few ? 32 : 64, 8);
    }
    if (extent > 128) {
      if (turned && terms === 2) return blocks(32, 16, 8);
      return blocks((turned ? laden : changed && terms === 2) ? 16 : 32, 32, 8);
    }
    if (terms === 1) return blocks(32, turned && laden ? 32 : 64, 8);
    return laden ? blocks(16, 16, 8) : blocks(turned ? 16 : 32, 32, 8);
  },
  webgpu: queriesTable.webgpu,
  wasm: queriesTable.wasm,
  cpu: queriesTable.cpu,
};

/**
 * Where operands that stay in registers leave too few for what else a turn needs, and smaller tiles would not help or cost more than reading them again:
 * for two turned terms of more than 64 channels. Measured with 96, 64, 32 and 0 (docs/cuda.md, "Spills").
 */
const residentWords = ({ extent, terms, turned, laden, padded }: Traits): number | undefined => {
  if (!turned || terms === 1 || extent <= 64) return undefined;
  return extent > 128 ? 0 : laden || padded ? 32 : undefined;
};

function blocksOf(table: Table, problem: HeadProblem): BlockConfiguration {
  return { ...table[problem.backend](traitsOf(problem)), ...ofRegisters(problem) };
}

/** Of a configuration, what does not depend on the kernel. */
export function ofRegisters(problem: HeadProblem): Pick<BlockConfiguration, "RESIDENT_WORDS"> {
  const words = problem.backend === "cuda" ? residentWords(traitsOf(problem)) : undefined;
  return words === undefined ? {} : { RESIDENT_WORDS: words };
}

export function traitsOf(problem: HeadProblem): Traits {
  const { dtype, headDim, valueDim, terms = 1, plain = false, turned = false, changes = 0 } = problem;
  const [head, value] = [tileExtent(headDim), tileExtent(valueDim)];
  const padded = head !== headDim || value !== valueDim;
  return {
    extent: Math.max(head, value),
    terms,
    half: dtype !== "f32",
    lean: plain && !padded,
    padded,
    changed: changes > 0,
    turned,
    laden: changes + Number(turned) >= 2,
    wide: problem.wideDropout ?? false,
  };
}

/** What the forward kernel is made with. */
export interface ForwardConfiguration extends BlockConfiguration {
  readonly LAZY_RESCALE: boolean;
  readonly FUSED_SHIFT: boolean;
}

/** Whether logits come from tensor cores, beside which an operation for each logit counts. */
export const fusesShift = ({ backend, dtype }: HeadProblem): boolean => backend === "cuda" && dtype !== "f32";

/** Block sizes for `queries` rows; never more rows than the next power of two, since a decoding step has one. */
export function forwardConfiguration(problem: HeadProblem, queries: number): ForwardConfiguration {
  const traits = traitsOf(problem);
  const { BLOCK_M, BLOCK_N, NUM_WARPS } = forwardTable[problem.backend](traits);
  const rows = Math.min(BLOCK_M, Math.max(smallestExtent, nextPowerOfTwo(queries)));
  // Beside tensor cores every instruction counts; elsewhere deciding costs as much as it saves.
  const FUSED_SHIFT = fusesShift(problem);
  const shared = { BLOCK_N, LAZY_RESCALE: FUSED_SHIFT, FUSED_SHIFT, ...ofRegisters(problem) };
  if (NUM_WARPS === undefined) return { BLOCK_M: rows, ...shared };
  // Fewer would not have the registers for the keys' addresses, and for turning them.
  const fewest = traits.turned ? NUM_WARPS : 4;
  return { BLOCK_M: rows, ...shared, NUM_WARPS: Math.max(fewest, (NUM_WARPS * rows) / BLOCK_M) };
}

/** Block sizes of the kernel of dq. */
export const backwardQueriesConfiguration = (problem: HeadProblem) => blocksOf(queriesTable, problem);

/**
 * Block sizes of the kernel that corrects delta. Few rows, since a block with one row that sees few keys is computed whole; few keys, since each of its
 * tiles has the products of all terms.
 */
export function backwardDeltaConfiguration(problem: HeadProblem): BlockConfiguration {
  const { BLOCK_M, BLOCK_N, ...others } = backwardQueriesConfiguration(problem);
  const keys = Math.max(smallestExtent, BLOCK_N / (problem.terms ?? 1));
  return { ...others, BLOCK_M: Math.min(BLOCK_M, 32), BLOCK_N: keys };
}

/** Block sizes of the kernel of dk and dv, and of the column sums. */
export const backwardKeysConfiguration = (problem: HeadProblem) => blocksOf(keysTable, problem);

/** The tile extent that holds `size` channels. */
export const tileExtent = (size: number): number => Math.max(smallestExtent, nextPowerOfTwo(size));

/** The constants of a head: extents, and whether they are wider than the tensors. */
export const headConstants = (headDim: number, valueDim: number) => ({
  HEAD_DIM: tileExtent(headDim),
  VALUE_DIM: tileExtent(valueDim),
  PAD_HEAD: tileExtent(headDim) !== headDim,
  PAD_VALUE: tileExtent(valueDim) !== valueDim,
});
