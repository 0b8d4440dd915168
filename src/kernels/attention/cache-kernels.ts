/** @file Kernels that write to caches: rows of new tokens into their slots, and whole pages from one layout to another. */
import { kernel, type Scalar, tl } from "../../dsl/index.ts";

/**
 * Row t of `rows` [T, Hk, D] to key `slots[t]` of `cache` [blocks, Hk, PAGE_SIZE, D], counted through all pages: page slot / PAGE_SIZE, key
 * slot % PAGE_SIZE. Rows with a negative slot, or one beyond the last page, are not written.
 */
export const appendToCacheKernel = kernel({
  name: "append_to_cache",
  constants: { PAGE_SIZE: 16, BLOCK_HEADS: 8, WIDTH: 64 },
  params: { rows: tl.tensor("T", 3), slots: tl.tensor("i32", 1), cache: tl.tensor("T", 4) },
  grid: (p, { BLOCK_HEADS }) => [p.rows.shape(0), tl.cdiv(p.rows.shape(1), BLOCK_HEADS)],
  body(p, { PAGE_SIZE, BLOCK_HEADS, WIDTH }) {
    const [token, head] = [tl.programId(0), tl.programId(1).mul(BLOCK_HEADS)];
    const slot = p.slots.load([token], []);
    const exists = slot.ge(0).and(slot.div(PAGE_SIZE).lt(p.cache.shape(0)));
    tl.if(exists, () => {
      // The key of every head, [Hk, D], lies in its page at the same distance from the head's start.
      const { cache } = p;
      const page = cache.at(slot.div(PAGE_SIZE), 0, slot.rem(PAGE_SIZE)).pointer;
      const key = tl.makeView(page, [cache.shape(1), cache.shape(3)], [cache.stride(1), cache.stride(3)]);
      key.store([head, 0], p.rows.at(token).load([head, 0], [BLOCK_HEADS, WIDTH]));
    });
  },
});

/** That no slot lies beyond the `last`, and that no two are alike but those that leave a row out. */
export const checkSlotsKernel = kernel({
  name: "check_slots",
  constants: { BLOCK: 64 },
  params: { slots: tl.tensor("i32", 1), last: tl.scalar("i32") },
  grid: (p, { BLOCK }) => [tl.cdiv(p.slots.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const rows = p.slots.shape(0);
    const from = (first: Scalar<"i32">) => {
      const row = tl.arange(0, BLOCK).add(first);
      // Beyond the last one, as if it left a row out.
      return { row, slot: tl.where(row.lt(rows), p.slots.load([first], [BLOCK]), -1) };
    };
    const own = from(tl.programId(0).mul(BLOCK));
    tl.assert(own.slot.le(p.last), '"slots" must lie in the cache');
    tl.loop({ to: rows, step: BLOCK }, {}, (first) => {
      const other = from(first);
      const alike = own.slot.perRow().eq(other.slot.perColumn()).and(own.slot.ge(0).perRow());
      tl.assert(alike.and(own.row.perRow().ne(other.row.perColumn())).not(), '"slots" must be different');
    });
  },
});

/** Copies pages [blocks, Hk, block, D / X, X] between strides. */
export const copyPagesKernel = kernel({
  name: "copy_pages",
  constants: { BLOCK: 16, CHUNKS: 16, WIDTH: 8 },
  params: { from: tl.tensor("T", 5), to: tl.tensor("T", 5) },
  grid: (p, { BLOCK }) => [p.from.shape(0), p.from.shape(1), tl.cdiv(p.from.shape(2), BLOCK)],
  body(p, { BLOCK, CHUNKS, WIDTH }) {
    const [page, head, key] = [tl.programId(0), tl.programId(1), tl.programId(2).mul(BLOCK)];
    const rows = p.from.at(page, head).load([key, 0, 0], [BLOCK, CHUNKS, WIDTH]);
    p.to.at(page, head).store([key, 0, 0], rows);
  },
});
