/**
 * @file Keys and values in pages: the cache of many sequences is one tensor [pages, Hk, PAGE_SIZE, D], and a table says which pages, in order,
 * a sequence has (PagedAttention, arXiv 2309.06180). This turns any variant into one over such caches: it reads the same parameters "k" and "v"
 * through the table. Entries of the table beyond a sequence's length are never read, nor are rows of its last page.
 */
import { type TensorView, type Tile, tl } from "../../dsl/index.ts";
import { dense } from "./dense.ts";
import { gatherRows } from "./gather.ts";
import { channelsOf, loadOperand } from "./operands.ts";
import type { OperandTile, Place, Variant } from "./variant.ts";

const parameters = {
  /** [B]: keys that each sequence has. */
  contextLengths: tl.tensor("i32", 1),
  /** [B, at least ceil(context / PAGE_SIZE)]: numbers of pages. */
  blockTables: tl.tensor("i32", 2),
};

const constants = {
  /** Keys of a page. A tile of keys that divides it is read as it lies; else each row looks its page up. */
  PAGE_SIZE: 16,
};

/** The variant over paged caches. It must read keys and values as they are, so it has no `load` of its own. */
export function paged(variant: Variant): Variant {
  return {
    ...variant,
    name: variant === (dense as Variant) ? "paged" : `paged_${variant.name}`,
    parameters: { ...variant.parameters, ...parameters },
    constants: { ...variant.constants, ...constants },
    keyCount: (p, batch) => p.contextLengths.load([batch], []),
    load: (p, at, tile, { PAGE_SIZE }) =>
      tile.side === "queries" ? loadOperand(p, at, tile) : loadPaged(p, at, tile, PAGE_SIZE),
  };
}

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
  const rows = cache.at(table.load([at.batch, page], []) as never, at.keyHead as never) as TensorView<"T", 2>;
  const existing = inBounds[0] ? tl.full([], size, "i32") : tl.minimum(at.keys.sub(start), size);
  const view = tl.makeView(rows.pointer, [existing, cache.shape(3)], [cache.stride(2), cache.stride(3)]);
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
  const entries = table.at(at.batch).pointer.add(row.div(size).to("i64").mul(table.stride(1)) as never);
  const pages = tl.load(entries as never, exists ? { mask: exists as never } : {}) as Tile<"i32", readonly [R]>;
  const offsets = pages
    .to("i64")
    .mul(operand.stride(0))
    .add(row.rem(size).to("i64").mul(operand.stride(2)));
  const origin = operand.pointer.add(at.keyHead.to("i64").mul(operand.stride(1)) as never) as never;
  return gatherRows({ operand, origin, offsets, exists }, tile);
}
