/**
 * @file Rotary position embedding (Su et al., arXiv 2104.09864), half-split pairing: channel i of the first half turns with channel i of
 * the second by the angle position · theta_i, whose cosine and sine come from tables [positions, D/2].
 * With INVERSE it turns back by the same angle: a rotation's transpose, so also its gradient.
 */
import { kernel, type TensorView, tl } from "../../dsl/index.ts";

/** The first or second half of the channels as a view of its own, so that its edge is checked where D/2 is no power of two. */
function halfOf(view: TensorView<any, 4>, second: boolean) {
  const half = view.shape(3).div(2);
  const start = second ? view.pointer.add(half) : view.pointer;
  const shape = [view.shape(0), view.shape(1), view.shape(2), half] as const;
  return tl.makeView(start, shape, [view.stride(0), view.stride(1), view.stride(2), view.stride(3)] as const);
}

export const ropeKernel = kernel({
  name: "rope",
  constants: { BLOCK_T: 32, HALF_DIM: 64, INVERSE: false },
  params: {
    x: tl.tensor("T", 4),
    cos: tl.tensor("f32", 2),
    sin: tl.tensor("f32", 2),
    out: tl.tensor("T", 4),
    start: tl.scalar("i32"),
  },
  grid: (p, { BLOCK_T }) => [tl.cdiv(p.x.shape(2), BLOCK_T), p.x.shape(1), p.x.shape(0)],
  body(p, { BLOCK_T, HALF_DIM, INVERSE }) {
    const row = tl.programId(0).mul(BLOCK_T);
    const [head, batch] = [tl.programId(1), tl.programId(2)];
    const load = (second: boolean) => halfOf(p.x, second).at(batch, head).load([row, 0], [BLOCK_T, HALF_DIM]).to("f32");
    const [first, second] = [load(false), load(true)];
    const cos = p.cos.load([row.add(p.start), 0], [BLOCK_T, HALF_DIM]);
    const table = p.sin.load([row.add(p.start), 0], [BLOCK_T, HALF_DIM]);
    const sin = INVERSE ? table.neg() : table;
    const store = (secondHalf: boolean, tile: typeof first) =>
      halfOf(p.out, secondHalf).at(batch, head).store([row, 0], tile.to(p.out.dtype));
    store(false, first.mul(cos).sub(second.mul(sin)));
    store(true, second.mul(cos).add(first.mul(sin)));
  },
});
