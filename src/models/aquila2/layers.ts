/**
 * @file The forward pass of a decoder on the kernels. Letters: M new tokens, N tokens with those of the cache, H hidden size,
 * Hq and Hk query and key heads, D head dim. One sequence at a time.
 */
import {
  add,
  attention,
  matmul,
  piecewiseAttention,
  type RopeTable,
  rmsNorm,
  rope,
  swiglu,
} from "../../kernels/index.ts";
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
  const rows = (tensors: readonly Tensor[], from: number) => scope.keep(tensors[layer]!.slice(0, from, end));
  const project = (weight: Tensor, out?: Tensor) => matmul({ a: x, b: weight, transposeB: true, out });
  const cached = (tensors: readonly Tensor[]) => byHead(rows(tensors, 0), kvHeads);

  const q = byHead(scope.keep(project(weights.query)), heads);
  project(weights.value, rows(cache.values, start));
  const out = scope.keep(x.device.empty([tokens, heads * headDim], x.dtype));
  const shared = { v: cached(cache.values), causal: true, scale: headDim ** -0.5, out: byHead(out, heads) };
  const { rotation } = cache;
  if ("onLoad" in rotation) {
    project(weights.key, rows(cache.keys, start));
    const raw = { q, k: cached(cache.keys), rope: rotation.onLoad, ...shared };
    const { scheme } = cache.positions;
    if (scheme) piecewiseAttention({ ...raw, threshold: scheme.threshold });
    else attention(raw);
    return out;
  }

  const { near, far } = rotation.before;
  const turn = (tensor: Tensor, table: RopeTable, into: Tensor) =>
    rope({ x: tensor, ...table, startPosition: start, out: into });
  const keys = byHead(scope.keep(project(weights.key)), kvHeads);
  const appended = (tensors: readonly Tensor[]) => byHead(rows(tensors, start), kvHeads);
  turn(keys, near.key, appended(cache.keys));
  if (far === undefined) {
    attention({ q: turn(q, near.query, q), k: cached(cache.keys), ...shared });
    return out;
  }
  turn(keys, far.key, appended(cache.farKeys));
  const q2 = turn(q, far.query, scope.keep(x.device.empty(q.shape, x.dtype)));
  const q1 = turn(q, near.query, q);
  const [k1, k2] = [cached(cache.keys), cached(cache.farKeys)];
  piecewiseAttention({ q1, k1, q2, k2, threshold: far.threshold, ...shared });
  return out;
}
