/**
 * @file Training: the loss of a batch, and the gradients of all weights by hand-written backward passes over the kernels. Letters: B sequences
 * of T tokens (together B·T rows), H hidden size, F feed-forward size, Hq and Hk query and key heads, D head dim.
 *
 * The forward pass keeps what the backward pass needs of each layer; that is given back layer by layer on the way down. Gradients of
 * weights are f32 whatever the dtype of the activations; those of activations have their dtype.
 */
import {
  add,
  attention,
  attentionBackward,
  copy,
  crossEntropy,
  crossEntropyBackward,
  embedding,
  embeddingBackward,
  matmul,
  type RopeTable,
  rmsNorm,
  rmsNormBackward,
  rope,
  swiglu,
  swigluBackward,
} from "../../kernels/index.ts";
import type { Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { refuseUnknownNames } from "../../support/names.ts";
import type { ModelConfig } from "./config.ts";
import type { Aquila2 } from "./model.ts";
import type { LayerParameters, Parameters } from "./parameters.ts";
import { RotaryTables } from "./positions.ts";
import { Scope } from "./scope.ts";

/** The label of a position that has nothing to predict. */
const ignored = -100;

/** Gradients by weight, f32, in the shape of the weights. `output` is `embedding` itself where the config ties them. */
export type Gradients = Parameters;

export interface LossAndGradients {
  /** f32 [1]: mean cross-entropy of the predicted tokens. */
  readonly loss: Tensor;
  readonly gradients: Gradients;
}

/** What all layers share. */
interface Context {
  readonly config: ModelConfig;
  readonly batch: number;
  readonly length: number;
  readonly rotary: RotaryTables["near"];
}

/** What the backward pass of a layer needs of its forward pass; owned by `scope`. */
interface SavedLayer {
  readonly scope: Scope;
  /** `[B·T, H]`: the layer's input, that input normalised, and the stream after attention, normalised too. */
  readonly input: Tensor;
  readonly attentionInput: Tensor;
  readonly middle: Tensor;
  readonly feedForwardInput: Tensor;
  /** [B, Hq, T, D] and [B, Hk, T, D], q and k turned. */
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** [B·T, Hq·D] and f32 [B, Hq, T]. */
  readonly attended: Tensor;
  readonly lse: Tensor;
  /** [B·T, F] */
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly gated: Tensor;
}

/** x·Wᵀ of rows x and a weight [out, in]. */
const linear = (x: Tensor, weight: Tensor): Tensor => matmul({ a: x, b: weight, transposeB: true });

/** The gradient of `linear`'s weight, dyᵀ·x. */
const linearWeightGradient = (dy: Tensor, x: Tensor): Tensor =>
  matmul({ a: dy, transposeA: true, b: x, outDtype: "f32" });

/** The gradient of `linear`'s input, dy·W; added to `sum` if given. */
const linearInputGradient = (dy: Tensor, weight: Tensor, sum?: Tensor): Tensor =>
  matmul({ a: dy, b: weight, out: sum, accumulate: sum !== undefined });

/** [B·T, count·D] as [B, count, T, D], a view. */
function byHead({ batch, length, config }: Context, rows: Tensor, count: number): Tensor {
  using split = rows.reshape([batch, length, count, config.headDim]);
  return split.permute([0, 2, 1, 3]);
}

/** One layer: x [B·T, H] → [B·T, H], and what its backward pass needs. */
function forward(context: Context, weights: LayerParameters, input: Tensor): { output: Tensor; saved: SavedLayer } {
  const { config, batch, length } = context;
  const { heads, kvHeads, headDim, rmsNormEpsilon: epsilon } = config;
  const scope = new Scope();
  const keep = <T extends Disposable>(value: T): T => scope.keep(value);

  const attentionInput = keep(rmsNorm({ x: input, weight: weights.attentionNorm, epsilon }));
  const project = (weight: Tensor, count: number): Tensor => {
    using rows = linear(attentionInput, weight);
    return byHead(context, rows, count);
  };
  const turned = (weight: Tensor, count: number, table: RopeTable): Tensor => {
    using x = project(weight, count);
    return keep(rope({ x, ...table }));
  };
  const q = turned(weights.query, heads, context.rotary.query);
  const k = turned(weights.key, kvHeads, context.rotary.key);
  const v = keep(project(weights.value, kvHeads));
  const attended = keep(input.device.empty([batch * length, heads * headDim], input.dtype));
  const out = keep(byHead(context, attended, heads));
  const lse = keep(attention({ q, k, v, causal: true, scale: headDim ** -0.5, out, returnLse: true }).lse!);
  using attentionOutput = linear(attended, weights.attentionOutput);
  const middle = keep(add({ a: input, b: attentionOutput }));

  const feedForwardInput = keep(rmsNorm({ x: middle, weight: weights.feedForwardNorm, epsilon }));
  const gate = keep(linear(feedForwardInput, weights.gate));
  const up = keep(linear(feedForwardInput, weights.up));
  const gated = keep(swiglu({ gate, up }));
  using feedForwardOutput = linear(gated, weights.down);
  const output = add({ a: middle, b: feedForwardOutput });
  return {
    output,
    saved: { scope, input, attentionInput, middle, feedForwardInput, q, k, v, attended, lse, gate, up, gated },
  };
}

/** The gradients of one layer: of its weights, and of its input from that of its output, `dy` [B·T, H]. */
function backward(
  context: Context,
  weights: LayerParameters,
  saved: SavedLayer,
  dy: Tensor,
): { dx: Tensor; gradients: LayerParameters } {
  const { heads, kvHeads, headDim, rmsNormEpsilon: epsilon } = context.config;
  const { input, attentionInput, middle, feedForwardInput, q, k, v, attended, lse, gate, up, gated } = saved;
  using scope = new Scope();
  const keep = <T extends Disposable>(value: T): T => scope.keep(value);
  const { device } = dy;
  /** Through a norm beside which the residual stream flows: the gradients of its weight, and of its input plus `stream`. */
  const throughNorm = (x: Tensor, weight: Tensor, dout: Tensor, stream: Tensor) => {
    const dweight = device.empty(weight.shape, "f32");
    using dx = rmsNormBackward({ x, weight, dout, epsilon, dweight }).dx;
    return { dx: add({ a: stream, b: dx }), dweight };
  };

  const dgated = keep(linearInputGradient(dy, weights.down));
  const { dgate, dup } = swigluBackward({ gate, up, dout: dgated });
  keep(dgate);
  keep(dup);
  const dfeedForwardInput = keep(linearInputGradient(dgate, weights.gate));
  linearInputGradient(dup, weights.up, dfeedForwardInput);
  const afterAttention = throughNorm(middle, weights.feedForwardNorm, dfeedForwardInput, dy);
  const dmiddle = keep(afterAttention.dx);

  const dattended = keep(linearInputGradient(dmiddle, weights.attentionOutput));
  const through = attentionBackward({
    q,
    k,
    v,
    out: keep(byHead(context, attended, heads)),
    lse,
    dout: keep(byHead(context, dattended, heads)),
    causal: true,
    scale: headDim ** -0.5,
  });
  for (const gradient of Object.values(through)) keep(gradient);
  /** A gradient [B, count, T, D] as rows [B·T, count·D], written by `write`. */
  const rowsOf = (count: number, write: (heads: Tensor) => void): Tensor => {
    const rows = keep(device.empty([dy.shape[0]!, count * headDim], dy.dtype));
    write(keep(byHead(context, rows, count)));
    return rows;
  };
  const { rotary } = context;
  const dquery = rowsOf(heads, (out) => rope({ x: through.dq, ...rotary.query, inverse: true, out }));
  const dkey = rowsOf(kvHeads, (out) => rope({ x: through.dk, ...rotary.key, inverse: true, out }));
  const dvalue = rowsOf(kvHeads, (to) => copy({ from: through.dv, to }));
  const dattentionInput = keep(linearInputGradient(dquery, weights.query));
  linearInputGradient(dkey, weights.key, dattentionInput);
  linearInputGradient(dvalue, weights.value, dattentionInput);
  const { dx, dweight } = throughNorm(input, weights.attentionNorm, dattentionInput, dmiddle);

  const gradients = {
    attentionNorm: dweight,
    query: linearWeightGradient(dquery, attentionInput),
    key: linearWeightGradient(dkey, attentionInput),
    value: linearWeightGradient(dvalue, attentionInput),
    attentionOutput: linearWeightGradient(dmiddle, attended),
    feedForwardNorm: afterAttention.dweight,
    gate: linearWeightGradient(dgate, feedForwardInput),
    up: linearWeightGradient(dup, feedForwardInput),
    down: linearWeightGradient(dy, gated),
  };
  return { dx, gradients };
}

/** `sequences` as one row of ids, and for each the id that follows it; `ignored` at the end of a sequence. */
function batchOf(sequences: readonly (readonly number[])[], vocabSize: number) {
  const [batch, length] = [sequences.length, sequences[0]?.length ?? 0];
  const fail = (message: string): never => {
    throw new ArgumentError("TRAINING_BATCH", `lossAndGradients: ${message}`);
  };
  if (length < 2) fail(`a batch is one or more sequences of at least 2 tokens each, got ${batch} of ${length}`);
  for (const [i, sequence] of sequences.entries()) {
    if (sequence.length !== length)
      fail(`sequence ${i} has ${sequence.length} tokens, but the first ${length}: cut or pad them to one length`);
    const wrong = sequence.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (wrong >= 0)
      fail(`token ${wrong} of sequence ${i} is ${sequence[wrong]}; ids are integers from 0 to ${vocabSize - 1}`);
  }
  const labels = sequences.flatMap((sequence) => [...sequence.slice(1), ignored]);
  return { batch, length, ids: Int32Array.from(sequences.flat()), labels: Int32Array.from(labels) };
}

export interface LossOptions {
  /** Factor of all gradients, which keeps small ones above what f16 can hold. Default 1. */
  readonly lossScale?: number;
}

/**
 * The mean loss of predicting each token of `sequences` (of one length) from those before it, and its gradients by all weights. Enqueues and
 * returns at once; the caller disposes of both. @throws ArgumentError `TRAINING_BATCH`, `TRAINING_SCHEME`.
 */
export function lossAndGradients(
  model: Aquila2,
  sequences: readonly (readonly number[])[],
  options: LossOptions = {},
): LossAndGradients {
  refuseUnknownNames("lossAndGradients", options, { lossScale: true });
  const { lossScale = 1 } = options;
  const { config, device, parameters } = model;
  const { batch, length, ...host } = batchOf(sequences, config.vocabSize);
  using scope = new Scope();
  const keep = <T extends Disposable>(value: T): T => scope.keep(value);
  const integers = (data: Int32Array): Tensor => keep(device.tensor(data, { shape: [data.length], dtype: "i32" }));
  const [ids, labels] = [integers(host.ids), integers(host.labels)];
  const { positions } = model;
  if (positions.scheme)
    throw new ArgumentError(
      "TRAINING_SCHEME",
      `lossAndGradients: training takes rotary positions as they are, not the scheme ${positions.scheme.name}; load the model without it`,
    );
  const rotary = keep(new RotaryTables(device, config.headDim, positions, length)).near;
  const context: Context = { config, batch, length, rotary };
  const epsilon = config.rmsNormEpsilon;

  let x = keep(embedding({ table: parameters.embedding, ids, outDtype: model.dtype }));
  const saved = parameters.layers.map((weights) => {
    const layer = forward(context, weights, x);
    keep(layer.saved.scope);
    x = keep(layer.output);
    return layer.saved;
  });
  const normed = keep(rmsNorm({ x, weight: parameters.finalNorm, epsilon }));
  const logits = keep(linear(normed, parameters.output));
  const { loss, statistics, rowWeight } = crossEntropy({ logits, labels, ignoreIndex: ignored });
  keep(statistics);
  keep(rowWeight!);

  const dlogits = crossEntropyBackward({
    logits,
    labels,
    statistics,
    dloss: rowWeight!,
    scale: lossScale,
    ignoreIndex: ignored,
    out: logits,
  });
  const output = linearWeightGradient(dlogits, normed);
  const dnormed = keep(linearInputGradient(dlogits, parameters.output));
  const finalNorm = device.empty(parameters.finalNorm.shape, "f32");
  let dx = rmsNormBackward({ x, weight: parameters.finalNorm, dout: dnormed, epsilon, dweight: finalNorm }).dx;
  const layers: LayerParameters[] = [];
  for (let layer = config.layers - 1; layer >= 0; layer--) {
    using dy = dx;
    const through = backward(context, parameters.layers[layer]!, saved[layer]!, dy);
    saved[layer]!.scope[Symbol.dispose]();
    dx = through.dx;
    layers.unshift(through.gradients);
  }
  keep(dx);
  const rows = config.vocabSize;
  const tied = parameters.output === parameters.embedding;
  const table = tied
    ? embeddingBackward({ dout: dx, ids, rows, out: output, accumulate: true })
    : embeddingBackward({ dout: dx, ids, rows, outDtype: "f32" });
  const gradients = { embedding: table, layers, finalNorm, output };
  const dispose = (): void => {
    for (const gradient of tensorsOf(gradients)) gradient.dispose();
  };
  return { loss, gradients: { ...gradients, [Symbol.dispose]: dispose } };
}

/** Every tensor once, in an order that is the same for parameters and gradients. */
export function tensorsOf({ embedding, layers, finalNorm, output }: Omit<Parameters, typeof Symbol.dispose>): Tensor[] {
  const ofLayer = (layer: LayerParameters): Tensor[] => [
    layer.attentionNorm,
    layer.query,
    layer.key,
    layer.value,
    layer.attentionOutput,
    layer.feedForwardNorm,
    layer.gate,
    layer.up,
    layer.down,
  ];
  return [...new Set([embedding, ...layers.flatMap(ofLayer), finalNorm, output])];
}
