/**
 * @file The fragments of the tensor core instruction `mma.sync` as linear layouts, after the tables "Matrix Fragments for
 * mma.m16n8k16 with floating point type", "Matrix Fragments for mma.m16n8k8" and "... for mma.m16n8k32" of the PTX ISA, tiled over the operands of a
 * dot [M, K] x [K, N] → [M, N].
 *
 * Register `i` of a fragment is element a_i, b_i or c_i of those tables; with 16-bit elements, registers 2i and 2i+1 share the
 * 32-bit register i of the instruction, with 8-bit elements 4i to 4i+3. Beyond one instruction the registers run along K (operands) or N (accumulators)
 * first, so that an accumulator [M, N] is, register by register, the A operand [M, K = N] of the next dot. Each warp owns a
 * contiguous box; warps are numbered row-major over `warpsPerCta`.
 */
import { LANE, layoutError, log2Exact, REGISTER, tileDims, WARP } from "./dims.ts";
import { Span } from "./gf2.ts";
import { LinearLayout } from "./linear-layout.ts";

/** `m16n8k16` multiplies f16 or bf16, `m16n8k8` tf32; both accumulate in f32. `m16n8k32` multiplies i8 and accumulates in i32. */
export type MmaInstruction = "m16n8k32" | "m16n8k16" | "m16n8k8";

/** The two operands, and the accumulators (which are the result too). */
export type MmaRole = "a" | "b" | "accumulator";

/**
 * How the contraction index is laid over the K slots of the instruction. A sum does not care, as long as both operands agree:
 * `"standard"` is the table's own; `"accumulator"` gives a thread those K that it holds as columns of an accumulator, so that
 * one dot's result is the next one's A operand without leaving its thread. For m16n8k16 the two are the same.
 */
export type MmaContraction = "standard" | "accumulator";

interface Fragment {
  /** Rows and columns of the instruction's matrix. */
  readonly shape: readonly [number, number];
  readonly register: readonly (readonly [number, number])[];
  readonly lane: readonly (readonly [number, number])[];
}

/** Lanes of A and of accumulators: the thread in its group along the columns in steps of `step`, the group along the rows. */
// biome-ignore format: a table
const lanesByRow = (step: number): Fragment["lane"] => [[0, step], [0, 2 * step], [1, 0], [2, 0], [4, 0]];
/** Lanes of B: the same with rows and columns exchanged. */
// biome-ignore format: a table
const lanesByColumn = (step: number): Fragment["lane"] => [[step, 0], [2 * step, 0], [0, 1], [0, 2], [0, 4]];

// biome-ignore format: a table
const ACCUMULATOR: Fragment = { shape: [16, 8], register: [[0, 1], [8, 0]], lane: lanesByRow(2) };

// biome-ignore format: a table
const K16: Record<MmaRole, Fragment> = {
  a: { shape: [16, 16], register: [[0, 1], [8, 0], [0, 8]], lane: lanesByRow(2) },
  b: { shape: [16, 8], register: [[1, 0], [8, 0]], lane: lanesByColumn(2) },
  accumulator: ACCUMULATOR,
};

// biome-ignore format: a table
const K32: Record<MmaRole, Fragment> = {
  a: { shape: [16, 32], register: [[0, 1], [0, 2], [8, 0], [0, 16]], lane: lanesByRow(4) },
  b: { shape: [32, 8], register: [[1, 0], [2, 0], [16, 0]], lane: lanesByColumn(4) },
  accumulator: ACCUMULATOR,
};

// biome-ignore format: a table
const FRAGMENTS: Record<MmaInstruction, Record<MmaContraction, Record<MmaRole, Fragment>>> = {
  m16n8k32: { standard: K32, accumulator: K32 },
  m16n8k16: { standard: K16, accumulator: K16 },
  m16n8k8: {
    standard: {
      a: { shape: [16, 8], register: [[8, 0], [0, 4]], lane: lanesByRow(1) },
      b: { shape: [8, 8], register: [[4, 0]], lane: lanesByColumn(1) },
      accumulator: ACCUMULATOR,
    },
    accumulator: {
      a: { shape: [16, 8], register: [[8, 0], [0, 1]], lane: lanesByRow(2) },
      b: { shape: [8, 8], register: [[1, 0]], lane: lanesByColumn(2) },
      accumulator: ACCUMULATOR,
    },
  },
};

export interface MmaOptions {
  instruction: MmaInstruction;
  role: MmaRole;
  /** [M, K] for a, [K, N] for b, [M, N] for the accumulator. */
  shape: readonly [number, number];
  /** Warps along M and N. */
  warpsPerCta: readonly [number, number];
  contraction?: MmaContraction;
  /**
   * Whether two instructions share 16 columns, one the even and one the odd ones, so that a thread holds columns of B in pairs (byte-pairs.ts). Of B
   * and accumulators with at least 16 columns a warp; default false.
   */
  paired?: boolean;
}

/** Of 16 columns, the place in the tile of those that two instructions take one after the other. */
const pairedColumn = (column: number): number => (column & ~15) | ((column & 7) << 1) | ((column >> 3) & 1);

/**
 * The layout (warp, lane, register) → tile of one matrix of a dot. M and N may be smaller than the instruction: the surplus lanes
 * hold copies of other rows or columns and compute copies of their results. K may not: copies would be summed twice.
 */
export function mmaLayout(options: MmaOptions): LinearLayout {
  const { role, shape, warpsPerCta } = options;
  const fragment = fragmentOf(options);
  const contracted = role === "a" ? 1 : role === "b" ? 0 : undefined;
  if (contracted !== undefined && shape[contracted] < fragment.shape[contracted])
    throw layoutError(
      "LAYOUT_MMA_TOO_SMALL",
      `${options.instruction} sums over ${fragment.shape[contracted]} values at a time, K is ${shape[contracted]}: pad the tile`,
    );
  const outs = tileDims(shape);
  const paired = isPaired(options);
  const columnAt = (column: number): number => (paired ? pairedColumn(column) : column);
  const pack = ([row, column]: readonly [number, number]): number =>
    row >= shape[0] || column >= shape[1] ? 0 : row * shape[1] + columnAt(column);

  // The box of one warp along each axis; an axis that is contracted is not divided.
  const warps = [0, 1].map((axis) => (axis === contracted ? 1 : warpsPerCta[axis]));
  const box = [0, 1].map((axis) => Math.max(fragment.shape[axis], shape[axis] / warps[axis]));

  const register = fragment.register.map(pack).filter((basis) => basis !== 0);
  const first = contracted ?? 1;
  for (const axis of [first, 1 - first])
    for (let at = fragment.shape[axis]; at < Math.min(box[axis], shape[axis]); at *= 2)
      register.push(axis === 0 ? at * shape[1] : columnAt(at));

  const warp: number[] = [];
  for (const axis of [1, 0])
    for (let bit = 0; bit < log2Exact(warpsPerCta[axis], `warpsPerCta[${axis}]`); bit++)
      warp.push(axis === contracted ? 0 : pack(axis === 0 ? [box[0] << bit, 0] : [0, box[1] << bit]));

  const lane = fragment.lane.map(pack);
  const ins = [
    { name: WARP, bits: warp.length },
    { name: LANE, bits: lane.length },
    { name: REGISTER, bits: register.length },
  ];
  return new LinearLayout(ins, outs, [...register, ...lane, ...warp]);
}

/** Rows and columns of the matrix that one instruction takes (or makes). */
export function mmaFragmentShape(instruction: MmaInstruction, role: MmaRole): readonly [number, number] {
  return FRAGMENTS[instruction].standard[role].shape;
}

/** The extent along each axis that one warp holds of a tile in `layout`. */
export function warpExtents(layout: LinearLayout): number[] {
  const own = new Span([...layout.basesOf(REGISTER), ...layout.basesOf(LANE)]);
  return layout.outs.map(({ name }) => {
    const mask = layout.maskOfOut(name);
    let extent = 1;
    for (let bit = mask & -mask; (bit & mask) !== 0 && bit !== 0; bit <<= 1) if (own.contains(bit)) extent *= 2;
    return extent;
  });
}

/**
 * The registers of a tile in `layout` that one instruction takes, in the order of the PTX ISA tables: those of the fragment whose
 * first element lies at `origin` within the warp's own box (a multiple of the fragment's shape).
 */
export function mmaFragmentRegisters(
  layout: LinearLayout,
  options: Pick<MmaOptions, "instruction" | "role" | "contraction" | "paired">,
  origin: readonly [number, number],
): number[] {
  const fragment = fragmentOf(options);
  const [rows, columns] = layout.shape;
  const registers = layout.spanOf(REGISTER);
  return Array.from({ length: 1 << fragment.register.length }, (_, i) => {
    let [row, column] = origin;
    fragment.register.forEach((basis, bit) => {
      if ((i >> bit) & 1) {
        row ^= basis[0] < rows ? basis[0] : 0;
        column ^= basis[1] < columns ? basis[1] : 0;
      }
    });
    const at = isPaired(options) ? pairedColumn(column) : column;
    const register = row < rows && column < columns ? registers.solve(row * columns + at) : undefined;
    if (register === undefined)
      throw layoutError(
        "LAYOUT_NOT_AN_MMA_FRAGMENT",
        `no register holds (${row}, ${column}) for ${options.instruction} operand ${options.role} of\n${layout}`,
      );
    return register;
  });
}

const isPaired = ({ role, paired = false }: Pick<MmaOptions, "role" | "paired">): boolean => paired && role !== "a";

function fragmentOf(options: Pick<MmaOptions, "instruction" | "role" | "contraction">): Fragment {
  return FRAGMENTS[options.instruction][options.contraction ?? "standard"][options.role];
}
