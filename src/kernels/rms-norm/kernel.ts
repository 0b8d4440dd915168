/**
 * @file RMSNorm (Zhang and Sennrich, arXiv 1910.07467) in Aquila's form: statistics and the product with the weight in f32, one
 * rounding at the end. One program normalises one row of any length in blocks: a first walk for the mean square, a second for the
 * result, whose loads find the row in a cache. No tile is longer than BLOCK, whatever the row.
 */
import { kernel, type Scalar, type TensorView, tl } from "../../dsl/index.ts";

/** A vector of 16 bytes in 16-bit dtypes a thread and tensor: 8 elements. */
const hints = ({ BLOCK }: { BLOCK: number }) => ({ numWarps: Math.max(1, Math.min(BLOCK / 256, 16)) });

/** 1 / sqrt(mean of squares + epsilon), from the sum of squares of a row of `length`. */
const inverseRms = (squares: Scalar<"f32">, length: Scalar<"i32">, epsilon: Scalar<"f32">): Scalar<"f32"> =>
  tl.rsqrt(squares.div(length.to("f32")).add(epsilon));

export const rmsNormKernel = kernel({
  name: "rms_norm",
  constants: { BLOCK: 2048 },
  params: { x: tl.tensor("T", 2), weight: tl.tensor("W", 1), out: tl.tensor("T", 2), epsilon: tl.scalar("f32") },
  grid: (p) => [p.x.shape(0)],
  hints,
  body(p, { BLOCK }) {
    const row = tl.programId(0);
    const hidden = p.x.shape(1);
    const load = (column: Scalar<"i32">) => p.x.load([row, column], [BLOCK]).to("f32");
    const { squares } = tl.loop({ to: hidden, step: BLOCK }, { squares: tl.zeros([BLOCK], "f32") }, (column, s) => {
      const x = load(column);
      return { squares: x.fma(x, s.squares) };
    });
    const scale = inverseRms(tl.sum(squares, 0), hidden, p.epsilon);
    tl.loop({ to: hidden, step: BLOCK }, {}, (column) => {
      const weight = p.weight.load([column], [BLOCK]).to("f32");
      p.out.store([row, column], load(column).mul(scale).mul(weight).to(p.out.dtype));
    });
  },
});

/**
 * With r = 1 / sqrt(mean(x²) + epsilon) and g = dout · weight: dx = r · g - x · r³ · mean(g · x). One walk along the row gives both
 * sums, a second one dx. r is kept for the gradient of the weight.
 */
export const rmsNormBackwardKernel = kernel({
  name: "rms_norm_backward",
  constants: { BLOCK: 2048 },
  params: {
    x: tl.tensor("T", 2),
    weight: tl.tensor("W", 1),
    dout: tl.tensor("T", 2),
    dx: tl.tensor("T", 2),
    inverse: tl.tensor("f32", 1),
    epsilon: tl.scalar("f32"),
  },
  grid: (p) => [p.x.shape(0)],
  hints,
  body(p, { BLOCK }) {
    const row = tl.programId(0);
    const hidden = p.x.shape(1);
    const load = (column: Scalar<"i32">) => {
      const weight = p.weight.load([column], [BLOCK]).to("f32");
      const wide = (view: TensorView<"T", 2>) => view.load([row, column], [BLOCK]).to("f32");
      return { x: wide(p.x), g: wide(p.dout).mul(weight) };
    };
    const none = tl.zeros([BLOCK], "f32");
    const sums = tl.loop({ to: hidden, step: BLOCK }, { squares: none, products: none }, (column, s) => {
      const { x, g } = load(column);
      return { squares: x.fma(x, s.squares), products: g.fma(x, s.products) };
    });
    const r = inverseRms(tl.sum(sums.squares, 0), hidden, p.epsilon);
    const shrink = tl.sum(sums.products, 0).div(hidden.to("f32")).mul(r).mul(r);
    tl.loop({ to: hidden, step: BLOCK }, {}, (column) => {
      const { x, g } = load(column);
      p.dx.store([row, column], g.sub(x.mul(shrink)).mul(r).to(p.dx.dtype));
    });
    p.inverse.store([row], r);
  },
});

/**
 * The gradient of the weight, Σ over rows of dout · x · r, first stage: program (c, g) sums the rows of group g (`rows` of them) for
 * BLOCK columns into partial[g]. `columnSumKernel` sums the groups.
 */
export const rmsNormWeightGradientKernel = kernel({
  name: "rms_norm_weight_gradient",
  constants: { BLOCK_ROWS: 16, BLOCK: 128 },
  params: {
    x: tl.tensor("T", 2),
    dout: tl.tensor("T", 2),
    inverse: tl.tensor("f32", 1),
    partial: tl.tensor("f32", 2),
    rows: tl.scalar("i32"),
  },
  grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(1), BLOCK), p.partial.shape(0)],
  body(p, { BLOCK_ROWS, BLOCK }) {
    const column = tl.programId(0).mul(BLOCK);
    const group = tl.programId(1);
    const from = group.mul(p.rows);
    const to = tl.minimum(from.add(p.rows), p.x.shape(0));
    const state = { sums: tl.zeros([BLOCK_ROWS, BLOCK], "f32") };
    const { sums } = tl.loop({ from, to, step: BLOCK_ROWS }, state, (row, s) => {
      const wide = (view: TensorView<"T", 2>) => view.load([row, column], [BLOCK_ROWS, BLOCK]).to("f32");
      const inverse = p.inverse.load([row], [BLOCK_ROWS]);
      return { sums: wide(p.dout).mul(wide(p.x)).fma(inverse.perRow(), s.sums) };
    });
    p.partial.at(group).store([column], tl.sum(sums, 0));
  },
});
