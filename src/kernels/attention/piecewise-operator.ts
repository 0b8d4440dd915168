/** @file The host operators of PiecewiseAttention: `piecewiseAttention` and `piecewiseAttentionBackward`. */
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentChecker } from "../support/arguments.ts";
import { type CommonArguments, kernelFamily, launchBackward, openCall } from "./launch.ts";
import {
  type AttentionArguments,
  type AttentionBackwardArguments,
  type AttentionOutput,
  forwardOutput,
} from "./operator.ts";
import { piecewise } from "./piecewise.ts";

const family = kernelFamily(piecewise);
export const {
  forward: piecewiseForwardKernel,
  split: piecewiseSplitKernel,
  backwardQueries: piecewiseBackwardQueriesKernel,
  backwardKeys: piecewiseBackwardKeysKernel,
  total: piecewiseTotalKernel,
} = family.plain;

interface PiecewiseOperands {
  /** [B, Hq, M, D]: queries for keys nearer than the threshold. f16, bf16 or f32; any strides. */
  readonly q1: Tensor;
  /** [B, Hk, N, D]; Hq a multiple of Hk. */
  readonly k1: Tensor;
  /** [B, Hq, M, D]: queries for keys at the threshold or farther. */
  readonly q2: Tensor;
  /** [B, Hk, N, D]. */
  readonly k2: Tensor;
  /** [B, Hk, N, E]. */
  readonly v: Tensor;
  /** Key n is far from query m iff N - M + m - n >= threshold. Any integer of 32 bits; another one compiles nothing anew. */
  readonly threshold: number;
}

/** Arguments of `piecewiseAttention`. */
export interface PiecewiseAttentionArguments
  extends PiecewiseOperands,
    CommonArguments,
    Pick<AttentionArguments, "returnLse" | "returnTotalAttention" | "out" | "splits"> {}

const open = (operator: string, { q1, k1, q2, k2, v, threshold, ...options }: PiecewiseOperands & CommonArguments) => {
  const check = new ArgumentChecker(operator);
  const call = openCall(check, family, { q1, k1, q2, k2, v }, options, { threshold });
  checkThreshold(check, threshold);
  return call;
};

/** @throws ArgumentError `ARGUMENT_VALUE`. */
export function checkThreshold(check: ArgumentChecker, threshold: number): void {
  check.integer("threshold", threshold, -(2 ** 31));
  if (threshold >= 2 ** 31) check.fail("ARGUMENT_VALUE", `"threshold" must be an integer of 32 bits, got ${threshold}`);
}

/**
 * PiecewiseAttention (FlagAttention): one softmax over q1·k1 for near keys and q2·k2 for far ones, then the values. A tile of scores that the
 * threshold does not cross multiplies one pair of operands only. Otherwise as `attention`.
 * @throws ArgumentError as `attention` does.
 */
export const piecewiseAttention = (args: PiecewiseAttentionArguments): AttentionOutput =>
  forwardOutput(open("piecewiseAttention", args), args);

/** Arguments of `piecewiseAttentionBackward`: those of the forward call, what it gave, and the gradient of its output. */
export interface PiecewiseAttentionBackwardArguments
  extends PiecewiseOperands,
    CommonArguments,
    Pick<AttentionBackwardArguments, "out" | "lse" | "dout"> {}

/** Gradients of `piecewiseAttention` by its five operands, in their dtype and shape. Otherwise as `attentionBackward`. */
export function piecewiseAttentionBackward(args: PiecewiseAttentionBackwardArguments): {
  readonly dq1: Tensor;
  readonly dk1: Tensor;
  readonly dq2: Tensor;
  readonly dk2: Tensor;
  readonly dv: Tensor;
} {
  const { q1, k1, q2, k2, v } = launchBackward(open("piecewiseAttentionBackward", args), args) as Record<
    string,
    Tensor
  >;
  return { dq1: q1!, dk1: k1!, dq2: q2!, dk2: k2!, dv: v! };
}
