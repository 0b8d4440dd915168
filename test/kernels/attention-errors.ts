/**
 * @file The errors of attention's operators on a device, forward and backward, plain and piecewise, as shares of what the project allows: twice
 * the error of the naive computation in the same dtype, plus 1e-5, all against f64. The one judge of the conformance tests, of FlagAttention's
 * grids and of the accuracy table. It knows nothing of a test framework.
 */
import {
  type Arithmetic,
  type AttentionCase,
  type AttentionExtras,
  allowedError,
  attend,
  attention,
  attentionBackward,
  attentionGradients,
  type DropoutArguments,
  exactArithmetic,
  type FloatDType,
  largestDifference,
  naiveArithmetic,
  piecewiseAttention,
  piecewiseAttentionBackward,
} from "../../src/kernels/index.ts";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { fastTritonRand, tritonRand } from "../support/philox.ts";
import { randomValues } from "../support/rounding.ts";

/** A call of the operators on random inputs. */
export interface AttentionProblem extends AttentionCase {
  readonly dtype: FloatDType;
  /** Standard deviation of the inputs. */
  readonly magnitude: number;
  /** PiecewiseAttention with this threshold; plain attention without. */
  readonly threshold?: number;
  /** Probability of dropout. */
  readonly dropout?: number;
  /** Of the keys, in the forward pass. Default: the operators' own choice. */
  readonly splits?: number;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);
export const dropoutSeed = 0x1234_5678_9abc_def0n;

const slowNumbers = new Map<bigint, number>();

/** Dropout's number at a counter beyond 32 bits. Slow to compute, and asked for again by every pass of every problem. */
function slowRand(counter: bigint): number {
  const number = slowNumbers.get(counter) ?? tritonRand(dropoutSeed, counter, 6, 64);
  slowNumbers.set(counter, number);
  return number;
}

/** The dropout of a problem as the reference takes it. */
export function dropoutOf(c: AttentionProblem, offset: bigint): AttentionExtras["dropout"] {
  if (c.dropout === undefined) return undefined;
  const probability = Math.fround(c.dropout);
  const key = [Number(dropoutSeed & 0xffffffffn), Number(dropoutSeed >> 32n)] as const;
  const random =
    offset < 2n ** 31n
      ? (index: number) => fastTritonRand(key, Number(offset) + index, 6)
      : (index: number) => slowRand(offset + BigInt(index));
  const indexOf = (b: number, h: number, m: number, n: number) => ((b * c.queryHeads + h) * c.queries + m) * c.keys + n;
  return { probability, keep: (b, h, m, n) => random(indexOf(b, h, m, n)) > probability };
}

/** Queries and keys of both terms, values, and the gradient of the output. */
export type Inputs<T> = Readonly<Record<"q1" | "q2" | "k1" | "k2" | "v" | "dout", T>>;

export const mapInputs = <T, U>(inputs: Inputs<T>, map: (input: T) => U): Inputs<U> =>
  Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, map(input)])) as Inputs<U>;

/** The random inputs of a problem, with their shapes. */
export function inputsOf(c: AttentionProblem): Inputs<{ readonly values: Float32Array; readonly shape: number[] }> {
  const make = (heads: number, length: number, dim: number, seed: number) => {
    const shape = [c.batch, heads, length, dim];
    return { shape, values: randomValues(c.dtype, sizeOf(shape), seed, c.magnitude) };
  };
  return {
    q1: make(c.queryHeads, c.queries, c.headDim, 1),
    q2: make(c.queryHeads, c.queries, c.headDim, 2),
    k1: make(c.keyHeads, c.keys, c.headDim, 3),
    k2: make(c.keyHeads, c.keys, c.headDim, 4),
    v: make(c.keyHeads, c.keys, c.valueDim, 5),
    dout: make(c.queryHeads, c.queries, c.valueDim, 6),
  };
}

/** How the axes of a tensor lie in memory: batch, head, time, channel. */
export type MemoryOrder = "BHTD" | "BTHD";

/** [B, H, T, D] values as a tensor of that shape. */
export function tensorOf(
  device: Device,
  { values, shape }: { readonly values: Float32Array; readonly shape: readonly number[] },
  dtype: FloatDType,
  order: MemoryOrder = "BHTD",
): Tensor {
  if (order === "BHTD") return device.tensor(values, { shape, dtype });
  const [B, H, T, D] = shape as [number, number, number, number];
  const moved = values.map((_, i) => {
    const [b, t, h, d] = [Math.floor(i / (T * H * D)), Math.floor(i / (H * D)) % T, Math.floor(i / D) % H, i % D];
    return values[((b * H + h) * T + t) * D + d]!;
  });
  using stored = device.tensor(moved, { shape: [B, T, H, D], dtype });
  return stored.permute([0, 2, 1, 3]);
}

/** What the forward operators give and, with `gradients`, what the backward operators give; `true`: the column sums too. */
export function runOperators(
  c: Pick<AttentionProblem, "threshold" | "causal" | "splits"> & { readonly scale?: number },
  { q1, q2, k1, k2, v, dout }: Inputs<Tensor>,
  dropout?: DropoutArguments,
  gradients: boolean | "gradients" = true,
): Record<string, Tensor> {
  const common = { v, causal: c.causal, scale: c.scale, dropout };
  const wanted = { returnLse: true, returnTotalAttention: gradients === true, splits: c.splits };
  const named = { dense: { q: q1, k: k1, ...common }, piecewise: { q1, k1, q2, k2, ...common } };
  const { threshold } = c;
  const { out, lse, totalAttention } =
    threshold === undefined
      ? attention({ ...named.dense, ...wanted })
      : piecewiseAttention({ ...named.piecewise, threshold, ...wanted });
  if (!gradients) return { out, lse: lse! };
  const given = { out, lse: lse!, dout };
  const backward =
    threshold === undefined
      ? attentionBackward({ ...named.dense, ...given })
      : piecewiseAttentionBackward({ ...named.piecewise, threshold, ...given });
  return { out, lse: lse!, ...(totalAttention && { totalAttention }), ...backward };
}

/** The same by the reference. */
export function expectedOf(
  c: AttentionProblem,
  { q1, q2, k1, k2, v, dout }: Inputs<Float32Array>,
  dropout: AttentionExtras["dropout"],
  arithmetic: Arithmetic,
  gradients = true,
): Record<string, Float64Array> {
  const problem = { ...c, dropout };
  const terms = [
    { q: q1, k: k1 },
    { q: q2, k: k2 },
  ].slice(0, c.threshold === undefined ? 1 : 2);
  const { out, lse, total } = attend(problem, { terms, v }, arithmetic);
  if (!gradients) return { out, lse };
  const { terms: ofTerms, dv } = attentionGradients(problem, { terms, v }, dout, arithmetic);
  const named = ofTerms.flatMap(({ dq, dk }, i) => {
    const suffix = c.threshold === undefined ? "" : String(i + 1);
    return [
      [`dq${suffix}`, dq],
      [`dk${suffix}`, dk],
    ];
  });
  return { out, lse, totalAttention: total, ...Object.fromEntries(named), dv };
}

/** What is run and judged of a problem. */
export interface JudgeOptions {
  /** Also column sums and gradients. Default true. */
  readonly gradients?: boolean;
  /** Of dropout's random numbers. Default 123456. */
  readonly offset?: bigint;
  /** The inputs lie in memory in each of these ways, one after the other. Default: BHTD. */
  readonly orders?: readonly MemoryOrder[];
  /**
   * The key heads, numbered through the batches, that are judged with the query heads that read them, for references that would take too long;
   * of the others only that they hold no NaN. Heads do not depend on each other, so what is judged is exact. Default: all.
   */
  readonly judgedHeads?: readonly number[];
}

/** Runs a problem. The largest errors as shares of what is allowed, by the result's name: at most 1 is right. */
export async function errorShares(
  device: Device,
  c: AttentionProblem,
  { gradients = true, offset = 123456n, orders = ["BHTD"], judgedHeads }: JudgeOptions = {},
): Promise<Record<string, number>> {
  const inputs = inputsOf(c);
  const random = dropoutOf(c, offset);
  const dropout = random && { probability: random.probability, seed: dropoutSeed, offset };
  const results: Record<string, Float32Array>[] = [];
  for (const order of orders) {
    const tensors = mapInputs(inputs, (input) => tensorOf(device, input, c.dtype, order));
    const given = runOperators(c, tensors, dropout, gradients);
    const entries = Object.entries(given).map(async ([name, tensor]) => [name, await tensor.read()] as const);
    results.push(Object.fromEntries(await Promise.all(entries)) as Record<string, Float32Array>);
    for (const tensor of [...Object.values(given), ...Object.values(tensors)]) tensor.dispose();
  }

  const heads = c.batch * c.keyHeads;
  const group = c.queryHeads / c.keyHeads;
  const errors: Record<string, { error: number; allowed: number }> = {};
  for (const head of judgedHeads ?? Array.from({ length: heads }, (_, i) => i)) {
    // Each tensor is one stretch of memory a key head, for the query heads of a group too.
    const part = (all: Float32Array) => {
      const size = all.length / heads;
      return all.subarray(head * size, (head + 1) * size);
    };
    const [b, first] = [Math.floor(head / c.keyHeads), (head % c.keyHeads) * group];
    const alone = { ...c, batch: 1, keyHeads: 1, queryHeads: group };
    const ownDropout = random && {
      ...random,
      keep: (_: number, h: number, m: number, n: number) => random.keep(b, first + h, m, n),
    };
    const values = mapInputs(inputs, ({ values }) => part(values));
    const [expected, naive] = [exactArithmetic, naiveArithmetic(c.dtype)].map((arithmetic) =>
      expectedOf(alone, values, ownDropout, arithmetic, gradients),
    ) as [Record<string, Float64Array>, Record<string, Float64Array>];
    for (const [name, reference] of Object.entries(expected)) {
      const { error = 0, allowed = 0 } = errors[name] ?? {};
      errors[name] = {
        error: Math.max(error, ...results.map((result) => largestDifference(part(result[name]!), reference))),
        allowed: Math.max(allowed, allowedError(naive[name]!, reference)),
      };
    }
  }
  return Object.fromEntries(
    Object.entries(errors).map(([name, { error, allowed }]) => {
      const broken = results.some((result) => result[name]!.some(Number.isNaN));
      return [name, broken ? Number.POSITIVE_INFINITY : error / allowed];
    }),
  );
}
