/** Attention with T5's bias (arXiv 1910.10683): a table entry for each bucket of distances, which grow with the logarithm; found in the kernel. */
import { expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf } from "./trial.ts";

/** Buckets of a direction: as many for single distances as for ranges of them. */
const [BUCKETS, SINGLE, FARTHEST] = [16, 8, 128];
const STRETCH = (BUCKETS - SINGLE) / Math.log(FARTHEST / SINGLE);
/** Keeps distances at which a bucket begins off its edge, whatever a logarithm is off. */
const NUDGE = 1e-3;

const relative = kernel({
  name: "relative_bias_attention",
  constants: { M: 32, N: 32, D: 32 },
  params: {
    q: tl.tensor("T", 2),
    k: tl.tensor("T", 2),
    v: tl.tensor("T", 2),
    table: tl.tensor("f32", 1),
    out: tl.tensor("f32", 2),
  },
  grid: (p, { M }) => [tl.cdiv(p.q.shape(0), M)],
  body(p, { M, N, D }) {
    const m = tl.programId(0).mul(M);
    const q = p.q.load([m, 0], [M, D]);
    const [rows, length] = [m.add(tl.arange(0, M)), p.k.shape(0)];
    const begin = { acc: tl.zeros([M, D], "f32"), max: tl.full([M], -1e30, "f32"), sum: tl.zeros([M], "f32") };
    const { acc, sum } = tl.loop({ to: length, step: N }, begin, (n, s) => {
      const columns = n.add(tl.arange(0, N));
      const apart = columns.perColumn().sub(rows.perRow());
      const distance = apart.abs();
      const log = distance
        .to("f32")
        .maximum(1)
        .mul(1 / SINGLE)
        .log()
        .mul(STRETCH)
        .add(NUDGE);
      const bucket = tl.where(
        distance.lt(SINGLE),
        distance,
        log
          .to("i32")
          .add(SINGLE)
          .minimum(BUCKETS - 1),
      );
      const bias = tl.load(p.table.pointer.add(bucket.add(apart.gt(0).to("i32").mul(BUCKETS))));
      const logits = tl.dot(q, p.k.load([n, 0], [N, D]).trans()).add(bias);
      const seen = tl.where(columns.lt(length).perColumn(), logits, -1e30);
      const max = s.max.maximum(tl.max(seen, 1));
      const [weights, shrunk] = [seen.sub(max.perRow()).exp(), s.max.sub(max).exp()];
      return {
        acc: tl.dot(weights.to(p.v.dtype), p.v.load([n, 0], [N, D]), s.acc.mul(shrunk.perRow())),
        max,
        sum: s.sum.mul(shrunk).add(tl.sum(weights, 1)),
      };
    });
    p.out.store([m, 0], acc.div(sum.perRow()));
  },
});

onEveryTarget((device) => {
  it("sees 60 keys on both sides", async () => {
    const [length, d] = [60, 32];
    const [q, k] = [numbers("f16", [length, d], 1, 0.5), numbers("f16", [length, d], 2, 0.5)];
    const [v, table] = [numbers("f16", [length, d], 3), numbers("f32", [2 * BUCKETS], 4)];
    const bucketOf = (apart: number): number => {
      const distance = Math.abs(apart);
      const far = SINGLE + Math.trunc(Math.log(distance / SINGLE) * STRETCH + NUDGE);
      return (apart > 0 ? BUCKETS : 0) + (distance < SINGLE ? distance : Math.min(BUCKETS - 1, far));
    };
    const values = new Float64Array(length * d);
    for (let i = 0; i < length; i++) {
      const weights = Array.from({ length }, (_, j) => {
        let logit = table.values[bucketOf(j - i)]!;
        for (let c = 0; c < d; c++) logit += q.values[i * d + c]! * k.values[j * d + c]!;
        return Math.exp(logit);
      });
      const sum = weights.reduce((a, b) => a + b);
      for (let c = 0; c < d; c++)
        values[i * d + c] = weights.reduce((total, w, j) => total + w * v.values[j * d + c]!, 0) / sum;
    }
    const out = device.empty([length, d], "f32");
    const given = { q: q.on(device), k: k.on(device), v: v.on(device), table: table.on(device) };
    device.launch(relative, { ...given, out });
    // Weights are rounded to halves: 2^13 units of f32 of values up to 1.
    await expectClose(out, { values, magnitudes: values.map(() => 1) }, 2 ** 13 + 100);
  });
});

it("gathers the bias where the logits are, by one load for each distance that a thread meets, and copies only k and v ahead", () => {
  const [loop] = ptxOf(relative, { dtypes: { T: "f16" }, constants: { M: 64, N: 64, D: 64 } }).loops;
  expect([loop!(/^bar/), loop!(/^(st|ld)\.shared/), loop!(/^cp\.async\.cg/)]).toEqual([1, 0, 8]);
  // 32 logits a thread, 18 different distances.
  expect(loop!(/^ld\.global/)).toBe(18);
});
