/**
 * @file The problem of suite `attention`: its size, its numbers, and the check of a result against f64 on sampled rows, in the f64
 * reference's own code. Shapes: q, k, v and out are [1, H, N, D], row-major.
 */
import { allowedError, attentionNaive, attentionReference, largestDifference } from "tilewright/kernels";
import { randomValues } from "../../test/support/rounding.ts";

export interface Problem {
  readonly length: number;
  readonly heads: number;
  readonly headDim: number;
  readonly causal: boolean;
}

export interface Inputs {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** Normal numbers, the same in every process. */
export function inputsOf({ length, heads, headDim }: Problem): Inputs {
  const make = (seed: number): Float32Array => randomValues("f32", heads * length * headDim, seed);
  return { q: make(1), k: make(2), v: make(3) };
}

/** Two products of 2·N·N·D operations a head; the causal half of them where the other half is not needed. */
export const floatingPointOperations = ({ length, heads, headDim, causal }: Problem): number =>
  (4 * length ** 2 * headDim * heads) / (causal ? 2 : 1);

/** How far a result is from f64, over the sampled rows of every head. */
export interface Accuracy {
  /** ‖result − reference‖ / ‖reference‖. */
  readonly relativeL2: number;
  readonly largestError: number;
  /** By the project's rule: twice the error of the naive computation in f32, plus 1e-5. */
  readonly allowedError: number;
}

const sampledRowsPerHead = 65;

export function accuracyOf(problem: Problem, { q, k, v }: Inputs, out: ArrayLike<number>): Accuracy {
  const { length, heads, headDim, causal } = problem;
  const rows = Math.min(sampledRowsPerHead, length);
  const found: number[] = [];
  const expected: number[] = [];
  const naive: number[] = [];
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < rows; i++) {
      // The first and the last row, and the others evenly between.
      const row = Math.round((i * (length - 1)) / Math.max(1, rows - 1));
      const at = (head * length + row) * headDim;
      const keys = causal ? row + 1 : length;
      const seen = (values: Float32Array): Float32Array =>
        values.subarray(head * length * headDim, (head * length + keys) * headDim);
      const one = {
        batch: 1,
        queryHeads: 1,
        keyHeads: 1,
        queries: 1,
        keys,
        headDim,
        valueDim: headDim,
        causal: false,
        scale: headDim ** -0.5,
      };
      const query = q.subarray(at, at + headDim);
      expected.push(...attentionReference(one, query, seen(k), seen(v)).out);
      naive.push(...attentionNaive(one, "f32", query, seen(k), seen(v)).out);
      for (let d = 0; d < headDim; d++) found.push(out[at + d]!);
    }
  }
  const squares = (values: readonly number[]): number => values.reduce((sum, x) => sum + x * x, 0);
  return {
    relativeL2: Math.sqrt(squares(found.map((x, i) => x - expected[i]!)) / squares(expected)),
    largestError: largestDifference(found, expected),
    allowedError: allowedError(naive, expected),
  };
}

export const isWrong = ({ largestError, allowedError: allowed }: Accuracy): boolean => !(largestError <= allowed);
