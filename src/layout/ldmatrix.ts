/**
 * @file `ldmatrix`: a warp loads 8x8 matrices of 16-bit elements from shared memory. Lane `l` names the 16-byte row `l % 8` of matrix `l / 8`;
 * then lane `l` holds, of each matrix, the 4 bytes at column pair `l % 4` of row `l / 4`, or with `.trans` the elements of rows
 * 2(l % 4) and 2(l % 4) + 1 in column `l / 4` (PTX ISA, "Warp-level matrix load instruction: ldmatrix"). Elements of 4 bytes or of
 * one may be loaded too, as parts of such rows, but not transposed. Whether it applies to a register layout is a property of the
 * map from registers to offsets.
 */
import { LANE, OFFSET, REGISTER, WARP } from "./dims.ts";
import { applyColumns, imagesOf } from "./gf2.ts";
import { LinearLayout } from "./linear-layout.ts";
import { type BankConflicts, conflictsOfOffsets, sharedOffsets } from "./shared.ts";

export interface LdmatrixPlan {
  /** Matrices an instruction: `.x1`, `.x2` or `.x4`. */
  readonly count: 1 | 2 | 4;
  readonly transposed: boolean;
  /** (warp, lane) → `offset`, in elements, of the row that the lane names. For x1 and x2, lanes beyond the rows repeat them. */
  readonly address: LinearLayout;
  /** The instructions, each with the constant that is XORed to the address. */
  readonly issues: readonly LdmatrixIssue[];
}

export interface LdmatrixIssue {
  /** In elements. */
  readonly offset: number;
  /** For each matrix (each 32-bit result) the registers of the layout that it holds, lowest bits first. */
  readonly registers: readonly (readonly number[])[];
}

/**
 * How ldmatrix can fill registers in `layout` from a tile in `shared`, or undefined where it cannot. Uses x4 when there are enough registers.
 * `elementBytes` is 1, 2 or 4; `transposed` needs 2.
 */
export function planLdmatrix(
  layout: LinearLayout,
  shared: LinearLayout,
  options: { elementBytes: number; transposed?: boolean },
): LdmatrixPlan | undefined {
  const { elementBytes, transposed = false } = options;
  const offsets = sharedOffsets(layout, shared);
  const registers = offsets.basesOf(REGISTER);
  const lanes = offsets.basesOf(LANE);
  if (lanes.length !== 5 || (transposed && elementBytes !== 2)) return undefined;

  // The row: 16 bytes next to each other, and nothing else may move within a row.
  const rowElements = 16 / elementBytes;
  const packed = 4 / elementBytes;
  const row: { input: string; bit: number }[] = [];
  for (let unit = 1; unit < rowElements; unit *= 2) {
    const step = row.length;
    if (transposed) row.push({ input: LANE, bit: 2 + step });
    else if (unit < packed) row.push({ input: REGISTER, bit: registers.indexOf(unit) });
    else row.push({ input: LANE, bit: step - Math.log2(packed) });
    const { input, bit } = row[step];
    if (bit < 0 || offsets.basesOf(input)[bit] !== unit) return undefined;
  }
  for (const { name, bits } of offsets.ins)
    for (let bit = 0; bit < bits; bit++) {
      const inRow = row.some((part) => part.input === name && part.bit === bit);
      if (!inRow && (offsets.basesOf(name)[bit] & (rowElements - 1)) !== 0) return undefined;
    }

  // Registers that share a 32-bit result; transposed, the pair comes from neighbouring rows, so any register bit will do: the lowest.
  const inResult = transposed ? [0] : row.filter(({ input }) => input === REGISTER).map(({ bit }) => bit);
  if (transposed && registers.length === 0) return undefined;
  const rows = transposed ? [registers[0], lanes[0], lanes[1]] : [lanes[2], lanes[3], lanes[4]];
  const others = registers.map((_, bit) => bit).filter((bit) => !inResult.includes(bit));
  // Four matrices are two by two of the tile where they can be: of one step of a contraction, so that none waits for the next step.
  const axesOf = (bit: number): string[] =>
    layout.outs
      .filter(({ name }) => (layout.basesOf(REGISTER)[bit] & layout.maskOfOut(name)) !== 0)
      .map(({ name }) => name);
  const [first, ...further] = others;
  const second = further.find((bit) => !axesOf(bit).some((axis) => axesOf(first).includes(axis))) ?? further[0];
  const matrixBits = [first, second].filter((bit) => bit !== undefined);
  const issueBits = others.filter((bit) => !matrixBits.includes(bit));
  const count = (1 << matrixBits.length) as 1 | 2 | 4;

  const columns = [...rows, registers[matrixBits[0]] ?? 0, registers[matrixBits[1]] ?? 0, ...offsets.basesOf(WARP)];
  const ins = [
    { name: WARP, bits: offsets.bitsOf(WARP) },
    { name: LANE, bits: 5 },
  ];
  const address = new LinearLayout(ins, [{ name: OFFSET, bits: offsets.outBits }], columns);
  const withBits = (bits: readonly number[]): number[] => imagesOf(bits.map((bit) => 1 << bit));
  const parts = withBits(inResult);
  const matrices = withBits(matrixBits);
  const issues = withBits(issueBits).map((issue) => ({
    offset: applyColumns(registers, issue),
    registers: matrices.map((matrix) => parts.map((part) => issue | matrix | part)),
  }));
  return { count, transposed, address, issues };
}

/** The wavefronts of one of the plan's instructions: a pass for each matrix. */
export function ldmatrixConflicts(plan: LdmatrixPlan, elementBytes: number): BankConflicts {
  const lanes = plan.address.basesOf(LANE).slice(0, 3 + Math.log2(plan.count));
  return conflictsOfOffsets(lanes, elementBytes, 16 / elementBytes);
}

/**
 * The access that ldmatrix makes for registers in `layout`, as a layout of the same tile: `lane` names rows of a matrix, `register` runs
 * along the 16 bytes of a row. `contiguousAxis` is the axis along which a row lies. For choosing a swizzle; undefined where the layout's
 * elements do not form rows along that axis.
 */
export function ldmatrixRows(
  layout: LinearLayout,
  contiguousAxis: number,
  options: { elementBytes: number; transposed?: boolean },
): LinearLayout | undefined {
  const mask = layout.maskOfOut(layout.outs[contiguousAxis].name);
  const rest = layout.outs.map((_, axis) => axis).filter((axis) => axis !== contiguousAxis);
  // In a plain memory where the axis is fastest, offsets name elements: the plan's addresses there are the rows.
  const order = [contiguousAxis, ...rest.reverse()].map((axis) => layout.outs[axis].name);
  const plain = layout.transposeOuts([...order].reverse());
  const memory = new LinearLayout(
    [{ name: OFFSET, bits: plain.outBits }],
    plain.outs,
    Array.from({ length: plain.outBits }, (_, bit) => 1 << bit),
  );
  const plan = planLdmatrix(plain, memory, options);
  const rowBits = Math.log2(16 / options.elementBytes);
  if (plan === undefined || mask >>> rowBits === 0) return undefined;
  const inRow = Array.from({ length: rowBits }, (_, bit) => 1 << bit);
  const ins = [...plan.address.ins, { name: REGISTER, bits: rowBits }];
  const access = new LinearLayout(ins, plain.outs, [...inRow, ...plan.address.columns]);
  return access.transposeOuts(layout.outs.map(({ name }) => name));
}
