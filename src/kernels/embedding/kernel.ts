/**
 * @file Embedding: row `ids[t]` of the table becomes row t of `out`. An id outside the table fails an assertion on the device.
 *
 * Its gradient adds row t of `dout` to row `ids[t]`. Two tokens may share a row, so the tokens are sorted by id first (stably, which fixes the
 * order of every sum without atomics): T² comparisons, and work for the rows that occur only, whatever the size of the table. For 4096
 * tokens that is 16.8 million comparisons, less than one row of a matrix product over a vocabulary of 100 000.
 */
import { kernel, type Scalar, tl } from "../../dsl/index.ts";

export const embeddingKernel = kernel({
  name: "embedding",
  constants: { BLOCK: 512 },
  params: { table: tl.tensor("W", 2), ids: tl.tensor("i32", 1), out: tl.tensor("T", 2) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.table.shape(1), BLOCK), p.ids.shape(0)],
  body(p, { BLOCK }) {
    const column = tl.programId(0).mul(BLOCK);
    const token = tl.programId(1);
    const id = p.ids.load([token], []);
    const known = id.ge(0).and(id.lt(p.table.shape(0)));
    tl.assert(known, "embedding: a token id lies outside the table");
    const row = p.table.load([tl.where(known, id, 0), column], [BLOCK]);
    p.out.store([token, column], row.to(p.out.dtype));
  },
});

/**
 * order[r] = the token of rank r when tokens are sorted by id, equal ids by position; count[r] = how many tokens have its id if it is the
 * first of them, else 0. A token's rank is the number of tokens that come before it, so each program ranks its BLOCK tokens alone.
 */
export const embeddingSortKernel = kernel({
  name: "embedding_sort",
  constants: { BLOCK: 32, BLOCK_OTHER: 64 },
  params: { ids: tl.tensor("i32", 1), order: tl.tensor("i32", 1), count: tl.tensor("i32", 1) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.ids.shape(0), BLOCK)],
  body(p, { BLOCK, BLOCK_OTHER }) {
    const tokens = p.ids.shape(0);
    const start = tl.programId(0).mul(BLOCK);
    const token = tl.arange(0, BLOCK).add(start);
    const id = p.ids.load([start], [BLOCK]);
    const none = tl.zeros([BLOCK, BLOCK_OTHER], "i32");
    const state = { smaller: none, earlier: none, equal: none };
    const found = tl.loop({ to: tokens, step: BLOCK_OTHER }, state, (first, s) => {
      const other = tl.arange(0, BLOCK_OTHER).add(first).perColumn();
      const otherId = p.ids.load([first], [BLOCK_OTHER]).perColumn();
      const smaller = otherId.lt(id.perRow()).and(other.lt(tokens));
      const equal = otherId.eq(id.perRow()).and(other.lt(tokens));
      const earlier = equal.and(other.lt(token.perRow()));
      return {
        smaller: s.smaller.add(smaller.to("i32")),
        earlier: s.earlier.add(earlier.to("i32")),
        equal: s.equal.add(equal.to("i32")),
      };
    });
    const [smaller, earlier, equal] = [tl.sum(found.smaller, 1), tl.sum(found.earlier, 1), tl.sum(found.equal, 1)];
    const rank = smaller.add(earlier);
    const mask = token.lt(tokens);
    tl.store(p.order.pointer.add(rank), token, { mask });
    tl.store(p.count.pointer.add(rank), tl.where(earlier.eq(0), equal, 0), { mask });
  },
});

/**
 * Program (c, r) does nothing unless rank r is the first of its id: then it adds the rows of `dout` of all tokens with that id, in f32 and in
 * the order of their positions, and writes (ACCUMULATE: adds to) the id's row of `dtable`. UNROLL rows are on their way at once.
 */
export const embeddingBackwardKernel = kernel({
  name: "embedding_backward",
  constants: { BLOCK: 512, UNROLL: 4, ACCUMULATE: false },
  params: {
    dout: tl.tensor("T", 2),
    ids: tl.tensor("i32", 1),
    order: tl.tensor("i32", 1),
    count: tl.tensor("i32", 1),
    dtable: tl.tensor("W", 2),
  },
  grid: (p, { BLOCK }) => [tl.cdiv(p.dtable.shape(1), BLOCK), p.ids.shape(0)],
  body(p, { BLOCK, UNROLL, ACCUMULATE }) {
    const column = tl.programId(0).mul(BLOCK);
    const rank = tl.programId(1);
    const count = p.count.load([rank], []);
    tl.if(count.gt(0), () => {
      const tokenAt = (index: Scalar<"i32">) => p.order.load([rank.add(index)], []);
      const id = p.ids.load([p.order.load([rank], [])], []);
      const known = id.ge(0).and(id.lt(p.dtable.shape(0)));
      tl.assert(known, "embeddingBackward: a token id lies outside the table");

      const { sum } = tl.loop({ to: count, step: UNROLL }, { sum: tl.zeros([1, BLOCK], "f32") }, (first, s) => {
        let { sum } = s;
        for (let i = 0; i < UNROLL; i++) {
          const token = tokenAt(tl.minimum(first.add(i), count.sub(1)));
          // Past the last token: a row outside of dout, which reads as zeros.
          const row = tl.where(first.add(i).lt(count), token, p.dout.shape(0));
          sum = sum.add(p.dout.load([row, column], [1, BLOCK]).to("f32"));
        }
        return { sum };
      });
      // An unknown id is a row outside of dtable, to which nothing is written.
      const row = tl.where(known, id, p.dtable.shape(0));
      const before = ACCUMULATE ? p.dtable.load([row, column], [1, BLOCK]).to("f32") : tl.zeros([1, BLOCK], "f32");
      p.dtable.store([row, column], before.add(sum).to(p.dtable.dtype));
    });
  },
});
