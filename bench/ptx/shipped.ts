/** @file The attention kernels as the operators launch them on CUDA: every kernel, dtype, head dim and switch with its own block sizes. */

import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import type { DType } from "../../src/ir/index.ts";
import {
  backwardKeysConfiguration,
  backwardQueriesConfiguration,
  forwardConfiguration,
  type HeadProblem,
  headConstants,
} from "../../src/kernels/attention/configuration.ts";
import { dense } from "../../src/kernels/attention/dense.ts";
import { withDropout } from "../../src/kernels/attention/dropout.ts";
import { kernelsOf } from "../../src/kernels/attention/launch.ts";
import { piecewise } from "../../src/kernels/attention/piecewise.ts";
import { splitConfiguration } from "../../src/kernels/attention/splits.ts";
import { optimize } from "../../src/passes/index.ts";

const kinds = ["forward", "backwardQueries", "backwardKeys", "total", "split"] as const;
const variants = { dense, piecewise, dense_dropout: withDropout(dense), piecewise_dropout: withDropout(piecewise) };

export interface Shipped {
  readonly kind: (typeof kinds)[number];
  readonly variant: keyof typeof variants;
  readonly dtype: DType;
  readonly headDim: number;
  readonly causal: boolean;
}

export const shipped: readonly Shipped[] = kinds.flatMap((kind) =>
  (Object.keys(variants) as Shipped["variant"][]).flatMap((variant) =>
    (["f16", "bf16", "f32"] as const).flatMap((dtype) =>
      [16, 32, 64, 80, 96, 128, 256].flatMap((headDim) =>
        [false, true].map((causal) => ({ kind, variant, dtype, headDim, causal })),
      ),
    ),
  ),
);

export const describeShipped = ({ kind, variant, dtype, headDim, causal }: Shipped): string =>
  `${variant} ${kind} ${dtype} D=${headDim}${causal ? " causal" : ""}`;

const families = new Map<string, ReturnType<typeof kernelsOf>>();
const familyOf = (name: Shipped["variant"]) => {
  if (!families.has(name)) families.set(name, kernelsOf(variants[name]));
  return families.get(name)!;
};

/** The block sizes of the operators, for long sequences of dense tensors. */
export function blocksOf({ kind, variant, dtype, headDim, causal }: Shipped) {
  const terms = variant.startsWith("piecewise") ? 2 : 1;
  const plain = variant === "dense" || variant === "piecewise";
  const problem: HeadProblem & { terms: number } = {
    backend: "cuda",
    dtype,
    headDim,
    valueDim: headDim,
    terms,
    plain,
    causal,
  };
  if (kind === "forward") return forwardConfiguration(problem, 4096);
  if (kind === "split") return splitConfiguration(problem, 16);
  return kind === "backwardQueries" ? backwardQueriesConfiguration(problem) : backwardKeysConfiguration(problem);
}

export function compileShipped(one: Shipped): CompiledKernel {
  const constants = { ...blocksOf(one), ...headConstants(one.headDim, one.headDim), CAUSAL: one.causal };
  const definition = familyOf(one.variant)[one.kind];
  const traced = definition.trace({ constants: constants as never, dtypes: { T: one.dtype } });
  return compilePtx(optimize(traced), { target: "sm_80" });
}
