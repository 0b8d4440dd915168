/** @file The host operator `attention`: checks, block sizes, launch. */
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { forwardConfiguration, headConstants } from "./configuration.ts";
import { dense } from "./dense.ts";
import { attentionForward } from "./forward.ts";

export const attentionForwardKernel = attentionForward(dense);

/** Arguments of `attention`. */
export interface AttentionArguments {
  /** [B, Hq, M, D], f16, bf16 or f32; any strides. */
  readonly q: Tensor;
  /** [B, Hk, N, D]; Hq a multiple of Hk. */
  readonly k: Tensor;
  /** [B, Hk, N, E]. */
  readonly v: Tensor;
  /** Query m sees key n iff N - M + m >= n. Default false. */
  readonly causal?: boolean;
  /** Positive factor of the logits. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** Also give the natural-log normaliser. Default false. */
  readonly returnLse?: boolean;
  /** Write here: [B, Hq, M, E], dtype of q, any strides. */
  readonly out?: Tensor;
}

/** What `attention` gives. */
export interface AttentionOutput {
  /** [B, Hq, M, E], dtype of q. */
  readonly out: Tensor;
  /** f32 [B, Hq, M]; -inf for a query that sees no key. Only with `returnLse`. */
  readonly lse?: Tensor;
}

/**
 * Softmax attention without an N x M buffer: softmax(q kᵀ · scale) v (FlashAttention-2, arXiv 2307.08691). A query that sees no key gives
 * output 0 and lse -inf. Head dims 1 to 256, D and E may differ. Enqueues and returns at once.
 * @throws ArgumentError that names the argument: `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`, `ARGUMENT_HEADS`,
 * `ARGUMENT_HEAD_DIM`.
 */
export function attention({
  q,
  k,
  v,
  causal = false,
  scale,
  returnLse = false,
  out: given,
}: AttentionArguments): AttentionOutput {
  const check = new ArgumentChecker("attention");
  check.tensor("q", q, ["B", "Hq", "M", "D"], floatDTypes);
  check.tensor("k", k, ["B", "Hk", "N", "D"], [q.dtype]);
  check.tensor("v", v, ["B", "Hk", "N", "E"], [q.dtype]);
  const [batch, queryHeads, keyHeads, queries] = ["B", "Hq", "Hk", "M"].map((name) => check.size(name)) as [
    number,
    number,
    number,
    number,
  ];
  const [headDim, valueDim] = [check.size("D"), check.size("E")];
  if (keyHeads === 0 ? queryHeads !== 0 : queryHeads % keyHeads !== 0)
    check.fail(
      "ARGUMENT_HEADS",
      `q has ${queryHeads} heads, which is not a multiple of the ${keyHeads} heads of k and v`,
    );
  for (const [name, dim] of Object.entries({ q: headDim, v: valueDim }))
    if (dim < 1 || dim > 256) check.fail("ARGUMENT_HEAD_DIM", `"${name}" has head dim ${dim}; it must be 1 to 256`);
  const factor = check.number("scale", scale ?? headDim ** -0.5, { above: 0 });

  const out = check.output("out", given, [batch, queryHeads, queries, valueDim], q.dtype);
  const lse = check.device.empty([batch, queryHeads, queries], "f32");
  if (lse.size > 0)
    check.device.launch(
      attentionForwardKernel,
      { q, k, v, out, lse, scale: factor },
      {
        constants: {
          ...forwardConfiguration(check.device.backend, headDim, valueDim, queries),
          ...headConstants(headDim, valueDim),
          CAUSAL: causal,
        },
      },
    );
  if (returnLse) return { out, lse };
  lse.dispose();
  return { out };
}
