/**
 * @file The conformance test of attention's gradients, of PiecewiseAttention and of dropout: written once, instantiated for every back end.
 * Against f64, under the project's rule that an error is at most twice that of the naive computation in the same dtype, plus 1e-5.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attention, exactArithmetic, largestDifference } from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { type GradientCase, gradientCases, make, piecewiseCases, titleOf } from "./attention-backward-cases.ts";
import {
  dropoutOf,
  dropoutSeed,
  errorShares,
  expectedOf,
  type Inputs,
  inputsOf,
  type MemoryOrder,
  mapInputs,
  runOperators,
  sizeOf,
  tensorOf,
} from "./attention-errors.ts";
import { expectWithinRule } from "./judge.ts";

const tensorsOf = (device: Device, c: GradientCase, order?: MemoryOrder): Inputs<Tensor> =>
  mapInputs(inputsOf(c), (input) => tensorOf(device, input, c.dtype, order));
const valuesOf = (c: GradientCase): Inputs<Float32Array> => mapInputs(inputsOf(c), ({ values }) => values);
const read = async (tensor: Tensor): Promise<Float32Array> => (await tensor.read()) as Float32Array;

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** What f32 statistics and the dtype's rounding may do to gradients of logits of any magnitude. */
function largeLogitBounds(c: GradientCase, inputs: Inputs<Float32Array>, expected: Record<string, Float64Array>) {
  // Weights are recomputed with relative error `relative`: lse and lse · log2(e) are rounded to f32, then weights and their gradients to the dtype.
  const unit = { f16: 2 ** -11, bf16: 2 ** -8, f32: 2 ** -24 }[c.dtype];
  const relative = 2 ** -23 * largest(expected.lse!.filter(Number.isFinite)) + 4 * unit;
  const dWeight = c.valueDim * largest(inputs.dout) * largest(inputs.v);
  const dLogit = 2 * dWeight * relative * c.scale;
  const heads = c.queryHeads / c.keyHeads;
  return {
    out: 4 * relative * largest(inputs.v),
    totalAttention: relative * c.queries,
    dv: relative * c.queries * heads * largest(inputs.dout),
    dq: dLogit * c.keys * largest([...inputs.k1, ...inputs.k2]),
    dk: dLogit * c.queries * heads * largest([...inputs.q1, ...inputs.q2]),
  };
}

/** Which part of the suite runs. */
export interface GradientSuiteOptions {
  /** Every n-th case; all by default. For back ends that take seconds to compile each. */
  readonly every?: number;
  /** Random shapes. */
  readonly randomRuns?: number;
  /** Also strides, empty axes, extreme values, the bits of dropout. Default true. */
  readonly details?: boolean;
}

/** Random small problems, in f32: of a few elements in 16 bits the naive computation may be right by luck, and the rule asks for twice that. */
const randomCases: fc.Arbitrary<GradientCase> = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    keyHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 6 }),
    queries: fc.integer({ min: 1, max: 90 }),
    keys: fc.integer({ min: 1, max: 90 }),
    headDim: fc.integer({ min: 1, max: 40 }),
    valueDim: fc.integer({ min: 1, max: 40 }),
    causal: fc.boolean(),
    threshold: fc.option(fc.integer({ min: -100, max: 100 }), { nil: undefined }),
    dropout: fc.option(fc.constantFrom(0.1, 0.5), { nil: undefined, freq: 3 }),
  })
  .map(({ group, ...c }) => make({ ...c, queryHeads: c.keyHeads * group }));

export function describeAttentionGradients(
  title: string,
  device: () => Device,
  { every = 1, randomRuns = 12, details = true }: GradientSuiteOptions = {},
): void {
  const expectRight = async (c: GradientCase) =>
    expectWithinRule(await errorShares(device(), c), c, c.threshold === undefined ? 6 : 8);

  describe.each([
    ["attention", gradientCases],
    ["piecewise attention", piecewiseCases],
  ])(`gradients of %s on ${title}`, (_, cases) => {
    const chosen = cases.filter((_, i) => i % every === 0);
    it.each(chosen.map((c) => [titleOf(c), c] as const))("%s", (_, c) => expectRight(c));
  });

  it(`gradients of random shapes on ${title}`, async () => {
    await fc.assert(fc.asyncProperty(randomCases, expectRight), { numRuns: randomRuns, seed: 10086 });
  });

  if (!details) return;
  describe(`attention's backward on ${title}`, () => {
    const small = make({ batch: 2, queryHeads: 4, queries: 21, keys: 27 });
    const both = [small, { ...small, threshold: 5 }];

    it.each(["f32", "f16"] as const)(
      "has no NaN for logits of 10^4, and gradients as good as f32 statistics allow: %s",
      async (dtype) => {
        for (const threshold of [undefined, 8]) {
          const c = make({ dtype, threshold, scale: 250, magnitude: 3, queries: 26, keys: 24 });
          const results = runOperators(c, tensorsOf(device(), c));
          const inputs = valuesOf(c);
          const expected = expectedOf(c, inputs, undefined, exactArithmetic);
          expect(largest(expected.lse!.filter(Number.isFinite))).toBeGreaterThan(1e4);
          const bounds: Record<string, number> = largeLogitBounds(c, inputs, expected);
          for (const [name, values] of Object.entries(expected)) {
            if (name === "lse") continue;
            const bound = bounds[name.replace(/\d$/, "")];
            expect(largestDifference(await read(results[name]!), values), name).toBeLessThanOrEqual(bound!);
          }
        }
      },
    );

    it("has no NaN for denormal inputs", async () => {
      for (const c of both) {
        const results = runOperators(c, tensorsOf(device(), { ...c, magnitude: 1e-40 }));
        for (const [name, tensor] of Object.entries(results))
          if (name !== "lse") expect((await read(tensor)).some(Number.isNaN), name).toBe(false);
      }
    });

    it("gives gradient 0 to queries that see no key", async () => {
      for (const c of both) {
        const results = runOperators(c, tensorsOf(device(), { ...c, queries: 70, keys: 27 }));
        for (const name of c.threshold === undefined ? ["dq"] : ["dq1", "dq2"]) {
          const dq = await read(results[name]!);
          const blind = dq.filter((_, i) => Math.floor(i / c.headDim) % 70 < 70 - 27);
          expect(blind.every((x) => x === 0)).toBe(true);
        }
      }
    });

    it("gives the same bits twice", async () => {
      for (const c of both) {
        const made = tensorsOf(device(), { ...c, dtype: "f16" });
        const run = async () => Promise.all(Object.values(runOperators(c, made)).map((tensor) => tensor.readRaw()));
        expect(await run()).toEqual(await run());
      }
    });

    it("takes BTHD tensors by their strides, and an output gradient that repeats one number", async () => {
      for (const c of both) {
        const [plain, moved] = (["BHTD", "BTHD"] as const).map((order) =>
          runOperators(c, tensorsOf(device(), c, order)),
        );
        for (const [name, tensor] of Object.entries(plain!))
          expect(await read(moved![name]!), name).toEqual(await read(tensor));

        const { dout: filler, ...others } = tensorsOf(device(), c);
        const { shape } = filler;
        const one = device().tensor(Float32Array.of(1), { shape: [1, 1, 1, 1], dtype: "f32" });
        const ones = device().tensor(new Float32Array(sizeOf(shape)).fill(1), { shape, dtype: "f32" });
        const [expanded, filled] = [one.expand(shape), ones].map((dout) => runOperators(c, { ...others, dout }));
        for (const [name, tensor] of Object.entries(filled!))
          expect(await read(expanded![name]!), name).toEqual(await read(tensor));
      }
    });

    it("gives zeros for no keys and for no queries", async () => {
      for (const c of both) {
        const noKeys = runOperators(c, tensorsOf(device(), { ...c, keys: 0 }));
        const noQueries = runOperators(c, tensorsOf(device(), { ...c, queries: 0 }));
        const suffixes = c.threshold === undefined ? [""] : ["1", "2"];
        for (const [results, names, size] of [
          [noKeys, suffixes.map((i) => `dq${i}`), 2 * 4 * 21 * 16],
          [noQueries, [...suffixes.map((i) => `dk${i}`), "dv"], 2 * 2 * 27 * 16],
        ] as const)
          for (const name of names) expect([...(await read(results[name]!))]).toEqual(new Array(size).fill(0));
        expect((await read(noKeys.dv!)).length).toBe(0);
        expect((await read(noQueries.totalAttention!)).every((x) => x === 0)).toBe(true);
      }
    });

    it("drops what FlagAttention drops, with 32-bit and with 64-bit offsets", async () => {
      // Equal logits and the unit vectors as values: the output shows which weights were kept.
      const c = make({ queryHeads: 4, keyHeads: 2, batch: 2, queries: 19, keys: 16, causal: false, dropout: 0.5 });
      for (const offset of [0n, 987654321n, 2n ** 31n, 123456789123456789n]) {
        const random = dropoutOf(c, offset)!;
        const zeros = device().zeros([2, 4, 19, 16], "f32");
        const unit = Float32Array.from({ length: 4 * 16 * 16 }, (_, i) => ((i % 256) % 17 === 0 ? 1 : 0));
        const v = device().tensor(unit, { shape: [2, 2, 16, 16], dtype: "f32" });
        const { probability } = random;
        const { out } = attention({ q: zeros, k: v, v, dropout: { probability, seed: dropoutSeed, offset } });
        const kept = Array.from(await read(out), (x) => x > 0);
        const expected = kept.map((_, i) =>
          random.keep(Math.floor(i / (4 * 19 * 16)), Math.floor(i / (19 * 16)) % 4, Math.floor(i / 16) % 19, i % 16),
        );
        expect(kept).toEqual(expected);
      }
      const wide = make({ dropout: 0.5, threshold: 8, queries: 19, keys: 24, queryHeads: 4, keyHeads: 2 });
      expectWithinRule(await errorShares(device(), wide, { offset: 123456789123456789n }), wide, 8);
    });
  });
}
