/**
 * @file Into how many parts the keys are split where the caller does not say, and the blocks of a split, in tables with the reason for
 * each entry.
 */
import { elementBytes } from "../../ir/index.ts";
import type { Backend } from "../../runtime/index.ts";
import { ceilDiv, nextPowerOfTwo } from "../../support/index.ts";
import { fusesShift, type HeadProblem, ofRegisters, type Traits, traitsOf } from "./configuration.ts";

/** How many blocks run at once. Devices do not tell, so a typical one stands for each backend. */
export const processors: Readonly<Record<Backend, number>> = {
  // An A100's multiprocessors.
  cuda: 108,
  // Integrated and mid-range GPUs have 8 to 40 compute units. More splits than units cost little; fewer leave units idle.
  webgpu: 24,
  // One task a worker: the threads of a common processor.
  wasm: 8,
  // The interpreter runs one program after another: splitting never pays.
  cpu: 1,
};

/** Queries and keys of the blocks that splits are counted in (FlagAttention's). */
const countedQueries = 16;
const countedKeys = 128;
const mostSplits = 128;

/**
 * FlagAttention's heuristic: the smallest number of splits that keeps the processors at least 85 % as busy as the best number would, where
 * all blocks of a wave take equally long.
 */
export function defaultSplits(programs: number, keys: number, available: number): number {
  if (programs >= 0.8 * available) return 1;
  const blocks = ceilDiv(keys, countedKeys);
  const most = Math.min(available, blocks, mostSplits);
  const candidates: { readonly splits: number; readonly efficiency: number }[] = [];
  for (let splits = 1; splits <= most; splits++) {
    const size = ceilDiv(blocks, splits);
    // Otherwise the last split would be empty.
    if (splits > 1 && size * splits - blocks >= size) continue;
    const waves = (programs * splits) / available;
    candidates.push({ splits, efficiency: waves / Math.ceil(waves) });
  }
  const best = Math.max(...candidates.map(({ efficiency }) => efficiency));
  return candidates.find(({ efficiency }) => efficiency >= 0.85 * best)?.splits ?? 1;
}

/**
 * FlagAttention's rule for paged caches: one partition where there are sequences enough, unless they are long; else partitions of at least
 * 256 keys, and none for short sequences or large pages.
 */
export function defaultPagedSplits(
  { sequences, keyHeads, pageSize }: { sequences: number; keyHeads: number; pageSize: number },
  keys: number,
  available: number,
): number {
  if (available === 1) return 1;
  const partitions = Math.max(1, ceilDiv(keys, Math.max(256, pageSize)));
  if (sequences * keyHeads > 2 * available) return keys >= 4096 ? partitions : 1;
  return keys <= 1024 || pageSize >= 256 ? 1 : partitions;
}

/** The number of programs that `rows` queries of `heads` heads make, as splits are counted. */
export const countedPrograms = (batch: number, heads: number, rows: number): number =>
  batch * heads * ceilDiv(rows, countedQueries);

/** Whether each of so many queries' tiles is filled by one head, in which case one program may walk all keys of a block (forward.ts). */
export const fillsTiles = (queries: number): boolean => queries > countedQueries;

/** Query heads share a tile (pack-heads.ts) where a head alone would leave at least half of the smallest tile empty. */
export const packsHeads = (queries: number, group: number): boolean => group > 1 && queries <= countedQueries / 2;

interface SplitBlocks {
  /** The most queries of a tile. */
  readonly most: number;
  readonly BLOCK_N: number;
  /** From so many queries on a tile has 8 warps, which cost more instructions, where 4 do not have the registers. Default: never. */
  readonly eightWarps?: number;
}

const splitBlocks = (most: number, BLOCK_N: number, eightWarps?: number): SplitBlocks => ({
  most,
  BLOCK_N,
  ...(eightWarps !== undefined && { eightWarps }),
});

interface SplitTraits extends Traits {
  /** Bytes of a row of that extent. */
  readonly rowBytes: number;
  /** Whether keys are in one part, so that the forward kernel runs, which keeps a few numbers more for its results. */
  readonly whole: boolean;
}

const splitTable: Readonly<Record<Backend, (traits: SplitTraits) => SplitBlocks>> = {
  // 16 KiB of keys and as much of values keep enough reads in flight, and leave room for two turns of two blocks in shared memory. Second
  // terms, and cosines and sines where keys are turned, take registers: larger tiles than these spill on sm_80.
  cuda({ rowBytes, half, terms, changed, turned, laden, wide, whole }) {
    const full = turned && terms > 1;
    // With 8 warps always.
    if (wide) return splitBlocks(32, full ? 16 : 32, countedQueries);
    if (rowBytes > 256) return splitBlocks(16, rowBytes <= 512 && !turned ? 32 : 16, full ? 16 : undefined);
    if (full && laden && rowBytes > 128) return splitBlocks(32, 16, 32);
    const BLOCK_N = turned ? 32 : rowBytes <= 128 && terms === 1 && (half || !changed) ? 128 : 64;
    return rowBytes <= 128 || terms === 1
      ? splitBlocks(64, BLOCK_N, changed && terms === 1 && !turned && rowBytes <= 128 ? 64 : undefined)
      : splitBlocks(32, BLOCK_N, full ? (whole ? 16 : 32) : undefined);
  },
  webgpu: ({ extent, wide }) => (wide ? splitBlocks(16, 16) : splitBlocks(64, extent <= 64 ? 32 : 16)),
  wasm: () => splitBlocks(64, 64),
  // The interpreter pays for each operation, not for each element; a split is whole tiles, so not too large.
  cpu: () => splitBlocks(64, 32),
};

/** Blocks of a split of `rows` queries; `whole`: of the only one. */
export function splitConfiguration(problem: HeadProblem, rows: number, whole = false) {
  const traits = traitsOf(problem);
  const rowBytes = traits.extent * elementBytes[problem.dtype];
  const { most, BLOCK_N, eightWarps = Infinity } = splitTable[problem.backend]({ ...traits, rowBytes, whole });
  const BLOCK_M = Math.min(most, Math.max(countedQueries, nextPowerOfTwo(rows)));
  const shared = { FUSED_SHIFT: fusesShift(problem), ...ofRegisters(problem) };
  return { BLOCK_M, BLOCK_N, ...(BLOCK_M >= eightWarps && { NUM_WARPS: 8 }), ...shared };
}

/** Where pages are no powers of two, tiles lie within pages if they can have at least so many keys; else each row looks its page up. */
const smallestPageTile = 32;

/** Keys of a tile, for pages of this size, where it has BLOCK_N otherwise. */
export function pagedKeyBlock(BLOCK_N: number, pageSize: number): number {
  const divisor = pageSize & -pageSize;
  // A page that is a power of two holds whole tiles, or a tile holds whole pages.
  const whole = divisor === pageSize || divisor < Math.min(smallestPageTile, BLOCK_N);
  return whole ? BLOCK_N : Math.min(divisor, BLOCK_N);
}

interface PagedShape {
  readonly queryShape: readonly [batch: number, heads: number, queries: number, dim: number];
  readonly keyHeads: number;
  readonly pageSize: number;
  /** The longest context. */
  readonly keys: number;
  readonly packed: boolean;
}

/** The default of `splits` for paged caches: FlagAttention's rule for one query a sequence, its general heuristic for chunks. */
export function pagedSplits(backend: Backend, { queryShape, keyHeads, pageSize, keys, packed }: PagedShape): number {
  const [sequences, heads, queries] = queryShape;
  if (queries === 1) return defaultPagedSplits({ sequences, keyHeads, pageSize }, keys, processors[backend]);
  const [rowHeads, rows] = packed ? [keyHeads, (queries * heads) / keyHeads] : [heads, queries];
  return defaultSplits(countedPrograms(sequences, rowHeads, rows), keys, processors[backend]);
}
