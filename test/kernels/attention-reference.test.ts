/** The f64 gradients that kernels are compared with, against finite differences of the f64 forward reference. */
import { describe, expect, it } from "vitest";
import {
  type AttentionCase,
  type AttentionExtras,
  attend,
  attentionGradients,
  exactArithmetic,
} from "../../src/kernels/index.ts";
import { normalNumbers } from "../support/rounding.ts";

const shape: AttentionCase = {
  batch: 2,
  queryHeads: 4,
  keyHeads: 2,
  queries: 4,
  keys: 5,
  headDim: 3,
  valueDim: 2,
  causal: true,
  scale: 0.6,
};
const step = 1e-5;
/** Central differences of functions of size 1: the step's square times a third derivative, and 2^-53 lost in a difference over 2 steps. */
const allowed = 1e-8;

const cases: [title: string, c: AttentionCase & AttentionExtras, terms: number][] = [
  ["causal", shape, 1],
  ["full", { ...shape, causal: false }, 1],
  ["rows that see no key", { ...shape, queries: 5, keys: 3 }, 1],
  ["piecewise", { ...shape, threshold: 2 }, 2],
  ["piecewise, not causal, negative threshold", { ...shape, causal: false, threshold: -1 }, 2],
  [
    "dropout",
    { ...shape, dropout: { probability: 0.25, keep: (b, h, m, n) => (b + 3 * h + 5 * m + 7 * n) % 4 !== 0 } },
    1,
  ],
  ["a window", { ...shape, sees: (_b, _h, m, n) => 1 + m - n >= 0 && 1 + m - n < 3 }, 1],
  [
    "a cap and a bias on logits",
    {
      ...shape,
      logits: {
        apply: (x, _b, h, m, n) => 2 * Math.tanh(x / 2) - 0.1 * (h + 1) * (m - n),
        slope: (x) => 1 - Math.tanh(x / 2) ** 2,
      },
    },
    1,
  ],
];

describe("f64 gradients against finite differences", () => {
  it.each(cases)("%s", (_, c, count) => {
    const next = normalNumbers(7);
    const random = (size: number) => Float64Array.from({ length: size }, next);
    const querySize = c.batch * c.queryHeads * c.queries;
    const keySize = c.batch * c.keyHeads * c.keys;
    const terms = Array.from({ length: count }, () => ({
      q: random(querySize * c.headDim),
      k: random(keySize * c.headDim),
    }));
    const [v, dout] = [random(keySize * c.valueDim), random(querySize * c.valueDim)];
    const loss = () => attend(c, { terms, v }, exactArithmetic).out.reduce((sum, x, i) => sum + x * dout[i]!, 0);

    const gradients = attentionGradients(c, { terms, v }, dout, exactArithmetic);
    const pairs: [Float64Array, Float64Array][] = [
      ...terms.flatMap(({ q, k }, i): [Float64Array, Float64Array][] => [
        [q, gradients.terms[i]!.dq],
        [k, gradients.terms[i]!.dk],
      ]),
      [v, gradients.dv],
    ];
    for (const [input, gradient] of pairs)
      for (let i = 0; i < input.length; i++) {
        const x = input[i]!;
        input[i] = x + step;
        const above = loss();
        input[i] = x - step;
        const below = loss();
        input[i] = x;
        expect(Math.abs((above - below) / (2 * step) - gradient[i]!)).toBeLessThan(allowed);
      }
  });
});
