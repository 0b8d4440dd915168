/**
 * @file Keys and values in pages: the cache of many sequences is one tensor [pages, Hk, PAGE_SIZE, D], and a table says which pages, in order,
 * a sequence has (PagedAttention, arXiv 2309.06180). This turns any variant into one over such caches: it reads the same parameters "k" and "v"
 * through the table. Entries of the table beyond a sequence's length are never read, nor are rows of its last page. Lengths beyond the table and numbers of
 * pages that are not there lead to pages that are, so nothing outside the cache is read.
 */
import { type Shape, type TensorView, type Tile, tl } from "../../dsl/index.ts";
import { dense } from "./dense.ts";
import { gatherRows } from "./gather.ts";
import { channelsOf, loadOperand } from "./operands.ts";
import type { OperandTile, Place, RuntimeIndex, Variant } from "./variant.ts";

const parameters = {
  /** `[B]`: keys that each sequence has. */
  contextLengths: tl.tensor("i32", 1),
  /** `[B, at least ceil(context / PAGE_SIZE)]`: numbers of pages. */
  blockTables: tl.tensor("i32", 2),
};

const constants = {
  /** Keys of a page. A tile that divides it is read as it lies; pages that divide a tile are each looked up; else each row looks its page up. */
  PAGE_SIZE: 16,
};

/** The variant over paged caches. It must read keys and values as they are, so it has no `load` of its own. */
export function paged(variant: Variant): Variant {
  return {
    ...variant,
    name: variant === (dense as Variant) ? "paged" : `paged_${variant.name}`,
    parameters: { ...variant.parameters, ...parameters },
    constants: { ...variant.constants, ...constants },
    keyCount: (p, sequence, { PAGE_SIZE }) => contextOf(p, sequence, PAGE_SIZE),
    load: (p, at, tile, { PAGE_SIZE }) =>
      tile.side === "queries" ? loadOperand(p, at, tile) : loadPaged(p, at, tile, PAGE_SIZE),
  };
}

/** The number of keys of a sequence: not more than the table can hold, whatever is said, and none where there is no such sequence or no page. */
function contextOf(p: any, sequence: RuntimeIndex, pageSize: number): RuntimeIndex {
  const [cache, table]: readonly [TensorView<"T", 4>, TensorView<"i32", 2>] = [p.v, p.blockTables];
  const capacity = tl.where(cache.shape(0).gt(0), table.shape(1).mul(pageSize), 0);
  const lengths: TensorView<"i32", 1> = p.contextLengths;
  const place = lengths.pointer.add(lengths.stride(0).mul(sequence.to("i64")) as never);
  const said = tl.load(place as never, { mask: sequence.lt(lengths.shape(0)) as never }) as RuntimeIndex;
  return tl.maximum(tl.minimum(said, capacity), 0);
}

/** A page of the cache: the last one for every number that names none. */
const existing = <S extends Shape>(page: Tile<"i32", S>, cache: TensorView<"T", 4>): Tile<"i32", S> =>
  tl.minimum(page.bitcast("u32") as never, cache.shape(0).sub(1).bitcast("u32") as never).bitcast("i32") as never;

/** A tile of keys or values. */
const loadPaged = <R extends number, D extends number>(
  p: any,
  at: Place,
  tile: OperandTile<R, D>,
  pageSize: number,
): Tile<"T", readonly [R, D]> => (pageSize % tile.shape[0] === 0 ? loadPage : gatherPages)(p, at, tile, pageSize);

/** A tile within one page. Its first row exists, or it would not be read. */
function loadPage<R extends number, D extends number>(
  p: any,
  at: Place,
  { name, first, shape, inBounds, channels }: OperandTile<R, D>,
  size: number,
): Tile<"T", readonly [R, D]> {
  const cache: TensorView<"T", 4> = p[name];
  const table: TensorView<"i32", 2> = p.blockTables;
  const page = first.div(size);
  const start = page.mul(size);
  const number = existing(table.load([at.sequence, page], []), cache);
  const rows = cache.at(number as never, at.keyHead as never) as TensorView<"T", 2>;
  const keys = inBounds[0] ? tl.full([], size, "i32") : tl.minimum(at.keys.sub(start), size);
  const view = tl.makeView(rows.pointer, [keys, cache.shape(3)], [cache.stride(2), cache.stride(3)]);
  return channelsOf(view, channels).load([first.sub(start), 0], shape, { inBounds });
}

/** A tile whose rows lie in several pages. */
function gatherPages<R extends number, D extends number>(
  p: any,
  at: Place,
  tile: OperandTile<R, D>,
  size: number,
): Tile<"T", readonly [R, D]> {
  const operand: TensorView<"T", 4> = p[tile.name];
  const table: TensorView<"i32", 2> = p.blockTables;
  const row = tl.arange(0, tile.shape[0]).add(tile.first) as Tile<"i32", readonly [R]>;
  const exists = tile.inBounds[0] ? undefined : row.lt(at.keys);
  const startOf = <S extends Shape>(page: Tile<"i32", S>, mask: Tile<"bool", S> | undefined): Tile<"i64", S> => {
    const entries = table.at(at.sequence).pointer.add(page.to("i64").mul(table.stride(1)) as never);
    const numbers = tl.load(entries as never, mask ? { mask: mask as never } : {}) as Tile<"i32", S>;
    return existing(numbers, operand).to("i64").mul(operand.stride(0)) as never;
  };
  const inPage = <S extends Shape>(key: Tile<"i32", S>): Tile<"i64", S> =>
    key.to("i64").mul(operand.stride(2)) as never;
  let offsets: Tile<"i64", readonly [R]>;
  if (tile.shape[0] % size === 0) {
    // Whole pages: each is looked up once.
    const page = tl.arange(0, tile.shape[0] / size).add(tile.first.div(size)) as Tile<"i32", readonly [number]>;
    const starts = startOf(page, tile.inBounds[0] ? undefined : page.mul(size).lt(at.keys)).perRow();
    offsets = starts.add(inPage(tl.arange(0, size)).perColumn() as never).reshape([tile.shape[0]]) as never;
  } else offsets = startOf(row.div(size), exists).add(inPage(row.rem(size)));
  const origin = operand.pointer.add(at.keyHead.to("i64").mul(operand.stride(1)) as never) as never;
  return gatherRows({ operand, origin, offsets, exists }, tile);
}
