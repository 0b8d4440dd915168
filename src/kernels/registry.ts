/** @file The kernels of the library by name, for the command line and for tools that compile them all. */
import type { KernelDefinition, Specialization } from "../dsl/index.ts";
import { adamWKernel, adamWMasterKernel } from "./adamw/kernel.ts";
import { attentionForwardKernel } from "./attention/operator.ts";
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
import { ropeKernel } from "./rope/kernel.ts";
import { softmaxKernel } from "./softmax/kernel.ts";
import { swigluBackwardKernel, swigluKernel } from "./swiglu/kernel.ts";

export interface LibraryKernel {
  readonly definition: KernelDefinition;
  readonly summary: string;
  /** A specialisation that users want: what is compiled when nothing is set. */
  readonly example: Specialization;
}

const entry = (
  definition: KernelDefinition,
  summary: string,
  dtypes: Specialization["dtypes"] = { T: "f16" },
): [string, LibraryKernel] => [definition.name, { definition, summary, example: { dtypes } }];

export const libraryKernels: Readonly<Record<string, LibraryKernel>> = Object.fromEntries([
  entry(attentionForwardKernel, "memory-efficient attention, forward"),
  entry(matmulKernel, "matrix product, with transposes and accumulation", { A: "f16", B: "f16", C: "f16" }),
  entry(rmsNormKernel, "RMSNorm over rows", { T: "f16", W: "f16" }),
  entry(rmsNormBackwardKernel, "gradient of RMSNorm's rows", { T: "f16", W: "f16" }),
  entry(rmsNormWeightGradientKernel, "gradient of RMSNorm's weight, one partial sum a group of rows"),
  entry(columnSumKernel, "sums of the columns of a matrix, in a fixed order", { T: "f32" }),
  entry(ropeKernel, "rotary position embedding, half-split, and its inverse"),
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
