/** @file Embedding: row `ids[t]` of the table becomes row t of `out`. An id outside the table fails an assertion on the device. */
import { kernel, tl } from "../../dsl/index.ts";

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
