/**
 * @file Where a program works: which rows of which sequence and head. A sequence is a batch entry; or, where sequences are packed one after the
 * other (`Variant.documents`), a document, and then everything a variant sees, lengths and indices, is the document's own.
 *
 * Blocks of packed sequences: document d has the blocks from floor(start(d) / BLOCK) + d on, which is at least as many as it needs and grows with d, so
 * a program finds its document by bisection and the host need not know the lengths (as vLLM's unified attention does). Rows beyond the last document
 * are one more document, without partners.
 *
 * Starts that fall, or lie outside, are wrong, but must not make two programs write one row: to the bisection a start is what lies between those that it has
 * passed on its way there, so that whatever the tensor holds, documents rise from 0 to its end, and every row is written once.
 */
import { type GridExpression, type Index, type Shape, type TensorView, type Tile, tl } from "../../dsl/index.ts";
import type { Context } from "./scores.ts";
import { type Place, type RuntimeIndex, type Side, tensorNames, type Variant } from "./variant.ts";

/** The block of rows of one side that a program keeps. */
export interface Block {
  readonly at: Place;
  /** Its first row, counted within the sequence; beyond the last one in programs that have nothing to do. */
  readonly first: RuntimeIndex;
}

/** How many blocks `rows` rows of one side need, for the grid. `p` are the parameters there. */
export function blockCount(variant: Variant, p: any, side: Side, rows: GridExpression, block: number): GridExpression {
  const blocks = tl.cdiv(rows, block);
  return variant.documents ? blocks.add(p[variant.documents[side]!].shape(0)) : blocks;
}

/** What a place says of the heads, for one query head or, with `ofKeys`, for the first of those that read one key head. */
function headsOf({ variant, p }: Context, own: RuntimeIndex, ofKeys: boolean) {
  const heads = p[tensorNames(variant, "queries")[0]!].shape(1) as RuntimeIndex;
  const group = heads.div(p.v.shape(1));
  return ofKeys
    ? { head: own.mul(group), heads, keyHead: own, group }
    : { head: own, heads, keyHead: own.div(group), group };
}

/** Lengths of the tensors' third axes. */
const axesOf = ({ variant, p }: Context): Readonly<Record<Side, RuntimeIndex>> => ({
  queries: p[tensorNames(variant, "queries")[0]!].shape(2),
  keys: p.v.shape(2),
});

/** The place of a batch entry, which is one sequence, and of a query head or, with `ofKeys`, a key head. */
export function placeOf(context: Context, batch: RuntimeIndex, head: RuntimeIndex, ofKeys = false): Place {
  const { queries, keys } = axesOf(context);
  const count = context.variant.keyCount?.(context.p, batch, context.c as never);
  return {
    ...headsOf(context, head, ofKeys),
    batch,
    sequence: batch,
    queries,
    keys: count ?? keys,
    ...(count && { firstRow: { keys: 0 } }),
  };
}

/**
 * The block of a program in the grid [`number`, heads, batch]. The heads are query heads or, with `ofKeys`, key heads; then the place is that of the
 * first query head that reads it, and rows of queries are those of all heads of its group (pack-heads.ts).
 */
export function blockOf(context: Context, side: Side, number: RuntimeIndex, ofKeys = side === "keys"): Block {
  const { variant, p, c } = context;
  const extent = side === "queries" ? c.BLOCK_M : c.BLOCK_N;
  const { documents } = variant;
  if (!documents) return { at: placeOf(context, tl.programId(2), tl.programId(1), ofKeys), first: number.mul(extent) };

  const axes = axesOf(context);
  const heads = headsOf(context, tl.programId(1), ofKeys);
  const own = p[documents[side]!] as TensorView<"i32", 1>;
  const each = side === "queries" && ofKeys ? heads.group : 1;
  const found = findDocument({ starts: own, axis: axes[side], each, extent }, number);
  const { document } = found;
  // The rows beyond the last document have no partners.
  const isDocument = document.lt(own.shape(0).sub(1));
  const partners = (of: Side): { readonly first: Index; readonly count: RuntimeIndex } => {
    const ofDocument = (count: RuntimeIndex) => tl.where(isDocument, count, 0);
    const name = documents[of];
    if (name === undefined) return { first: 0, count: ofDocument(variant.keyCount!(p, document, c as never)) };
    const [from, to] = [document, document.add(1)].map((d) => boundary(p[name], d, axes[of])) as [
      RuntimeIndex,
      RuntimeIndex,
    ];
    return { first: from, count: ofDocument(tl.maximum(to.sub(from), 0)) };
  };
  const rows = { first: found.from, count: found.to.sub(found.from) };
  const [queries, keys] = side === "queries" ? [rows, partners("keys")] : [partners("queries"), rows];
  return {
    at: {
      ...heads,
      queries: queries.count,
      keys: keys.count,
      batch: tl.full([], 0, "i32"),
      sequence: document,
      firstRow: { queries: queries.first, keys: keys.first },
    },
    first: found.first,
  };
}

/** Where document d, not after the last one, begins; within the axis, whatever the lengths say. */
const boundary = (starts: TensorView<"i32", 1>, document: RuntimeIndex, axis: RuntimeIndex): RuntimeIndex =>
  tl.maximum(tl.minimum(starts.load([tl.minimum(document, starts.shape(0).sub(1))], []), axis), 0);

/** Packed documents along one axis, each element of which is `each` rows, in blocks of `extent` rows. */
interface PackedAxis {
  readonly starts: TensorView<"i32", 1>;
  readonly axis: RuntimeIndex;
  readonly each: Index;
  readonly extent: number;
}

/** The document of a block, its elements [from, to), and the block's first row in it. */
function findDocument({ starts, axis, each, extent }: PackedAxis, number: RuntimeIndex) {
  const firstBlock = (document: RuntimeIndex, start: RuntimeIndex) => start.mul(each).div(extent).add(document);
  const documents = starts.shape(0);
  // Enough to get from all documents to one; more do nothing.
  const steps = tl.log2(documents.to("f32")).to("i32").add(2);
  const none = tl.full([], 0, "i32");
  const all = { document: none, next: documents, from: none, to: axis };
  const { document, from, to } = tl.loop({ to: steps }, all, (_, s) => {
    const middle = s.document.add(s.next).div(2);
    const start = tl.maximum(tl.minimum(starts.load([middle], []), s.to), s.from);
    const known = middle.eq(s.document);
    const before = known.or(firstBlock(middle, start).le(number));
    return {
      document: tl.where(before, middle, s.document),
      next: tl.where(before, s.next, middle),
      from: tl.where(before.and(known.not()), start, s.from),
      to: tl.where(before, s.to, start),
    };
  });
  return { document, from, to, first: number.sub(firstBlock(document, from)).mul(extent) };
}

/** The place of another query head that reads the same keys: number `member` of the group. */
export const memberOf = (at: Place, member: RuntimeIndex): Place => ({
  ...at,
  head: at.keyHead.mul(at.group).add(member),
});

/** Of a matrix whose first axis is that of the tensors' rows, the rows of the sequence. */
export function rowsOf<T extends "T" | "f32">(matrix: TensorView<T, 2>, at: Place, side: Side): TensorView<T, 2> {
  const first = at.firstRow?.[side];
  if (first === undefined) return matrix;
  return tl.makeView(
    startAt(matrix, first),
    [at[side], matrix.shape(1)],
    [matrix.stride(0), matrix.stride(1)],
  ) as TensorView<T, 2>;
}

/**
 * Where results go: into the rows of the sequence; or, where the rows beyond its end are no other sequence's, into all, and then `zeroBeyond` has to
 * clear those.
 */
export const resultsOf = <T extends "T" | "f32">(matrix: TensorView<T, 2>, at: Place, side: Side): TensorView<T, 2> =>
  at.firstRow?.[side] === 0 ? matrix : rowsOf(matrix, at, side);

/** A tile of results for the rows from `first` on, with 0 for those that `resultsOf` has and the sequence has not. */
export function zeroBeyond<S extends Shape>(
  tile: Tile<"f32", S>,
  at: Place,
  side: Side,
  first: RuntimeIndex,
): Tile<"f32", S> {
  if (at.firstRow?.[side] !== 0) return tile;
  const row = tl.arange(0, tile.shape[0]!).add(first);
  const exists = row.lt(at[side]);
  return tl.where((tile.shape.length === 2 ? exists.perRow() : exists) as never, tile, 0) as never;
}

/** The same of a vector. */
export function entriesOf<T extends "T" | "f32">(vector: TensorView<T, 1>, at: Place, side: Side): TensorView<T, 1> {
  const first = at.firstRow?.[side];
  if (first === undefined) return vector;
  return tl.makeView(startAt(vector, first), [at[side]], [vector.stride(0)]) as TensorView<T, 1>;
}

/** As `resultsOf`. */
export const resultEntriesOf = <T extends "T" | "f32">(vector: TensorView<T, 1>, at: Place, side: Side) =>
  at.firstRow?.[side] === 0 ? vector : entriesOf(vector, at, side);

const startAt = (view: TensorView<any, any>, first: Index) =>
  first === 0 ? view.pointer : view.pointer.add(view.stride(0).mul((first as RuntimeIndex).to("i64")) as never);
