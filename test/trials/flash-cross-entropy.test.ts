/** Cross entropy of x Wᵀ without ever storing the logits (arXiv 2411.09009): a product in a loop in a loop, beside running statistics. */
import { expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const flashCrossEntropy = kernel({
  name: "flash_cross_entropy",
  constants: { ROWS: 64, CLASSES: 64, K: 32 },
  params: { x: tl.tensor("T", 2), weight: tl.tensor("T", 2), labels: tl.tensor("i32", 1), loss: tl.tensor("f32", 1) },
  grid: (p, { ROWS }) => [tl.cdiv(p.x.shape(0), ROWS)],
  body(p, { ROWS, CLASSES, K }) {
    const row = tl.programId(0).mul(ROWS);
    const labels = p.labels.load([row], [ROWS]).perRow();
    const classes = p.weight.shape(0);
    const zero = tl.zeros([ROWS], "f32");
    const start = { max: tl.full([ROWS], Number.NEGATIVE_INFINITY, "f32"), sum: zero, own: zero };
    const { max, sum, own } = tl.loop({ to: classes, step: CLASSES }, start, (first, s) => {
      const { logits } = tl.loop(
        { to: p.x.shape(1), step: K },
        { logits: tl.zeros([ROWS, CLASSES], "f32") },
        (k, { logits }) => ({
          logits: tl.dot(p.x.load([row, k], [ROWS, K]), p.weight.load([first, k], [CLASSES, K]).trans(), logits),
        }),
      );
      const column = tl.arange(0, CLASSES).add(first).perColumn();
      const seen = tl.where(column.lt(classes), logits, Number.NEGATIVE_INFINITY);
      const max = tl.maximum(s.max, tl.max(seen, 1));
      return {
        max,
        sum: s.sum.mul(s.max.sub(max).exp()).add(tl.sum(seen.sub(max.perRow()).exp(), 1)),
        own: s.own.add(tl.sum(tl.where(column.eq(labels), logits, 0), 1)),
      };
    });
    p.loss.store([row], max.add(sum.log()).sub(own));
  },
});

const [ROWS, CLASSES, DIM] = [100, 150, 72];
const [x, weight] = [numbers("bf16", [ROWS, DIM], 1), numbers("bf16", [CLASSES, DIM], 2, 0.5)];
const labels = Int32Array.from({ length: ROWS }, (_, row) => (row * 37) % CLASSES);

function reference(): Terms {
  const loss = new Terms(ROWS);
  labels.forEach((label, row) => {
    let size = 0;
    const logits = Array.from({ length: CLASSES }, (_, c) => {
      let [sum, terms] = [0, 0];
      for (let i = 0; i < DIM; i++) {
        const term = x.values[row * DIM + i]! * weight.values[c * DIM + i]!;
        sum += term;
        terms += Math.abs(term);
      }
      size = Math.max(size, terms);
      return sum;
    });
    const max = Math.max(...logits);
    const lse = max + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
    loss.set(row, lse - logits[label]!, 2 * size);
  });
  return loss;
}

onEveryTarget((device) => {
  it("three block rows of classes, the last one short", async () => {
    const loss = device.empty([ROWS], "f32");
    const given = {
      x: x.on(device),
      weight: weight.on(device),
      labels: device.tensor(labels, { shape: [ROWS], dtype: "i32" }),
    };
    device.launch(flashCrossEntropy, { ...given, loss });
    await expectClose(loss, reference(), DIM);
  });
});

it("has a pipelined product for its inner loop", () => {
  const [product] = ptxOf(flashCrossEntropy, { dtypes: { T: "bf16" } }).loops;
  expect(product!(/^(ld|st)\.(global|shared)/)).toBe(0);
  expect([product!(/^mma/), product!(/^cp\.async\.cg/), product!(/^bar\.sync/)]).toEqual([16, 4, 1]);
  // Of what is no product, copy or fragment, mostly addresses.
  expect(product!(/\.(s32|s64|u32|b32|b64|pred)$/)).toBeLessThan(50);
});
