/**
 * @file The conformance test of attention over raw queries and keys, RoPE in the load, with its gradients: written once, instantiated for every back
 * end. Against f64, under the project's rule that an error is at most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attention, piecewiseAttention, ropeAngles } from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { expectWithinRule } from "./judge.ts";
import { makeRotated, type RotatedCase, rotatedCases, titleOf } from "./rotated-cases.ts";
import { anglesOf, errorShares, frequenciesOf, inputsOf, mapped, runRotated } from "./rotated-errors.ts";

/** In f32: of a few elements in 16 bits the naive computation may be right by luck, and the rule asks for twice that. */
const randomCases: fc.Arbitrary<RotatedCase> = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    keyHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 6 }),
    queries: fc.integer({ min: 1, max: 70 }),
    more: fc.integer({ min: 0, max: 40 }),
    pairs: fc.integer({ min: 1, max: 20 }),
    rest: fc.constantFrom(0, 0, 3, 8),
    valueDim: fc.integer({ min: 1, max: 40 }),
    causal: fc.boolean(),
    layout: fc.constantFrom("half" as const, "interleaved" as const),
    threshold: fc.option(fc.integer({ min: -100, max: 100 }), { nil: undefined }),
    splits: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  })
  .map(({ group, more, pairs, rest, ...c }) =>
    makeRotated({
      ...c,
      queryHeads: c.keyHeads * group,
      keys: c.queries + more,
      turned: 2 * pairs,
      headDim: 2 * pairs + rest,
    }),
  );

export interface RotatedSuiteOptions {
  /** Every n-th case; all by default. For back ends that take seconds to compile each. */
  readonly every?: number;
  readonly randomRuns?: number;
  /** Also strides, properties, mistakes. Default true. */
  readonly details?: boolean;
}

export function describeRotated(
  title: string,
  device: () => Device,
  { every = 1, randomRuns = 12, details = true }: RotatedSuiteOptions = {},
): void {
  const expectRight = async (c: RotatedCase) => expectWithinRule(await errorShares(device(), c), c, 6);

  describe(`attention with RoPE in the load on ${title}`, () => {
    const chosen = rotatedCases.filter((_, i) => i % every === 0);
    it.each(chosen.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectRight(c));

    if (randomRuns > 0)
      it("random shapes", async () => {
        await fc.assert(fc.asyncProperty(randomCases, expectRight), { numRuns: randomRuns, seed: 10086 });
      });
    if (!details) return;

    it("a threshold that no distance reaches gives what plain RoPE gives, bit for bit", async () => {
      const c = makeRotated({ queries: 50, keys: 70, queryHeads: 4 });
      const made = mapped(inputsOf(device(), c), ({ tensor }) => tensor);
      using plain = anglesOf(device(), c);
      const map = { name: "own", threshold: 70, farQuery: () => 1e6, farKey: () => -1e6 };
      using mappedRope = ropeAngles(device(), { frequencies: frequenciesOf(c), map, length: c.keys });
      const [expected, actual] = [
        runRotated(c, plain, made),
        runRotated({ ...c, threshold: map.threshold }, mappedRope, made),
      ];
      for (const [name, tensor] of Object.entries(expected))
        expect(await actual[name]!.readRaw(), name).toEqual(await tensor.readRaw());
    });

    it("takes BTHD tensors by their strides, and gives the same bits twice", async () => {
      const c = makeRotated({ threshold: 12, queries: 21, keys: 27, queryHeads: 4, batch: 2, dtype: "f16" });
      const made = inputsOf(device(), c);
      using rope = anglesOf(device(), c);
      const moved = mapped(made, ({ values, tensor }) => {
        const [B, H, T, D] = tensor.shape as [number, number, number, number];
        const order = values.map((_, i) => {
          const [b, t, h, d] = [Math.floor(i / (T * H * D)), Math.floor(i / (H * D)) % T, Math.floor(i / D) % H, i % D];
          return values[((b * H + h) * T + t) * D + d]!;
        });
        return device()
          .tensor(order, { shape: [B, T, H, D], dtype: c.dtype })
          .permute([0, 2, 1, 3]);
      });
      const plain = mapped(made, ({ tensor }) => tensor);
      const runs = [plain, plain, moved].map((tensors) => runRotated(c, rope, tensors));
      for (const [name, tensor] of Object.entries(runs[0]!))
        for (const other of runs.slice(1)) expect(await other[name]!.read(), name).toEqual(await tensor.read());
    });

    it("names the argument that is wrong", () => {
      const zeros = (...shape: number[]) => device().zeros(shape, "f32");
      const good = { q: zeros(1, 2, 3, 8), k: zeros(1, 2, 5, 8), v: zeros(1, 2, 5, 8) };
      const angles = (terms: number, positions: number, pairs: number) => ({
        angles: zeros(2, terms, 2, positions, pairs),
        layout: "half" as const,
        [Symbol.dispose]: () => {},
      });
      const plain = (change: Partial<Parameters<typeof attention>[0]>) => () =>
        attention({ ...good, rope: angles(1, 5, 4), ...change });
      expect(plain({ rope: angles(2, 5, 4) })).toThrow(
        /"rope.angles" has shape .*must be \[2, 1, 2, positions, d\/2\]/,
      );
      expect(plain({ rope: angles(1, 4, 4) })).toThrow(/"rope.angles" has 4 positions, but there may be 5 keys/);
      expect(plain({ rope: angles(1, 5, 5) })).toThrow(/at least 1 pair of the 8 channels and at most half as many/);
      expect(plain({ rope: { ...angles(1, 5, 4), layout: "pairs" as never } })).toThrow(/"rope.layout" must be "half"/);
      expect(plain({ q: zeros(1, 2, 6, 8) })).toThrow(/"q" has 6 queries, but "k" only 5 keys/);
      expect(() => piecewiseAttention({ ...good, threshold: 3 } as never)).toThrow(/"rope" must be what ropeAngles/);
      const { q, k, v } = good;
      expect(() =>
        piecewiseAttention({ q1: q, k1: k, q2: q, k2: k, v, threshold: 3, rope: angles(2, 5, 4) } as never),
      ).toThrow(/"rope" and "q1" cannot be combined/);
      expect(() => piecewiseAttention({ ...good, rope: angles(2, 5, 4), threshold: 0.5 })).toThrow(
        /"threshold" must be/,
      );
    });
  });
}
