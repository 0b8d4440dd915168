/** @file The kernels of the library by name, for the command line and for tools that compile them all. */
import type { KernelDefinition, Specialization } from "../dsl/index.ts";
import { attentionForwardKernel } from "./attention/operator.ts";
import { addKernel, copyKernel } from "./elementwise/kernel.ts";
import { embeddingKernel } from "./embedding/kernel.ts";
import { matmulKernel } from "./matmul/kernel.ts";
import { rmsNormKernel } from "./rms-norm/kernel.ts";
import { ropeKernel } from "./rope/kernel.ts";
import { softmaxKernel } from "./softmax/kernel.ts";
import { swigluKernel } from "./swiglu/kernel.ts";

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
  entry(matmulKernel, "matrix product, optionally with a transposed second matrix", { A: "f16", B: "f16", C: "f16" }),
  entry(rmsNormKernel, "RMSNorm over rows", { T: "f16", W: "f16" }),
  entry(ropeKernel, "rotary position embedding, half-split"),
  entry(swigluKernel, "silu(gate) · up"),
  entry(embeddingKernel, "rows of an embedding table", { T: "f16", W: "f16" }),
  entry(softmaxKernel, "softmax over rows"),
  entry(addKernel, "sum of two tensors"),
  entry(copyKernel, "strided copy with conversion", { S: "f16", T: "f16" }),
]);
