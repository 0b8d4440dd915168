/**
 * @file The conformance test of logits of every finite size, once for every back end: of biases that are added to all keys of a query, such as the lowest number
 * of a dtype, by which callers hide keys; of products. What is right is the softmax of the f32 logits: equal ones have equal weights, however large
 * they are, and -Infinity alone hides a key.
 */
import { describe, expect, it } from "vitest";
import {
  allowedError,
  attention,
  attentionBackward,
  largestDifference,
  pagedAttention,
} from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { randomValues, roundTo } from "../support/rounding.ts";
import { sizeOf } from "./attention-errors.ts";
import { biasShape, make, titleOf, type VariantCase } from "./attention-variants-cases.ts";
import { argumentsOf, givenOf, type Inputs, inputsOf, read, runOperators } from "./attention-variants-errors.ts";
import { denseAttention } from "./attention-variants-reference.ts";

const lowest = -(2 ** 128 - 2 ** 104);
const lowestBf16 = -(2 ** 128 - 2 ** 120);

/** Biases of a query's keys, in turn, and so for each query. */
const levels = {
  lowest: [[lowest]],
  large: [[-5e9], [5e9], [0], [-3.3e38], [lowest]],
  mixed: [
    [-5e9, -3.4e38],
    [0, -5e9],
    [lowest, 5e9, 0],
    [-5e9, -5e9, -1e10],
    [0, lowest],
    [-1e10, Number.NEGATIVE_INFINITY],
  ],
  highest: [[1e38], [1e38, 0], [-1e38, 1e38]],
  f16: [[-65504], [0, -65504], [65504]],
  bf16: [[lowestBf16], [0, lowestBf16], [-5e9]],
} satisfies Record<string, readonly (readonly number[])[]>;

type Case = VariantCase & { readonly levels: keyof typeof levels };
const extreme = (name: keyof typeof levels, change: Partial<VariantCase> = {}): Case => ({
  ...make({ bias: [false, true, true], queries: 37, keys: 70, causal: false, ...change }),
  levels: name,
});

const cases: readonly Case[] = [
  extreme("mixed", { dtype: "f16", biasDtype: "f32" }),
  extreme("large"),
  extreme("lowest", { dtype: "f16", biasDtype: "f32", keyLengths: [0, 45], batch: 2 }),
  extreme("mixed", { causal: true, window: [30, 4], sinks: true, bias: [true, true, true] }),
  extreme("large", { dtype: "bf16", biasDtype: "f32", softcap: 5, queries: 70, keys: 150 }),
  extreme("large", { queries: 5, keys: 130, splits: 2, dtype: "f16", biasDtype: "f32" }),
  extreme("bf16", { dtype: "bf16", queries: 70, keys: 150 }),
  extreme("highest", { threshold: 5, dtype: "f16", biasDtype: "f32" }),
  extreme("mixed", { queries: 3, keys: 130, queryHeads: 4, splits: 3, dropout: 0.3 }),
  extreme("f16", { dtype: "f16", alibi: true }),
];

/** The inputs of a case with its biases. Where lse is so far from 0 that its rounding shows in the weights (`shareOfLse`), dout is 0. */
function extremeInputs(device: Device, c: Case): Inputs {
  const inputs = inputsOf(device, c);
  const rows: readonly (readonly number[])[] = levels[c.levels];
  const dtype = c.biasDtype ?? c.dtype;
  const bias = inputs.bias!.values.map((noise, i) => {
    const ofRow = rows[(Math.floor(i / c.keys) % c.queries) % rows.length]!;
    const level = ofRow[(i % c.keys) % ofRow.length]!;
    return Math.abs(level) < 1e38 ? roundTo(dtype, level + noise) : level;
  });
  const dout = inputs.dout.values.map((x, i) => {
    const ofRow = rows[(Math.floor(i / c.valueDim) % c.queries) % rows.length]!;
    return Math.max(...ofRow.map((level) => (Math.abs(level) === 65504 ? 1 : 0))) && !ofRow.includes(0) ? 0 : x;
  });
  const shape = [c.batch, c.queryHeads, c.queries, c.valueDim];
  return {
    ...inputs,
    bias: { values: bias, tensor: device.tensor(bias, { shape: biasShape(c), dtype }) },
    dout: { values: dout, tensor: device.tensor(dout, { shape, dtype: c.dtype }) },
  };
}

/** From there on an f32 lse says nothing about weights: such queries have no gradients, nor a part in the column sums. */
const mostOfGradients = 2 ** 24 * Math.LN2;
/** Roundings of lse, of its product with log2(e) and of the exponent, relative to lse: by so much weights from lse are wrong. */
const shareOfLse = 3 * 2 ** -24;

const exact = (x: number): number => x;

async function expectRight(device: Device, c: Case): Promise<void> {
  const inputs = extremeInputs(device, c);
  const [problem, given] = givenOf(c, inputs);
  const reference = denseAttention(problem, given, exact, Math.fround);
  const lse = reference.lse!;
  const counts = (b: number, h: number, m: number) =>
    Math.abs(lse[(b * c.queryHeads + h) * c.queries + m]!) < mostOfGradients;
  const counting: typeof problem = {
    ...problem,
    term: (b, h, m, n) => (counts(b, h, m) ? problem.term(b, h, m, n) : undefined),
  };
  const resultsOf = (of: typeof problem) => ({
    expected: denseAttention(of, given, exact, Math.fround),
    naive: denseAttention(of, given, (x) => roundTo(c.dtype, x), Math.fround),
  });
  const [all, some] = [resultsOf(problem), resultsOf(counting)];
  const largestLse = some.expected.lse!.reduce(
    (most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most),
    0,
  );

  for (const [name, tensor] of Object.entries(runOperators(c, inputs, argumentsOf(device, c, inputs)))) {
    const values = await read(tensor);
    if (name === "lse") {
      for (const [i, value] of values.entries())
        if (value !== lse[i])
          expect(Math.abs(value - lse[i]!), `lse ${i}`).toBeLessThanOrEqual(1e-5 + shareOfLse * Math.abs(lse[i]!));
      continue;
    }
    const { expected, naive } = name === "out" ? all : some;
    const rounded = name === "dbias" ? naive[name]!.map((x) => roundTo(c.biasDtype ?? c.dtype, x)) : naive[name]!;
    const ofLse = name === "totalAttention" ? shareOfLse * largestLse * Math.max(...expected[name]!) : 0;
    const error = largestDifference(values, expected[name]!);
    expect(error / (allowedError(rounded, expected[name]!) + ofLse), name).toBeLessThanOrEqual(1);
  }
}

/** `every`: only each so many-th case, and `products` whether those too: for devices that are slow to compile. */
export function describeExtremes(title: string, device: () => Device, { every = 1, products = true } = {}): void {
  describe(`logits of every size on ${title}`, () => {
    const some = cases.filter((_, i) => i % every === 0);
    it.each(some.map((c) => [`${c.levels} ${titleOf(c)}`, c] as const))("bias %s", (_, c) => expectRight(device(), c));

    it("over pages as over tensors, to the bit", async () => {
      // A tensor of keys is a cache with one page.
      const [keys, queries] = [48, 2];
      const normal = (shape: readonly [number, number, number, number], seed: number) =>
        device().tensor(randomValues("f16", sizeOf(shape), seed), { shape, dtype: "f16" });
      const [q, k, v] = [normal([1, 4, queries, 16], 1), normal([1, 2, keys, 16], 2), normal([1, 2, keys, 16], 3)];
      const bias = device().tensor(
        Float32Array.from({ length: queries * keys }, (_, i) => (i < keys ? lowest : i % 3 === 0 ? -5e9 : -1e10)),
        { shape: [1, 1, queries, keys], dtype: "f32" },
      );
      const shared = { q, bias, splits: 2, returnLse: true };
      const integers = (shape: readonly number[], value: number) =>
        device().tensor(Int32Array.of(value), { shape, dtype: "i32" });
      const pages = {
        keyCache: k,
        valueCache: v,
        contextLengths: integers([1], keys),
        blockTables: integers([1, 1], 0),
      };
      const [expected, { out, lse }] = [
        attention({ ...shared, k, v }),
        pagedAttention({ ...shared, causal: false, ...pages }),
      ];
      expect(await read(out)).toEqual(await read(expected.out));
      expect(await read(lse!)).toEqual(await read(expected.lse!));
      // The first query has the mean of all values.
      const values = await read(v);
      for (const e of Array.from({ length: 16 }, (_, i) => i)) {
        const mean = Array.from({ length: keys }, (_, n) => values[n * 16 + e]!).reduce((a, b) => a + b) / keys;
        expect(Math.abs((await read(out))[e]! - mean)).toBeLessThanOrEqual(2 ** -10);
      }
    });

    if (!products) return;
    const [M, N, D] = [5, 40, 16];
    /** Products of one query and its keys at +-`size`, those of equal keys equal; the second query's are moderate, the others' 0. */
    const operandsOf = (dtype: "f32" | "f16" | "bf16", sign: number, size: number) => {
      const tensor = (values: Float32Array, rows: number) => device().tensor(values, { shape: [1, 1, rows, D], dtype });
      const filled = (rows: number, of: (row: number, d: number) => number) =>
        Float32Array.from({ length: rows * D }, (_, i) => of(Math.floor(i / D), i % D));
      const root = Math.sqrt(size / D);
      const v = randomValues(dtype, N * D, 3);
      return {
        v,
        arguments: {
          q: tensor(
            filled(M, (m, d) => (m === 0 ? sign * root : m === 1 && d === 0 ? 1 / root : 0)),
            M,
          ),
          k: tensor(
            filled(N, (n) => root * (n % 4 === 0 ? 1 : 0.5)),
            N,
          ),
          v: tensor(v, N),
          scale: 1,
        },
      };
    };
    const meanOf = (v: Float32Array, sees: (n: number) => boolean) =>
      Array.from({ length: D }, (_, e) => {
        const seen = Array.from({ length: N }, (_, n) => n).filter(sees);
        return seen.reduce((sum, n) => sum + v[n * D + e]!, 0) / seen.length;
      });

    it.each([1, -1])("products of f32 beyond %i times 2^34 and 2^120", async (sign) => {
      for (const size of [1.37 * 2 ** 34, 1.37 * 2 ** 120]) {
        const { v, arguments: args } = operandsOf("f32", sign, size);
        const values = await read(attention(args).out);
        const expected = meanOf(v, (n) => (n % 4 === 0) === sign > 0);
        for (const [e, x] of expected.entries()) expect(Math.abs(values[e]! - x)).toBeLessThan(1e-5);
      }
    });

    // Beside tensor cores weights of products take one operation, which bounds them.
    it.each(["f16", "bf16"] as const)(
      "products of %s: right within 2^26; beyond 2^31 on CUDA as of a query that sees no key, else right",
      async (dtype) => {
        for (const sign of [1, -1])
          for (const size of [1.37 * 2 ** 24, 1.3 * 2 ** 26, 1.37 * 2 ** 34]) {
            const { v, arguments: args } = operandsOf(dtype, sign, size);
            const { out, lse } = attention({ ...args, returnLse: true });
            const [values, normalisers] = [await read(out), await read(lse!)];
            const beyond = device().backend === "cuda" && size > 2 ** 31;
            const expected = beyond ? Array.from({ length: D }, () => 0) : meanOf(v, (n) => (n % 4 === 0) === sign > 0);
            const unit = dtype === "f16" ? 2 ** -10 : 2 ** -7;
            for (const [e, x] of expected.entries())
              expect(Math.abs(values[e]! - x)).toBeLessThanOrEqual(unit * Math.max(1, Math.abs(x)));
            expect(normalisers[0]).toSatisfy((x: number) =>
              beyond ? x === Number.NEGATIVE_INFINITY : Math.abs(x - sign * size * (sign > 0 ? 1 : 0.5)) < size / 16,
            );
            for (const [e, x] of meanOf(v, () => true).entries())
              expect(Math.abs(values[4 * D + e]! - x)).toBeLessThanOrEqual(unit * 4);
            const gradients = attentionBackward({
              ...args,
              out,
              lse: lse!,
              dout: args.q.device.tensor(new Float32Array(M * D).fill(1), { shape: [1, 1, M, D], dtype }),
            });
            for (const gradient of Object.values(gradients))
              expect((await read(gradient!)).every(Number.isFinite)).toBe(true);
          }
      },
    );
  });
}
