/**
 * @file The attention family: forward and backward kernels over a *variant* (variant.ts says what that is; dense.ts and piecewise.ts are
 * two), their operators, and the references to compare with.
 */

export type { IntegerRows, Integers } from "../support/integers.ts";
export {
  attentionBackwardDelta,
  attentionBackwardKeys,
  attentionBackwardQueries,
  attentionBackwardStatistics,
} from "./backward.ts";
export { appendToCacheKernel, copyPagesKernel } from "./cache-kernels.ts";
export {
  type AppendToCacheArguments,
  appendToCache,
  type CachePair,
  fromVllmCache,
  toVllmCache,
} from "./cache-operators.ts";
export { dense } from "./dense.ts";
export { withDocuments, withKeyLengths, withPackedQueries } from "./documents.ts";
export { withDropout } from "./dropout.ts";
export * from "./edges.ts";
export { attentionForward } from "./forward.ts";
export type { CommonArguments, DropoutArguments } from "./launch.ts";
export { alibiSlopes, withAlibi, withBias, withLogits, withSoftcap } from "./logit-variants.ts";
export { attentionMergeKernel } from "./merge.ts";
export * from "./merge-operator.ts";
export type { VariantArguments } from "./modifiers.ts";
export {
  type AttentionArguments,
  type AttentionBackwardArguments,
  type AttentionOutput,
  attention,
  attentionBackward,
  attentionBackwardKeysKernel,
  attentionBackwardQueriesKernel,
  attentionForwardKernel,
  attentionSplitKernel,
  attentionTotalKernel,
  type VariantGradients,
} from "./operator.ts";
export { paged } from "./paged.ts";
export * from "./paged-operator.ts";
export { piecewise } from "./piecewise.ts";
export {
  type PiecewiseAttentionArguments,
  type PiecewiseAttentionBackwardArguments,
  piecewiseAttention,
  piecewiseAttentionBackward,
  piecewiseBackwardKeysKernel,
  piecewiseBackwardQueriesKernel,
  piecewiseForwardKernel,
  piecewiseSplitKernel,
  piecewiseTotalKernel,
} from "./piecewise-operator.ts";
export {
  type Arithmetic,
  type AttentionCase,
  type AttentionExtras,
  type AttentionInputs,
  type AttentionResult,
  allowedError,
  attend,
  attentionNaive,
  attentionReference,
  exactArithmetic,
  type FloatDType,
  largestDifference,
  naiveArithmetic,
} from "./reference.ts";
export { type AttentionGradients, attentionGradients } from "./reference-gradients.ts";
export { type RopeAngles, type RopeAnglesOptions, ropeAngles } from "./rope-angles.ts";
export { rotated } from "./rotated.ts";
export { withSinks } from "./sinks.ts";
export { attentionSplit } from "./split-kv.ts";
export { attentionTotal } from "./total.ts";
export type * from "./variant.ts";
export { defineVariant } from "./variant.ts";
export { withPrefix, withWindow } from "./windows.ts";
