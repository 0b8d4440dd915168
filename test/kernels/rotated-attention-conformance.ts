/**
 * @file The conformance test of attention over raw queries and keys, RoPE in the load, with its gradients: written once, instantiated for every back
 * end. Against f64, under the project's rule that an error is at most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  allowedError,
  attention,
  attentionBackward,
  exactArithmetic,
  largestDifference,
  naiveArithmetic,
  piecewiseAttention,
  piecewiseAttentionBackward,
  plainRope,
  type RopeAngles,
  ropeAngles,
  ropeFrequencies,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { randomValues } from "../support/rounding.ts";
import {
  makeRotated,
  mapOf,
  type RotatedCase,
  type RotatedInputs,
  rotatedCases,
  rotatedReference,
  titleOf,
} from "./rotated-cases.ts";

const frequenciesOf = ({ turned, layout }: Pick<RotatedCase, "turned" | "layout">) =>
  ropeFrequencies({ ...plainRope(10000), layout }, { headDim: turned });

export const anglesOf = (device: Device, c: RotatedCase, length = c.keys + 3): RopeAngles =>
  ropeAngles(device, {
    frequencies: frequenciesOf(c),
    length,
    ...(c.threshold !== undefined && { map: mapOf(c) }),
  });

interface Made {
  readonly values: Float32Array;
  readonly tensor: Tensor;
}

function inputsOf(device: Device, c: RotatedCase): RotatedInputs<Made> {
  const make = (heads: number, length: number, dim: number, seed: number): Made => {
    const shape = [c.batch, heads, length, dim];
    const values = randomValues(c.dtype, c.batch * heads * length * dim, seed);
    return { values, tensor: device.tensor(values, { shape, dtype: c.dtype }) };
  };
  return {
    q: make(c.queryHeads, c.queries, c.headDim, 1),
    k: make(c.keyHeads, c.keys, c.headDim, 2),
    v: make(c.keyHeads, c.keys, c.valueDim, 3),
    dout: make(c.queryHeads, c.queries, c.valueDim, 4),
  };
}

const mapped = <T, U>({ q, k, v, dout }: RotatedInputs<T>, map: (x: T) => U): RotatedInputs<U> => ({
  q: map(q),
  k: map(k),
  v: map(v),
  dout: map(dout),
});

/** Everything that forward and backward operators give, by name. */
export function runRotated(
  c: RotatedCase,
  rope: RopeAngles,
  { q, k, v, dout }: RotatedInputs<Tensor>,
): Record<string, Tensor> {
  const { causal, scale, splits, threshold } = c;
  const operands = { q, k, v, rope, causal, scale };
  const wanted = { returnLse: true, returnTotalAttention: true, splits };
  if (threshold === undefined) {
    const { out, lse, totalAttention } = attention({ ...operands, ...wanted });
    const gradients = attentionBackward({ ...operands, out, lse: lse!, dout });
    return { out, lse: lse!, totalAttention: totalAttention!, ...gradients };
  }
  const { out, lse, totalAttention } = piecewiseAttention({ ...operands, ...wanted, threshold });
  const gradients = piecewiseAttentionBackward({ ...operands, threshold, out, lse: lse!, dout });
  return { out, lse: lse!, totalAttention: totalAttention!, ...gradients };
}

const read = async (tensor: Tensor): Promise<Float32Array> => (await tensor.read()) as Float32Array;

/** Errors as shares of what is allowed, by the result's name. */
async function errorShares(device: Device, c: RotatedCase): Promise<Record<string, number>> {
  const made = inputsOf(device, c);
  using rope = anglesOf(device, c);
  const results = runRotated(
    c,
    rope,
    mapped(made, ({ tensor }) => tensor),
  );
  const values = mapped(made, ({ values }) => values);
  const expected = rotatedReference(c, values, exactArithmetic);
  const naive = rotatedReference(c, values, naiveArithmetic(c.dtype));
  const shares: Record<string, number> = {};
  for (const [name, exact] of Object.entries(expected))
    shares[name] = largestDifference(await read(results[name]!), exact) / allowedError(naive[name]!, exact);
  for (const tensor of Object.values(results)) tensor.dispose();
  for (const { tensor } of Object.values(made)) tensor.dispose();
  return shares;
}

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
  const expectWithinRule = async (c: RotatedCase): Promise<void> => {
    const shares = await errorShares(device(), c);
    expect(Object.keys(shares)).toHaveLength(6);
    for (const [name, share] of Object.entries(shares)) expect(share, name).toBeLessThanOrEqual(1);
  };

  describe(`attention with RoPE in the load on ${title}`, () => {
    const chosen = rotatedCases.filter((_, i) => i % every === 0);
    it.each(chosen.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectWithinRule(c));

    if (randomRuns > 0)
      it("random shapes", async () => {
        await fc.assert(fc.asyncProperty(randomCases, expectWithinRule), { numRuns: randomRuns, seed: 10086 });
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
      expect(() => piecewiseAttention({ ...good, rope: angles(2, 5, 4), threshold: 0.5 })).toThrow(
        /"threshold" must be/,
      );
    });
  });
}
