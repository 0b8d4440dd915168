/**
 * @file Tiles in shared memory: layouts from an offset (in elements) to the tile's coordinates, the classic XOR swizzle among them, and
 * what an access from registers costs there. An XOR swizzle is linear, so addresses are XORs of constants: no padding, no arithmetic.
 *
 * The cost model is NVIDIA's: 32 banks of 4 bytes; a warp's access of up to 4 bytes a lane is one pass, of 8 bytes two passes of 16
 * lanes, of 16 bytes four passes of 8 lanes; a pass takes as many wavefronts as the most different words that it wants of one bank.
 */
import { rowMajorOrder } from "./blocked.ts";
import { LANE, layoutError, log2Exact, OFFSET, shiftOf, tileDims } from "./dims.ts";
import { rankOf } from "./gf2.ts";
import { LinearLayout } from "./linear-layout.ts";
import { type AccessFacts, registerParts, threadBases, vectorWidth } from "./queries.ts";

/** Bytes that the banks serve in one wavefront. */
export const BANK_CYCLE_BYTES = 128;

export interface SwizzleOptions {
  shape: readonly number[];
  /** The axes, fastest first; row-major by default. A row runs along `order[0]`, rows are counted along `order[1]`. */
  order?: readonly number[];
  /** Elements that stay together: one vector access. 1 by default. */
  vec?: number;
  /** Consecutive rows that are swizzled alike, and count as one long row for it. 1 by default. */
  perPhase?: number;
  /** Number of different swizzles: long row `r` exchanges vectors `v` and `v ^ (r % maxPhase)`. 1 (no swizzle) by default. */
  maxPhase?: number;
  /** Whether the phase is the XOR of all digits of `r` to the base `maxPhase`, so that rows far apart differ too. False by default. */
  folded?: boolean;
}

/**
 * A tile in memory, row after row, with the vectors of `perPhase` rows permuted by XOR with the rows' phase: within each row, unless
 * there are more phases than a row has vectors. A bijection `offset` → tile.
 */
export function swizzledShared(options: SwizzleOptions): LinearLayout {
  const { shape, vec = 1, perPhase = 1, maxPhase = 1, folded = false } = options;
  const order = options.order ?? rowMajorOrder(shape.length);
  const outs = tileDims(shape);
  const rowLength = order.length > 0 ? shape[order[0]] : 1;
  const phaseBits = log2Exact(maxPhase, "maxPhase");
  if (vec * maxPhase > rowLength * perPhase)
    throw layoutError(
      "LAYOUT_SWIZZLE",
      `${maxPhase} phases of ${vec} elements do not fit ${perPhase} rows of ${rowLength}: lower maxPhase`,
    );
  const first = log2Exact(perPhase, "perPhase");
  const vecBits = log2Exact(vec, "vec");
  const columns = order.flatMap((axis, rank) => {
    const unit = 1 << shiftOf(outs, axis);
    const rowUnit = 1 << shiftOf(outs, order[0]);
    const rowBits = outs[order[0]].bits;
    return Array.from({ length: outs[axis].bits }, (_, bit) => {
      const digit = bit - first;
      if (rank !== 1 || digit < 0 || maxPhase === 1 || (digit >= phaseBits && !folded)) return unit << bit;
      const exchanged = vecBits + (digit % phaseBits);
      return (unit << bit) ^ (exchanged < rowBits ? rowUnit << exchanged : unit << (exchanged - rowBits));
    });
  });
  return new LinearLayout([{ name: OFFSET, bits: columns.length }], outs, columns);
}

/**
 * The swizzle with which any 8 consecutive rows, 16 bytes of each, lie in different banks, and so do 128 bytes of any one row: for ldmatrix
 * (transposed or not) and for 16-byte stores of whole rows.
 */
export function matrixSwizzle(
  shape: readonly number[],
  elementBytes: number,
  order: readonly number[] = rowMajorOrder(shape.length),
): LinearLayout {
  const rowLength = order.length > 0 ? shape[order[0]] : 1;
  const vec = Math.min(16 / elementBytes, rowLength);
  const perPhase = Math.max(1, BANK_CYCLE_BYTES / (rowLength * elementBytes));
  const maxPhase = Math.max(1, Math.min(8 / perPhase, rowLength / vec));
  return swizzledShared({ shape, order, vec, perPhase, maxPhase });
}

/** Where each place of `layout` finds its element in memory: (warp, lane, register) → `offset`, in elements. */
export function sharedOffsets(layout: LinearLayout, shared: LinearLayout): LinearLayout {
  return layout.invertAndCompose(shared);
}

/** The most elements that one access between `layout` and `shared` can move. */
export function sharedVectorWidth(
  layout: LinearLayout,
  shared: LinearLayout,
  facts: Pick<AccessFacts, "elementBytes" | "maxBytes">,
): number {
  return vectorWidth(sharedOffsets(layout, shared), OFFSET, facts);
}

/**
 * The constant part of each register's offset, split for address arithmetic: the thread's offset is `threadOffset ^ xor`, and `add` can be
 * an immediate of the instruction, because no thread's offset has those bits. Few different `xor` are few address registers.
 */
export function registerOffsets(offsets: LinearLayout): { xor: number; add: number }[] {
  const moving = threadBases(offsets).reduce((bits, { basis }) => bits | basis, 0);
  return registerParts(offsets).map((part) => ({ xor: part & moving, add: part & ~moving }));
}

export interface BankConflicts {
  /** What one access of a warp takes. */
  readonly wavefronts: number;
  /** What it would take without conflicts: the number of passes. */
  readonly ideal: number;
  /** The difference: 0 is free of conflicts. */
  readonly conflicts: number;
}

/** The wavefronts of each warp's access of `width` elements a lane between `layout` and `shared`. By linearity all are alike. */
export function bankConflicts(
  layout: LinearLayout,
  shared: LinearLayout,
  access: { elementBytes: number; width: number },
): BankConflicts {
  return conflictsOfOffsets(sharedOffsets(layout, shared).basesOf(LANE), access.elementBytes, access.width);
}

/** The same from the offsets (in elements) of the bits of the lane. */
export function conflictsOfOffsets(laneOffsets: readonly number[], elementBytes: number, width: number): BankConflicts {
  const bytes = elementBytes * width;
  const passBits = Math.min(laneOffsets.length, lanesOfPass(bytes));
  const ideal = 1 << (laneOffsets.length - passBits);
  const words = laneOffsets.slice(0, passBits).map((offset) => Math.floor((offset * elementBytes) / 4));
  // A linear image meets every bank that it meets equally often. The words inside a lane's vector lie in banks of their own.
  const bank = BANK_CYCLE_BYTES / 4 - 1;
  const perBank = 1 << (rankOf(words) - rankOf(words.map((word) => word & bank)));
  return { wavefronts: ideal * perBank, ideal, conflicts: ideal * (perBank - 1) };
}

/** log2 of the lanes that are served together when each moves `bytes`. */
export function lanesOfPass(bytes: number): number {
  return bytes <= 4 ? 5 : bytes === 8 ? 4 : 3;
}
