/**
 * @file Cross-entropy from logits: loss = lse - logit of the label, with lse = log Σ exp(logit) in f32. A row is streamed in blocks, so a
 * vocabulary of 100 008 needs no tile of 131 072: as in FlashAttention, a running maximum and a running sum that is rescaled when
 * the maximum grows (Milakov and Gimelshein, arXiv 1805.02867). Shapes: logits [T, V], labels [T].
 */
import {
  type BodyConstants,
  type BodyParameters,
  type GridTensor,
  kernel,
  type Scalar,
  type TensorView,
  tl,
} from "../../dsl/index.ts";

/** Eight elements a thread. */
const hints = ({ BLOCK }: { BLOCK: number }) => ({ numWarps: Math.max(1, Math.min(BLOCK / 256, 8)) });

/** The label of a row, and whether the row counts: its label is not `ignoreIndex`. A label outside the vocabulary fails an assertion. */
function labelOf(labels: TensorView<"i32", 1>, row: Scalar<"i32">, classes: Scalar<"i32">, ignoreIndex: Scalar<"i32">) {
  const label = labels.load([row], []);
  const counts = label.ne(ignoreIndex);
  const inside = label.ge(0).and(label.lt(classes));
  tl.assert(inside.or(counts.not()), "crossEntropy: a label lies outside the vocabulary and is not ignoreIndex");
  return { label, counts: counts.and(inside) };
}

/** loss[t], 0 where the label is ignored, and the statistics of each row: the largest logit and Σ exp(logit - largest). */
export const crossEntropyKernel = kernel({
  name: "cross_entropy",
  constants: { BLOCK: 2048 },
  params: {
    logits: tl.tensor("T", 2),
    labels: tl.tensor("i32", 1),
    loss: tl.tensor("f32", 1),
    statistics: tl.tensor("f32", 2),
    ignoreIndex: tl.scalar("i32"),
  },
  grid: (p) => [p.logits.shape(0)],
  hints,
  body(p, { BLOCK }) {
    const row = tl.programId(0);
    const classes = p.logits.shape(1);
    const state = { max: tl.full([], Number.NEGATIVE_INFINITY, "f32"), sum: tl.zeros([], "f32") };
    const { max, sum } = tl.loop({ to: classes, step: BLOCK }, state, (first, s) => {
      const inside = tl.arange(0, BLOCK).add(first).lt(classes);
      const logits = tl.where(inside, p.logits.load([row, first], [BLOCK]).to("f32"), Number.NEGATIVE_INFINITY);
      const max = tl.maximum(s.max, tl.max(logits, 0));
      // While all logits are -inf, 0 instead: so that weights are exp(-inf - 0) = 0 and not exp(-inf + inf).
      const shift = tl.where(max.eq(Number.NEGATIVE_INFINITY), 0, max);
      const sum = s.sum.mul(tl.exp(s.max.sub(shift))).add(tl.sum(tl.exp(logits.sub(shift)), 0));
      return { max, sum };
    });
    const { label, counts } = labelOf(p.labels, row, classes, p.ignoreIndex);
    const chosen = p.logits.load([row, tl.where(counts, label, 0)], []).to("f32");
    // lse - chosen, in an order that loses nothing where both are large.
    p.loss.store([row], tl.where(counts, max.sub(chosen).add(tl.log(sum)), 0));
    p.statistics.store([row, 0], max);
    p.statistics.store([row, 1], sum);
  },
});

/**
 * The sum of the row losses or, with MEAN, their mean over the rows that count (0 if none does); and its derivative by the loss of one row that
 * counts. One program.
 */
export const crossEntropyTotalKernel = kernel({
  name: "cross_entropy_total",
  constants: { BLOCK: 1024, MEAN: true },
  params: {
    losses: tl.tensor("f32", 1),
    labels: tl.tensor("i32", 1),
    total: tl.tensor("f32", 1),
    rowWeight: tl.tensor("f32", 1),
    ignoreIndex: tl.scalar("i32"),
  },
  grid: () => [1],
  body(p, { BLOCK, MEAN }) {
    const rows = p.losses.shape(0);
    const state = { sum: tl.zeros([BLOCK], "f32"), count: tl.zeros([BLOCK], "i32") };
    const { sum, count } = tl.loop({ to: rows, step: BLOCK }, state, (first, s) => {
      const inside = tl.arange(0, BLOCK).add(first).lt(rows);
      const counts = p.labels.load([first], [BLOCK]).ne(p.ignoreIndex).and(inside);
      return { sum: s.sum.add(p.losses.load([first], [BLOCK])), count: s.count.add(counts.to("i32")) };
    });
    const divisor = MEAN ? tl.maximum(tl.sum(count, 0), 1).to("f32") : tl.full([], 1, "f32");
    p.total.store([0], tl.sum(sum, 0).div(divisor));
    p.rowWeight.store([0], tl.div(1, divisor));
  },
});

const backwardConstants = { BLOCK: 2048 };
const backwardParams = {
  labels: tl.tensor("i32", 1),
  statistics: tl.tensor("f32", 2),
  dloss: tl.tensor("f32", 1),
  dlogits: tl.tensor("T", 2),
  ignoreIndex: tl.scalar("i32"),
  scale: tl.scalar("f32"),
} as const;

/** dlogits = (softmax(logits) - onehot(label)) · dloss · scale, and 0 in rows that are ignored; BLOCK columns of one row. */
function backwardBody(
  p: BodyParameters<typeof backwardParams>,
  logits: TensorView<"T", 2>,
  { BLOCK }: BodyConstants<typeof backwardConstants>,
): void {
  const first = tl.programId(0).mul(BLOCK);
  const row = tl.programId(1);
  const { label, counts } = labelOf(p.labels, row, logits.shape(1), p.ignoreIndex);
  const [max, sum] = [p.statistics.load([row, 0], []), p.statistics.load([row, 1], [])];
  const factor = tl.where(counts, p.dloss.load([row], []).mul(p.scale), 0);
  const softmax = tl.exp(logits.load([row, first], [BLOCK]).to("f32").sub(max)).fdiv(sum);
  const target = tl.arange(0, BLOCK).add(first).eq(label).to("f32");
  p.dlogits.store([row, first], softmax.sub(target).mul(factor).to(p.dlogits.dtype));
}

const backwardGrid = (p: { dlogits: GridTensor }, { BLOCK }: { BLOCK: number }) => [
  tl.cdiv(p.dlogits.shape(1), BLOCK),
  p.dlogits.shape(0),
];

export const crossEntropyBackwardKernel = kernel({
  name: "cross_entropy_backward",
  constants: backwardConstants,
  params: { logits: tl.tensor("T", 2), ...backwardParams },
  grid: backwardGrid,
  hints,
  body: (p, constants) => backwardBody(p, p.logits, constants),
});

/** The same over the logits themselves: `dlogits` holds them before, which saves the largest tensor of a training step. */
export const crossEntropyBackwardInPlaceKernel = kernel({
  name: "cross_entropy_backward_in_place",
  constants: backwardConstants,
  params: backwardParams,
  grid: backwardGrid,
  hints,
  body: (p, constants) => backwardBody(p, p.dlogits, constants),
});
