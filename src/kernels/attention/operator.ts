/** @file The host operators of plain attention: `attention` and `attentionBackward`. */
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentChecker } from "../support/arguments.ts";
import { dense } from "./dense.ts";
import {
  type CommonArguments,
  commonNames,
  kernelFamily,
  launchBackward,
  launchForward,
  launchTotal,
  openCall,
} from "./launch.ts";
import { type RopeAngles, withRotation } from "./rope-angles.ts";
import { rotated } from "./rotated.ts";

const family = kernelFamily(dense);
const rotatedFamily = kernelFamily(rotated(dense));
export const {
  forward: attentionForwardKernel,
  split: attentionSplitKernel,
  backwardQueries: attentionBackwardQueriesKernel,
  backwardKeys: attentionBackwardKeysKernel,
  total: attentionTotalKernel,
} = family.plain;

/** Arguments of `attention`. */
export interface AttentionArguments extends CommonArguments {
  /** [B, Hq, M, D], f16, bf16 or f32; any strides. */
  readonly q: Tensor;
  /** [B, Hk, N, D]; Hq a multiple of Hk. */
  readonly k: Tensor;
  /** [B, Hk, N, E]. */
  readonly v: Tensor;
  /** q and k are as they are before the rotary embedding, and are turned while they are loaded, by `ropeAngles`. M at most N. Default: they are not. */
  readonly rope?: RopeAngles;
  /** Also give the natural-log normaliser. Default false. */
  readonly returnLse?: boolean;
  /** Also give the attention that each key gets from all queries. Default false. */
  readonly returnTotalAttention?: boolean;
  /** Write here: [B, Hq, M, E], dtype of q, any strides. */
  readonly out?: Tensor;
  /**
   * Into how many parts the keys are split, each of which goes to programs of its own (flash decoding). Default: FlagAttention's heuristic, which
   * splits where there are too few queries to fill the device.
   */
  readonly splits?: number;
}

/** What `attention` gives. */
export interface AttentionOutput {
  /** [B, Hq, M, E], dtype of q. */
  readonly out: Tensor;
  /** f32 [B, Hq, M]; -inf for a query that sees no key; before dropout. Only with `returnLse`. */
  readonly lse?: Tensor;
  /** f32 [B, Hq, N]: sums over the queries of the weights before dropout. Only with `returnTotalAttention`. */
  readonly totalAttention?: Tensor;
}

/** Gradients of what variants take besides the operands. */
export interface VariantGradients {
  /** Shape and dtype of `bias`. Only with a bias. */
  readonly dbias?: Tensor;
  /** Shape and dtype of `sinks`. Only with sinks. */
  readonly dsinks?: Tensor;
}

const variantGradients = ({ bias, sinks }: Readonly<Record<string, Tensor>>): VariantGradients => ({
  ...(bias && { dbias: bias }),
  ...(sinks && { dsinks: sinks }),
});

/** What the operators give for what they are asked. */
export function forwardOutput(
  call: ReturnType<typeof openCall>,
  { out: given, returnLse = false, returnTotalAttention = false, splits }: Partial<AttentionArguments>,
): AttentionOutput {
  call.check.flag("returnLse", returnLse);
  call.check.flag("returnTotalAttention", returnTotalAttention);
  const { out, lse } = launchForward(call, given, splits);
  const total = returnTotalAttention ? { totalAttention: launchTotal(call, lse) } : {};
  if (returnLse) return { out, lse, ...total };
  lse.dispose();
  return { out, ...total };
}

/**
 * Softmax attention without an N x M buffer: softmax(q kᵀ · scale) v (FlashAttention-2, arXiv 2307.08691). A query that sees no key gives
 * output 0 and lse -inf. Head dims 1 to 256, D and E may differ. Enqueues and returns at once.
 * @throws ArgumentError that names the argument: `ARGUMENT_MISSING`, `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`,
 * `ARGUMENT_HEADS`, `ARGUMENT_HEAD_DIM`.
 */
export function attention(args: AttentionArguments): AttentionOutput {
  using call = open(ArgumentChecker.of("attention", args, { ...operandNames, ...forwardNames }), args);
  return forwardOutput(call, args);
}

const operandNames = { q: true, k: true, v: true, rope: true, ...commonNames } as const;
/** What forward calls take besides. */
export const forwardNames = { returnLse: true, returnTotalAttention: true, out: true, splits: true } as const;
/** What backward calls take besides. */
export const backwardNames = { out: true, lse: true, dout: true } as const;

function open(
  check: ArgumentChecker,
  { q, k, v, rope, ...options }: Pick<AttentionArguments, "q" | "k" | "v" | "rope"> & CommonArguments,
): ReturnType<typeof openCall> {
  const call = openCall(check, rope ? rotatedFamily : family, { q, k, v }, options);
  return rope ? withRotation(call, rope) : call;
}

/** Arguments of `attentionBackward`: those of the forward call, what it gave, and the gradient of its output. */
export interface AttentionBackwardArguments extends CommonArguments {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** As in the forward call; the gradients are those of q and k before they are turned. */
  readonly rope?: RopeAngles;
  /** `[B, Hq, M, E]`: the forward call's output. */
  readonly out: Tensor;
  /** f32 [B, Hq, M]: the forward call's `lse`. */
  readonly lse: Tensor;
  /** [B, Hq, M, E], dtype of q: the gradient of the loss by `out`; any strides, 0 among them. */
  readonly dout: Tensor;
}

/**
 * Gradients of `attention` by q, k and v, in their dtype and shape; those of k and v summed over the query heads that read them. No atomics: two
 * runs give the same bits. A query that sees no key gets and gives gradient 0. Enqueues and returns at once.
 * @throws ArgumentError as `attention` does.
 */
export function attentionBackward(args: AttentionBackwardArguments): {
  readonly dq: Tensor;
  readonly dk: Tensor;
  readonly dv: Tensor;
} & VariantGradients {
  using call = open(ArgumentChecker.of("attentionBackward", args, { ...operandNames, ...backwardNames }), args);
  const { q: dq, k: dk, v: dv, ...others } = launchBackward(call, args);
  return { dq: dq!, dk: dk!, dv: dv!, ...variantGradients(others) };
}
