/**
 * @file The choice of a shared memory layout for a given writer and reader, after "optimal swizzling" in arXiv 2505.23819. A layout
 * of memory is a basis of the tile's space, split by place: the lowest offsets are one *vector*, then come the *banks* of one
 * cycle, then the *segments*, whose offsets differ by whole cycles. Lanes conflict when they differ by a segment alone. So the
 * segments must span a space that meets neither the writer's lanes nor the reader's; the largest such space is known in closed form.
 */
import { LANE, layoutError, OFFSET, REGISTER, repackColumns } from "./dims.ts";
import { applyColumns, extendBasis, intersectSpans, Span } from "./gf2.ts";
import { LinearLayout } from "./linear-layout.ts";
import { BANK_CYCLE_BYTES, lanesOfPass } from "./shared.ts";

export interface SwizzleChoice {
  /** The layout of the registers that are stored. */
  writer: LinearLayout;
  /** The layout of the registers that are loaded; for ldmatrix, `ldmatrixRows`. Of the same tile. */
  reader: LinearLayout;
  elementBytes: number;
  /** The widest access, in bytes; 16 by default. */
  maxBytes?: number;
  /** Whether the writer's vectors stay whole where the reader takes less of them at a time. False by default. */
  whole?: boolean;
}

/**
 * A bijection `offset` → tile under which the writer's and the reader's accesses, each as wide as both can have them, have no bank
 * conflicts, where there is such a layout; else as few as its construction finds.
 */
export function chooseSwizzle(choice: SwizzleChoice): LinearLayout {
  const { writer, reader, elementBytes, maxBytes = 16, whole = false } = choice;
  const toWriter = repackColumns(reader.outs, writer.outs);
  const basesOf = (layout: LinearLayout, input: string): number[] =>
    layout.basesOf(input).map((basis) => (layout === reader ? applyColumns(toWriter, basis) : basis));
  const bits = writer.outBits;
  const everything = Array.from({ length: bits }, (_, bit) => 1 << bit);

  // 1. The vector: what both hold in the registers of one thread, in the reader's order; the whole of the writer's, if it is to be whole.
  const written = basesOf(writer, REGISTER);
  const read = basesOf(reader, REGISTER);
  const writerSpan = new Span(written);
  const shared = [...read.filter((basis) => writerSpan.contains(basis)), ...intersectSpans(written, read)];
  const widest = Math.max(0, log2(maxBytes / elementBytes));
  const writers = extendBasis([], written).slice(0, widest);
  const candidatesOfBoth = whole ? shared.filter((basis) => new Span(writers).contains(basis)) : shared;
  const both = extendBasis([], candidatesOfBoth).slice(0, widest);
  const vector = whole ? extendBasis([], [...both, ...writers]) : both;
  const vectorBytes = elementBytes << vector.length;

  // 2. The rest of a 4-byte word, when vectors are smaller: lanes that share a word do not conflict. Best lanes of both.
  const passes = [lanesOfPass(vectorBytes), lanesOfPass(elementBytes << both.length)];
  const lanes = [basesOf(writer, LANE), basesOf(reader, LANE)].map((list, i) => list.slice(0, passes[i]));
  const wordBits = Math.max(0, log2(4 / vectorBytes));
  const together = [...intersectSpans(lanes[0], lanes[1]), ...lanes[1], ...lanes[0], ...everything];
  const low = [...vector, ...extendBasis(vector, together).slice(0, wordBits)];

  // 3. Segments that avoid both: P and Q are what a pass of the writer and of the reader reaches.
  const p = [...low, ...extendBasis(low, lanes[0])];
  const q = [...low, ...extendBasis(low, lanes[1])];
  const common = [...low, ...extendBasis(low, intersectSpans(p, q))];
  const onlyP = extendBasis(common, p);
  const onlyQ = extendBasis(common, q);
  const neither = extendBasis([...p, ...q], everything);
  const crossed = onlyP.slice(0, onlyQ.length).map((vectorOfP, i) => vectorOfP ^ onlyQ[i]);
  const leftover = onlyP.length > onlyQ.length ? onlyP.slice(onlyQ.length) : onlyQ.slice(onlyP.length);
  const cycleBits = log2(BANK_CYCLE_BYTES / elementBytes);
  const candidates = [...neither, ...crossed, ...leftover, ...everything];
  const segments = extendBasis(low, candidates).slice(0, Math.max(0, bits - cycleBits));

  // 4. The banks take what is left.
  const banks = extendBasis([...low, ...segments], everything);
  const columns = [...low, ...banks, ...segments];
  const layout = new LinearLayout([{ name: OFFSET, bits: columns.length }], writer.outs, columns);
  if (!layout.isBijective())
    throw layoutError("LAYOUT_SWIZZLE", `no basis of the tile came out for\n${writer}\n${reader}`);
  return layout;
}

function log2(size: number): number {
  return Math.round(Math.log2(size));
}
