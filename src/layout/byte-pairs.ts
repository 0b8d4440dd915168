/**
 * @file Operands of 8 bits whose rows in memory run across the contraction. ldmatrix transposes 16 bits at a time, so it loads pairs of neighbouring
 * bytes of two rows into a word; of two such words a thread makes two of four rows each, one for either byte of the pairs. So a thread
 * needs both columns of a pair: `paired` in mma.ts.
 */
import { LANE, OFFSET, REGISTER, tileDims } from "./dims.ts";
import { type LdmatrixPlan, ldmatrixRows, planLdmatrix } from "./ldmatrix.ts";
import { LinearLayout } from "./linear-layout.ts";

export interface BytePairs {
  /** How the pairs are loaded, as elements of 2 bytes. */
  readonly plan: LdmatrixPlan;
  /** The word of pairs (as the plan counts them) of rows 0 and 1 of the four, that of rows 2 and 3, and which byte of the pairs, for each word of four bytes of the layout. */
  wordsOf(word: number): { readonly low: number; readonly high: number; readonly odd: boolean };
}

/** The way to load registers in `layout`, a matrix of bytes whose first four registers go down the rows, from `shared`; undefined if there is none. */
export function planBytePairs(layout: LinearLayout, shared: LinearLayout): BytePairs | undefined {
  const bit = pairBit(layout);
  const pairs = bit === undefined ? undefined : halve(layout);
  const memory = shared.basesOf(OFFSET)[0] === 1 ? halve(shared) : undefined;
  const plan = pairs && memory && planLdmatrix(pairs, memory, { elementBytes: 2, transposed: true });
  if (!plan) return undefined;
  return {
    plan,
    wordsOf(word) {
      const register = 4 * word;
      const below = register & ((1 << bit!) - 1);
      const low = (below | ((register >> (bit! + 1)) << bit!)) >> 1;
      return { low, high: low | 1, odd: ((register >> bit!) & 1) === 1 };
    },
  };
}

/** The access that such loads make (see `ldmatrixRows`), for choosing a swizzle. */
export function bytePairRows(layout: LinearLayout): LinearLayout | undefined {
  const pairs = pairBit(layout) === undefined ? undefined : halve(layout);
  const rows = pairs && ldmatrixRows(pairs, 1, { elementBytes: 2, transposed: true });
  if (!rows) return undefined;
  const ins = rows.ins.map((dim) => (dim.name === REGISTER ? { ...dim, bits: dim.bits + 1 } : dim));
  return new LinearLayout(ins, layout.outs, [1, ...rows.columns.map((column) => column << 1)]);
}

/** The bit of the register that tells the two bytes of a pair apart: after those of the four rows of a word. */
function pairBit(layout: LinearLayout): number | undefined {
  const registers = layout.basesOf(REGISTER);
  const columns = layout.shape[1]!;
  if (registers[0] !== columns || registers[1] !== 2 * columns || layout.bitsOf(LANE) === 0) return undefined;
  const bit = registers.indexOf(1);
  return bit < 2 ? undefined : bit;
}

/** The layout of pairs of columns, without the input bit of the column in the pair; undefined where that is not a bit of its own. */
function halve(layout: LinearLayout): LinearLayout | undefined {
  const at = layout.columns.indexOf(1);
  const rest = layout.columns.filter((_, i) => i !== at);
  if (at < 0 || rest.some((column) => (column & 1) !== 0)) return undefined;
  const [rows, columns] = layout.shape as [number, number];
  const last = layout.ins.at(-1)!;
  if (at >= last.bits) return undefined;
  const ins = layout.ins.map((dim) => (dim === last ? { ...dim, bits: dim.bits - 1 } : dim));
  return new LinearLayout(
    ins,
    tileDims([rows, columns / 2]),
    rest.map((column) => column >> 1),
  );
}
