/** @file The host operators of PiecewiseAttention: `piecewiseAttention` and `piecewiseAttentionBackward`. */
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentChecker } from "../support/arguments.ts";
import { type CommonArguments, commonNames, kernelFamily, launchBackward, openCall } from "./launch.ts";
import {
  type AttentionArguments,
  type AttentionBackwardArguments,
  type AttentionOutput,
  backwardNames,
  forwardNames,
  forwardOutput,
  type VariantGradients,
} from "./operator.ts";
import { piecewise } from "./piecewise.ts";
import { type RopeAngles, withRotation } from "./rope-angles.ts";
import { rotated } from "./rotated.ts";

const family = kernelFamily(piecewise);
const rotatedFamily = kernelFamily(rotated(piecewise));
export const {
  forward: piecewiseForwardKernel,
  split: piecewiseSplitKernel,
  backwardQueries: piecewiseBackwardQueriesKernel,
  backwardKeys: piecewiseBackwardKeysKernel,
  total: piecewiseTotalKernel,
} = family.plain;
export const {
  forward: rotatedPiecewiseForwardKernel,
  split: rotatedPiecewiseSplitKernel,
  backwardQueries: rotatedPiecewiseBackwardQueriesKernel,
  backwardKeys: rotatedPiecewiseBackwardKeysKernel,
} = rotatedFamily.plain;

/** Queries and keys under both position embeddings. */
interface TurnedOperands {
  /** `[B, Hq, M, D]`: queries for keys nearer than the threshold. f16, bf16 or f32; any strides. */
  readonly q1: Tensor;
  /** [B, Hk, N, D]; Hq a multiple of Hk. */
  readonly k1: Tensor;
  /** `[B, Hq, M, D]`: queries for keys at the threshold or farther. */
  readonly q2: Tensor;
  /** [B, Hk, N, D]. */
  readonly k2: Tensor;
}

/** Queries and keys before any position embedding; the kernels turn them while they load them. */
interface RawOperands {
  /** [B, Hq, M, D], f16, bf16 or f32; any strides; M at most N. */
  readonly q: Tensor;
  /** [B, Hk, N, D]; Hq a multiple of Hk. */
  readonly k: Tensor;
  /** Near and far positions, by `ropeAngles` of a position map. */
  readonly rope: RopeAngles;
}

/** What both forms have besides. */
interface PiecewiseShared extends CommonArguments {
  /** [B, Hk, N, E]. */
  readonly v: Tensor;
  /** Key n is far from query m iff N - M + m - n >= threshold. Any integer of 32 bits; another one compiles nothing anew. */
  readonly threshold: number;
}

/** Arguments of `piecewiseAttention`: queries and keys twice, `q1`, `k1`, `q2`, `k2`, or raw, `q`, `k`, with `rope`. */
export type PiecewiseAttentionArguments = (TurnedOperands | RawOperands) &
  PiecewiseShared &
  Pick<AttentionArguments, "returnLse" | "returnTotalAttention" | "out" | "splits">;

const operandNames = {
  q1: true,
  k1: true,
  q2: true,
  k2: true,
  q: true,
  k: true,
  rope: true,
  v: true,
  threshold: true,
  ...commonNames,
} as const;

function open(check: ArgumentChecker, args: (TurnedOperands | RawOperands) & PiecewiseShared) {
  const { v, threshold } = args;
  checkThreshold(check, threshold);
  refuseBothForms(check, args, ["q", "k", "rope"], ["q1", "k1", "q2", "k2"]);
  if (!("q" in args)) {
    const { q1, k1, q2, k2 } = args;
    return openCall(check, family, { q1, k1, q2, k2, v }, args, { threshold });
  }
  const { q, k, rope } = args;
  return withRotation(openCall(check, rotatedFamily, { q, k, v }, args, { threshold }), rope);
}

/**
 * Queries and keys are given raw or turned: one form beside the other would be left out in silence.
 * @throws ArgumentError `ARGUMENT_VALUE`.
 */
export function refuseBothForms(
  check: ArgumentChecker,
  args: object,
  raw: readonly string[],
  turned: readonly string[],
): void {
  const given = (names: readonly string[]) =>
    names.find((name) => (args as Record<string, unknown>)[name] !== undefined);
  const [ofRaw, ofTurned] = [given(raw), given(turned)];
  if (ofRaw !== undefined && ofTurned !== undefined)
    check.fail(
      "ARGUMENT_VALUE",
      `"${ofRaw}" and "${ofTurned}" cannot be combined: give ${turned.join(", ")}, or raw ones, ${raw.join(", ")}`,
    );
}

/** @throws ArgumentError `ARGUMENT_VALUE`. */
export function checkThreshold(check: ArgumentChecker, threshold: number): void {
  check.integer("threshold", threshold, -(2 ** 31));
  if (threshold >= 2 ** 31) check.fail("ARGUMENT_VALUE", `"threshold" must be an integer of 32 bits, got ${threshold}`);
}

/**
 * PiecewiseAttention (FlagAttention): one softmax over q1·k1 for near keys and q2·k2 for far ones, then the values. A tile of scores that the
 * threshold does not cross multiplies one pair of operands only. From raw q and k, the kernel makes of each tile the pair that it multiplies.
 * Otherwise as `attention`.
 * @throws ArgumentError as `attention` does.
 */
export function piecewiseAttention(args: PiecewiseAttentionArguments): AttentionOutput {
  using call = open(ArgumentChecker.of("piecewiseAttention", args, { ...operandNames, ...forwardNames }), args);
  return forwardOutput(call, args);
}

/** Arguments of `piecewiseAttentionBackward`: those of the forward call, what it gave, and the gradient of its output. */
export type PiecewiseAttentionBackwardArguments = (TurnedOperands | RawOperands) &
  PiecewiseShared &
  Pick<AttentionBackwardArguments, "out" | "lse" | "dout">;

type GradientNames<A> = A extends RawOperands ? "dq" | "dk" | "dv" : "dq1" | "dk1" | "dq2" | "dk2" | "dv";

/**
 * Gradients of `piecewiseAttention` by its operands, in their dtype and shape: dq1, dk1, dq2, dk2 and dv; or, of raw ones, dq, dk and dv. Otherwise as
 * `attentionBackward`.
 */
export function piecewiseAttentionBackward<A extends PiecewiseAttentionBackwardArguments>(
  args: A,
): Readonly<Record<GradientNames<A>, Tensor>> & VariantGradients {
  const names = { ...operandNames, ...backwardNames };
  using call = open(
    ArgumentChecker.of<PiecewiseAttentionBackwardArguments>("piecewiseAttentionBackward", args, names),
    args,
  );
  const gradients = launchBackward(call, args);
  return Object.fromEntries(Object.entries(gradients).map(([name, tensor]) => [`d${name}`, tensor])) as never;
}
