/** @file The kernels of the library by name, for the command line and for tools that compile them all. */
import type { KernelDefinition, Specialization } from "../dsl/index.ts";
import { adamWKernel, adamWMasterKernel } from "./adamw/kernel.ts";
import { attentionBackwardDelta, attentionBackwardStatistics } from "./attention/backward.ts";
import { attentionBiasGradient } from "./attention/bias-gradient.ts";
import { appendToCacheKernel, copyPagesKernel } from "./attention/cache-kernels.ts";
import {
  backwardDeltaConfiguration,
  backwardKeysConfiguration,
  backwardQueriesConfiguration,
  forwardConfiguration,
  type HeadProblem,
  traitsOfVariant,
} from "./attention/configuration.ts";
import { dense } from "./attention/dense.ts";
import { withDocuments } from "./attention/documents.ts";
import { attentionForward } from "./attention/forward.ts";
import { withBias } from "./attention/logit-variants.ts";
import { attentionMergeKernel } from "./attention/merge.ts";
import {
  attentionBackwardKeysKernel,
  attentionBackwardQueriesKernel,
  attentionForwardKernel,
  attentionSplitKernel,
  attentionTotalKernel,
} from "./attention/operator.ts";
import {
  packedPagedAttentionKernel,
  packedPagedForwardKernel,
  pagedAttentionKernel,
  pagedForwardKernel,
  pagedPiecewiseKernel,
  rotatedPagedPiecewiseKernel,
} from "./attention/paged-operator.ts";
import { piecewise } from "./attention/piecewise.ts";
import {
  piecewiseBackwardKeysKernel,
  piecewiseBackwardQueriesKernel,
  piecewiseForwardKernel,
  piecewiseSplitKernel,
  piecewiseTotalKernel,
  rotatedPiecewiseBackwardKeysKernel,
  rotatedPiecewiseBackwardQueriesKernel,
  rotatedPiecewiseForwardKernel,
} from "./attention/piecewise-operator.ts";
import { attentionSinksGradientKernel } from "./attention/sinks.ts";
import { splitConfiguration } from "./attention/splits.ts";
import type { Variant } from "./attention/variant.ts";
import { withWindow } from "./attention/windows.ts";
import {
  crossEntropyBackwardInPlaceKernel,
  crossEntropyBackwardKernel,
  crossEntropyKernel,
  crossEntropyTotalKernel,
} from "./cross-entropy/kernel.ts";
import { addKernel, copyKernel, fillKernel } from "./elementwise/kernel.ts";
import { embeddingBackwardKernel, embeddingKernel, embeddingSortKernel } from "./embedding/kernel.ts";
import { matmulKernel } from "./matmul/kernel.ts";
import { columnSumKernel } from "./reduction/kernel.ts";
import { rmsNormBackwardKernel, rmsNormKernel, rmsNormWeightGradientKernel } from "./rms-norm/kernel.ts";
import { ropeGatheredInPlaceKernel, ropeGatheredKernel, ropeInPlaceKernel, ropeKernel } from "./rope/kernel.ts";
import { softmaxKernel } from "./softmax/kernel.ts";
import { swigluBackwardKernel, swigluKernel } from "./swiglu/kernel.ts";

export interface LibraryKernel {
  readonly definition: KernelDefinition;
  readonly summary: string;
  /** A specialisation that users want, what is compiled when nothing is set: of attention, the one that the operator launches on CUDA for f16, head dim 64. */
  readonly example: Specialization;
}

const entry = (
  definition: KernelDefinition,
  summary: string,
  dtypes: Specialization["dtypes"] = { T: "f16" },
  constants: Specialization["constants"] = {},
): [string, LibraryKernel] => [definition.name, { definition, summary, example: { dtypes, constants } }];

/** What the operators ask about on CUDA for f16 and head dim 64, the dims of the examples. */
const asked = (variant: Variant) =>
  ({
    backend: "cuda",
    dtype: "f16",
    headDim: 64,
    valueDim: 64,
    ...traitsOfVariant(variant),
    plain: variant === dense || variant === piecewise,
  }) as const;
const turned = { ...asked(piecewise), turned: true, plain: false };

/** As the operators launch them for many queries. */
const forward = (problem: HeadProblem) => ({ ...forwardConfiguration(problem, 4096) });
const backwardQueries = (problem: HeadProblem) => ({ ...backwardQueriesConfiguration(problem) });
const backwardKeys = (problem: HeadProblem) => ({ ...backwardKeysConfiguration(problem) });
/** A decoding step: the query heads of a group in one tile. */
const decoding = (problem: HeadProblem) => ({ ...splitConfiguration(problem, 8), PACK_HEADS: true });

export const libraryKernels: Readonly<Record<string, LibraryKernel>> = Object.fromEntries([
  entry(attentionForwardKernel, "memory-efficient attention, forward", { T: "f16" }, forward(asked(dense))),
  entry(attentionBackwardStatistics, "what attention's backward kernels need of each row"),
  entry(
    attentionBackwardDelta(dense),
    "a part of that, more exactly for queries of few keys",
    { T: "f16" },
    { ...backwardDeltaConfiguration(asked(dense)) },
  ),
  entry(
    attentionBackwardQueriesKernel,
    "memory-efficient attention, gradient of the queries",
    { T: "f16" },
    backwardQueries(asked(dense)),
  ),
  entry(
    attentionBackwardKeysKernel,
    "memory-efficient attention, gradients of keys and values",
    { T: "f16" },
    backwardKeys(asked(dense)),
  ),
  entry(
    attentionTotalKernel,
    "the attention that each key gets from all queries",
    { T: "f16" },
    backwardKeys(asked(dense)),
  ),
  entry(
    attentionForward(withWindow(dense)),
    "attention within a sliding window, forward",
    { T: "f16" },
    forward(asked(withWindow(dense))),
  ),
  entry(
    attentionForward(withDocuments(dense)),
    "attention over packed documents, forward",
    { T: "f16" },
    forward(asked(withDocuments(dense))),
  ),
  entry(
    attentionBiasGradient(withBias(dense)),
    "gradient of an additive bias of attention",
    { T: "f16", BIAS: "f16" },
    backwardQueries(asked(withBias(dense))),
  ),
  entry(attentionSinksGradientKernel, "gradient of learned attention sinks", { SINKS: "f32" }),
  entry(piecewiseForwardKernel, "PiecewiseAttention, forward", { T: "f16" }, forward(asked(piecewise))),
  entry(
    piecewiseBackwardQueriesKernel,
    "PiecewiseAttention, gradients of the queries",
    { T: "f16" },
    backwardQueries(asked(piecewise)),
  ),
  entry(
    piecewiseBackwardKeysKernel,
    "PiecewiseAttention, gradients of keys and values",
    { T: "f16" },
    backwardKeys(asked(piecewise)),
  ),
  entry(
    piecewiseTotalKernel,
    "PiecewiseAttention that each key gets from all queries",
    { T: "f16" },
    backwardKeys(asked(piecewise)),
  ),
  entry(
    rotatedPiecewiseForwardKernel,
    "PiecewiseAttention, RoPE in the load of queries and keys",
    { T: "f16" },
    forward(turned),
  ),
  entry(
    rotatedPiecewiseBackwardQueriesKernel,
    "PiecewiseAttention with RoPE in the load, gradient of the queries",
    { T: "f16" },
    backwardQueries(turned),
  ),
  entry(
    rotatedPiecewiseBackwardKeysKernel,
    "PiecewiseAttention with RoPE in the load, gradients of keys and values",
    { T: "f16" },
    backwardKeys(turned),
  ),
  entry(
    attentionSplitKernel,
    "attention over a part of the keys (flash decoding)",
    { T: "f16" },
    decoding(asked(dense)),
  ),
  entry(piecewiseSplitKernel, "PiecewiseAttention over a part of the keys", { T: "f16" }, decoding(asked(piecewise))),
  entry(attentionMergeKernel, "what attention gave over parts of the keys, as over all of them"),
  entry(
    pagedAttentionKernel,
    "attention over paged caches, over parts of the keys",
    { T: "f16" },
    { ...decoding(asked(dense)), CAUSAL: false },
  ),
  entry(
    packedPagedAttentionKernel,
    "attention over paged caches, queries of many sequences packed, over parts of the keys",
    { T: "f16" },
    decoding(asked(dense)),
  ),
  entry(
    packedPagedForwardKernel,
    "attention over paged caches, queries of many sequences packed, in one launch",
    { T: "f16" },
    decoding(asked(dense)),
  ),
  entry(
    pagedForwardKernel,
    "attention of many queries over paged caches, forward",
    { T: "f16" },
    forward({ ...asked(dense), plain: false }),
  ),
  entry(
    pagedPiecewiseKernel,
    "PiecewiseAttention over paged caches",
    { T: "f16" },
    { ...decoding(asked(piecewise)), CAUSAL: false },
  ),
  entry(
    rotatedPagedPiecewiseKernel,
    "PiecewiseAttention over paged caches, RoPE in the load of queries and keys",
    { T: "f16" },
    { ...decoding(turned), CAUSAL: false },
  ),
  entry(appendToCacheKernel, "new rows into their slots of a paged cache"),
  entry(copyPagesKernel, "pages of a cache from one layout to another"),
  entry(matmulKernel, "matrix product, with transposes and accumulation", { A: "f16", B: "f16", C: "f16" }),
  entry(rmsNormKernel, "RMSNorm over rows", { T: "f16", W: "f16" }),
  entry(rmsNormBackwardKernel, "gradient of RMSNorm's rows", { T: "f16", W: "f16" }),
  entry(rmsNormWeightGradientKernel, "gradient of RMSNorm's weight, one partial sum a group of rows"),
  entry(columnSumKernel, "sums of the columns of a matrix, in a fixed order", { T: "f32" }),
  entry(ropeKernel, "rotary position embedding and its inverse"),
  entry(ropeInPlaceKernel, "rotary position embedding, in place"),
  entry(ropeGatheredKernel, "rotary position embedding at given positions"),
  entry(ropeGatheredInPlaceKernel, "rotary position embedding at given positions, in place"),
  entry(swigluKernel, "silu(gate) · up"),
  entry(swigluBackwardKernel, "gradients of silu(gate) · up"),
  entry(embeddingKernel, "rows of an embedding table", { T: "f16", W: "f16" }),
  entry(embeddingSortKernel, "tokens sorted by id, for the gradient of an embedding", {}),
  entry(embeddingBackwardKernel, "gradient of an embedding table", { T: "f16", W: "f32" }),
  entry(crossEntropyKernel, "cross-entropy of rows of logits"),
  entry(crossEntropyTotalKernel, "sum or mean of the losses of rows", {}),
  entry(crossEntropyBackwardKernel, "gradient of the logits"),
  entry(crossEntropyBackwardInPlaceKernel, "gradient of the logits, in their place"),
  entry(adamWKernel, "AdamW step", { T: "f32", G: "f32" }),
  entry(adamWMasterKernel, "AdamW step with an f32 master copy", { T: "bf16", G: "bf16" }),
  entry(softmaxKernel, "softmax over rows"),
  entry(addKernel, "sum of two tensors"),
  entry(copyKernel, "strided copy with conversion", { S: "f16", T: "f16" }),
  entry(fillKernel, "fill with one number"),
]);
