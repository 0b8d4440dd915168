/**
 * @file How much memory forward and backward passes of causal self-attention take, by the device's own account, with a check that what they
 * computed is right. It knows nothing of a test framework.
 */
import { allowedError, exactArithmetic, largestDifference, naiveArithmetic } from "../../src/kernels/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import { make } from "./attention-backward-cases.ts";
import { type AttentionProblem, expectedOf, inputsOf, mapInputs, runOperators, tensorOf } from "./attention-errors.ts";

export interface AttentionMemory {
  /** Bytes of queries, keys, values and the gradient of the output. */
  readonly inputs: number;
  /** Bytes of the output, the normaliser and the gradients. */
  readonly results: number;
  /** The most bytes that either pass held besides. */
  readonly workspace: number;
  /** The most bytes held altogether. */
  readonly peak: number;
  /** Errors of the sample as shares of what is allowed, by the result's name. */
  readonly shares: Readonly<Record<string, number>>;
}

/** So many of the last queries and keys are compared with f64. */
const sampled = 64;

/** Runs both passes of a causal problem of one head with as many queries as keys. */
export async function measureMemory(
  device: Device,
  length: number,
  change: Pick<AttentionProblem, "headDim" | "dtype" | "threshold">,
): Promise<AttentionMemory> {
  const c = make({ ...change, queryHeads: 1, keyHeads: 1, queries: length, keys: length, causal: true });
  const inputs = inputsOf(c);
  const used = c.threshold === undefined ? ["q1", "k1", "v", "dout"] : Object.keys(inputs);
  const empty = device.memory().current;
  const tensors = mapInputs(inputs, (input) => tensorOf(device, input, c.dtype));
  for (const [name, tensor] of Object.entries(tensors)) if (!used.includes(name)) tensor.dispose();
  const given = device.memory().current;
  device.resetPeakMemory();
  const results = runOperators(c, tensors, undefined, "gradients");
  const values = Object.fromEntries(
    await Promise.all(Object.entries(results).map(async ([name, tensor]) => [name, await tensor.read()] as const)),
  ) as Record<string, Float32Array>;
  const { current, peak } = device.memory();
  for (const tensor of [...Object.values(results), ...Object.values(tensors)]) tensor.dispose();

  // The last queries and all keys are a problem of their own, whose last keys are seen by no other query: all of it is exact.
  const count = Math.min(sampled, c.queries);
  const queries = new Set(["q1", "q2", "dout", "out", "lse", "dq", "dq1", "dq2"]);
  const end = <T extends Float32Array | Float64Array>(all: T, length: number): T =>
    all.subarray((all.length / length) * (length - count)) as T;
  const alone = { ...c, queries: count };
  const operands = Object.fromEntries(
    Object.entries(inputs).map(([name, { values }]) => [name, queries.has(name) ? end(values, c.queries) : values]),
  ) as Parameters<typeof expectedOf>[1];
  const [expected, naive] = [exactArithmetic, naiveArithmetic(c.dtype)].map((arithmetic) =>
    expectedOf(alone, operands, undefined, arithmetic),
  ) as [Record<string, Float64Array>, Record<string, Float64Array>];
  const shares = Object.entries(values).map(([name, result]) => {
    const length = queries.has(name) ? count : c.keys;
    const [exact, fair] = [expected[name]!, naive[name]!].map((all) => end(all, length)) as [
      Float64Array,
      Float64Array,
    ];
    return [name, largestDifference(end(result, c.keys), exact) / allowedError(fair, exact)] as const;
  });
  return {
    inputs: given - empty,
    results: current - given,
    workspace: peak - current,
    peak: peak - empty,
    shares: Object.fromEntries(shares),
  };
}
