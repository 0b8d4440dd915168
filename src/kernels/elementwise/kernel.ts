/** @file The plain elementwise kernels that a decoder needs: the sum of two tensors, a strided copy that may convert, and a fill. */
import { kernel, tl } from "../../dsl/index.ts";

export const addKernel = kernel({
  name: "add",
  constants: { BLOCK: 512 },
  params: { a: tl.tensor("T", 2), b: tl.tensor("T", 2), out: tl.tensor("T", 2) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.out.shape(1), BLOCK), p.out.shape(0)],
  body(p, { BLOCK }) {
    const column = tl.programId(0).mul(BLOCK);
    const row = tl.programId(1);
    const [a, b] = [p.a.load([row, column], [BLOCK]), p.b.load([row, column], [BLOCK])];
    p.out.store([row, column], a.to("f32").add(b.to("f32")).to(p.out.dtype));
  },
});

export const copyKernel = kernel({
  name: "copy",
  constants: { BLOCK: 32, WIDTH: 64 },
  params: { from: tl.tensor("S", 4), to: tl.tensor("T", 4) },
  grid: (p, { BLOCK, WIDTH }) => [
    tl.cdiv(p.from.shape(2), BLOCK).mul(tl.cdiv(p.from.shape(3), WIDTH)),
    p.from.shape(1),
    p.from.shape(0),
  ],
  body(p, { BLOCK, WIDTH }) {
    const [block, head, batch] = [tl.programId(0), tl.programId(1), tl.programId(2)];
    const blocksAcross = tl.cdiv(p.from.shape(3), WIDTH);
    const [row, column] = [block.div(blocksAcross).mul(BLOCK), block.rem(blocksAcross).mul(WIDTH)];
    const tile = p.from.at(batch, head).load([row, column], [BLOCK, WIDTH]);
    p.to.at(batch, head).store([row, column], tile.to(p.to.dtype));
  },
});

export const fillKernel = kernel({
  name: "fill",
  constants: { BLOCK_ROWS: 8, BLOCK: 128 },
  params: { out: tl.tensor("T", 2), value: tl.scalar("f32") },
  grid: (p, { BLOCK_ROWS, BLOCK }) => [tl.cdiv(p.out.shape(1), BLOCK), tl.cdiv(p.out.shape(0), BLOCK_ROWS)],
  body(p, { BLOCK_ROWS, BLOCK }) {
    const tile = p.value.to(p.out.dtype).broadcastTo([BLOCK_ROWS, BLOCK]);
    p.out.store([tl.programId(1).mul(BLOCK_ROWS), tl.programId(0).mul(BLOCK)], tile);
  },
});
