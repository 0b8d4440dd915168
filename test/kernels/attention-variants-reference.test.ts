/** The reference of the variants: its gradients are those of its own outputs, by central differences in f64. */
import { describe, expect, it } from "vitest";
import { biasShape, make, normals, problemOf, titleOf, type VariantCase } from "./attention-variants-cases.ts";
import { type DenseInputs, denseAttention } from "./attention-variants-reference.ts";

const size = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);
const small = { queries: 4, keys: 5, headDim: 3, valueDim: 2, queryHeads: 2, keyHeads: 1 } as const;

/** Largest difference between each gradient and the difference quotient of the sum of out ∘ dout. */
function errors(c: VariantCase): Record<string, number> {
  const normal = (count: number, seed: number) => Float64Array.from(normals(count, seed));
  const operand = (heads: number, rows: number, dim: number, seed: number) =>
    normal(c.batch * heads * rows * dim, seed);
  const terms = [1, 2].slice(0, c.threshold === undefined ? 1 : 2).map((i) => ({
    q: operand(c.queryHeads, c.queries, c.headDim, i),
    k: operand(c.keyHeads, c.keys, c.headDim, i + 2),
  }));
  const v = operand(c.keyHeads, c.keys, c.valueDim, 5);
  const dout = operand(c.queryHeads, c.queries, c.valueDim, 6);
  const bias = c.bias && normal(size(biasShape(c)), 7);
  const sinks = c.sinks ? normal(c.queryHeads, 8) : undefined;
  const given: DenseInputs = { terms, v, dout };
  const problem = problemOf(c, {
    dropout:
      c.dropout === undefined ? undefined : { probability: c.dropout, keep: (b, h, m, n) => (b + h + m + n) % 3 > 0 },
  });
  const run = () =>
    denseAttention(
      { ...problem, ...(bias && { bias: { values: bias, shape: biasShape(c) } }), ...(sinks && { sinks }) },
      given,
    );
  const loss = () => run().out!.reduce((sum, x, i) => sum + x * dout[i]!, 0);
  const gradients = run();
  const inputs: Record<string, Float64Array | undefined> = {
    ...Object.fromEntries(
      terms.flatMap(({ q, k }, i) => [
        [`dq${i + 1}`, q],
        [`dk${i + 1}`, k],
      ]),
    ),
    dv: v,
    dbias: bias,
    dsinks: sinks,
  };
  const step = 1e-5;
  return Object.fromEntries(
    Object.entries(inputs).flatMap(([name, values]) => {
      if (!values) return [];
      const differences = values.map((x, i) => {
        values[i] = x + step;
        const above = loss();
        values[i] = x - step;
        const below = loss();
        values[i] = x;
        return Math.abs((above - below) / (2 * step) - gradients[name]![i]!);
      });
      return [[name, Math.max(...differences)]];
    }),
  );
}

describe("gradients of the reference are those of its outputs", () => {
  const cases = [
    make({ ...small, window: [2, 0], sinkTokens: 1 }),
    make({ ...small, softcap: 2, alibi: true, bias: [false, true, false], batch: 2 }),
    make({ ...small, sinks: true, dropout: 0.3, keyLengths: [3] }),
    make({ ...small, threshold: 2, prefix: [3], bias: [true, true, true], sinks: true }),
    make({ ...small, documents: { queries: [2, 2], keys: [1, 4] }, softcap: 3, sinks: true }),
  ];
  it.each(cases.map((c) => [titleOf(c), c] as const))("%s", (_, c) => {
    // Central differences are off by step² times the third derivative, which is of the order of 1 to 100 here, and by rounding of about 1e-16 / step.
    for (const [name, error] of Object.entries(errors(c))) expect(error, name).toBeLessThan(1e-7);
  });
});
