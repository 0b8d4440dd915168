/**
 * @file The forward pass of a decoder on the kernels. Letters: M new tokens, N tokens with those of the cache, H hidden size,
 * Hq and Hk query and key heads, D head dim. One sequence at a time.
 */
import { add, attention, matmul, piecewiseAttention, rmsNorm, rope, swiglu } from "../../kernels/index.ts";
import type { Tensor } from "../../runtime/index.ts";
import type { KeyValueCache } from "./cache.ts";
import type { ModelConfig } from "./config.ts";
import type { LayerParameters } from "./parameters.ts";
import { Scope } from "./scope.ts";

/** What all layers share. */
export interface ForwardContext {
  readonly config: ModelConfig;
  readonly cache: KeyValueCache;
}

/** One layer: x [M, H] → [M, H]. Appends the keys and values of the new tokens to the cache (without counting them). */
export function forwardLayer(context: ForwardContext, layer: number, weights: LayerParameters, x: Tensor): Tensor {
  using scope = new Scope();
  const epsilon = context.config.rmsNormEpsilon;
  const linear = (input: Tensor, weight: Tensor) => scope.keep(matmul({ a: input, b: weight, transposeB: true }));

  const attentionInput = scope.keep(rmsNorm({ x, weight: weights.attentionNorm, epsilon }));
  const attended = attend(context, layer, weights, attentionInput, scope);
  const middle = scope.keep(add({ a: x, b: linear(attended, weights.attentionOutput) }));

  const feedForwardInput = scope.keep(rmsNorm({ x: middle, weight: weights.feedForwardNorm, epsilon }));
  const gate = linear(feedForwardInput, weights.gate);
  const up = linear(feedForwardInput, weights.up);
  const gated = scope.keep(swiglu({ gate, up }));
  return add({ a: middle, b: linear(gated, weights.down) });
}

/** Attention of the new tokens over all tokens: x [M, H] → [M, Hq·D]. */
function attend(
  { config, cache }: ForwardContext,
  layer: number,
  weights: LayerParameters,
  x: Tensor,
  scope: Scope,
): Tensor {
  const { heads, kvHeads, headDim } = config;
  const tokens = x.shape[0]!;
  const [start, end] = [cache.length, cache.length + tokens];
  /** [rows, count·D] → [1, count, rows, D], a view. */
  const byHead = (tensor: Tensor, count: number): Tensor => {
    const split = scope.keep(tensor.reshape([1, tensor.shape[0]!, count, headDim]));
    return scope.keep(split.permute([0, 2, 1, 3]));
  };
  const rows = (tensor: Tensor, from: number, to: number) => scope.keep(tensor.slice(0, from, to));
  const project = (weight: Tensor) => scope.keep(matmul({ a: x, b: weight, transposeB: true }));
  const cached = (tensors: readonly Tensor[], from: number, to: number) =>
    byHead(rows(tensors[layer]!, from, to), kvHeads);
  const projectInto = (tensors: readonly Tensor[], weight: Tensor) =>
    matmul({ a: x, b: weight, transposeB: true, out: rows(tensors[layer]!, start, end) });

  const queries = byHead(project(weights.query), heads);
  projectInto(cache.values, weights.value);
  const out = scope.keep(x.device.empty([tokens, heads * headDim], x.dtype));
  const shared = { causal: true, scale: headDim ** -0.5, out: byHead(out, heads) };
  const v = cached(cache.values, 0, end);
  const { rotation } = cache;
  if ("onLoad" in rotation) {
    projectInto(cache.keys, weights.key);
    const k = cached(cache.keys, 0, end);
    piecewiseAttention({ q: queries, k, v, rope: rotation.onLoad, threshold: rotation.threshold, ...shared });
    return out;
  }
  const { query, key } = rotation.before.near;
  const q = scope.keep(x.device.empty([1, heads, tokens, headDim], x.dtype));
  rope({ x: queries, ...query, startPosition: start, out: q });
  const keys = byHead(project(weights.key), kvHeads);
  rope({ x: keys, ...key, startPosition: start, out: cached(cache.keys, start, end) });
  attention({ q, k: cached(cache.keys, 0, end), v, ...shared });
  return out;
}
