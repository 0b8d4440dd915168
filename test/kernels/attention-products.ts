/**
 * @file Counts the matrix products that attention's kernels execute, in the interpreter, and the tiles that they must visit, by the definition. A
 * tile that PiecewiseAttention's threshold does not cross multiplies one pair of queries and keys, and a tile in which no query sees a key
 * multiplies nothing.
 */
import type { KernelDefinition } from "../../src/dsl/index.ts";
import { prepare } from "../../src/interpreter/index.ts";
import {
  attentionBackwardKeys,
  attentionBackwardQueries,
  attentionForward,
  dense,
  piecewise,
} from "../../src/kernels/index.ts";

const BLOCK = 64;
/** The dimension takes no part in the counts. */
const DIM = 16;
const checks = { nan: false, undefinedValues: false } as const;

export interface Run {
  readonly queries: number;
  readonly keys: number;
  readonly group?: number;
  readonly threshold?: number;
  readonly causal: boolean;
}

/** Executed products of a kernel over one key head. (Lengths are multiples of 4: the kernel is traced for aligned tensors.) */
export function products(
  definition: KernelDefinition<any, any>,
  { queries, keys, group = 1, threshold, causal }: Run,
): number {
  const kernel = definition.trace({
    constants: { BLOCK_M: BLOCK, BLOCK_N: BLOCK, HEAD_DIM: DIM, VALUE_DIM: DIM, CAUSAL: causal },
    dtypes: { T: "f32" },
  });
  const shapes: Record<string, readonly number[]> = {
    ...Object.fromEntries(["q", "q1", "q2", "dout", "out"].map((name) => [name, [1, group, queries, DIM]])),
    ...Object.fromEntries(["k", "k1", "k2", "v"].map((name) => [name, [1, 1, keys, DIM]])),
    lse: [1, group, queries],
    statistics: [2, 1, group, queries],
    dq: [2, 1, group, queries, DIM],
    dkv: [3, 1, 1, keys, DIM],
  };
  const given = kernel.parameters.map(({ name }) => {
    const shape = shapes[name];
    if (shape) return [name, { data: new Float32Array(shape.reduce((a, b) => a * b)), shape }];
    return [name, name === "threshold" ? threshold! : 1];
  });
  return prepare(kernel, checks).run({ arguments: Object.fromEntries(given) }).counts.dot ?? 0;
}

/** Tiles in which some query sees some key, and those of them that hold near and far keys, seen or not, by the definition. */
export function tiles({ queries, keys, threshold = 0, causal }: Run): {
  readonly visited: number;
  readonly crossed: number;
} {
  let [visited, crossed] = [0, 0];
  for (let m = 0; m < queries; m += BLOCK)
    for (let n = 0; n < keys; n += BLOCK) {
      const nearest = keys - queries + m - Math.min(n + BLOCK, keys) + 1;
      const farthest = keys - queries + Math.min(m + BLOCK, queries) - 1 - n;
      if (causal && farthest < 0) continue;
      visited++;
      if (nearest < threshold && threshold <= farthest) crossed++;
    }
  return { visited, crossed };
}

/** Plain, piecewise, products of a tile, and how many more where the threshold crosses it. */
export const countedKernels = {
  forward: [attentionForward(dense), attentionForward(piecewise), 2, 1],
  "gradient of queries": [attentionBackwardQueries(dense), attentionBackwardQueries(piecewise), 3, 2],
  "gradient of keys": [attentionBackwardKeys(dense), attentionBackwardKeys(piecewise), 4, 2],
} as const;
