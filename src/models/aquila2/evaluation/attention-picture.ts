/**
 * @file What one head looks at in a long text: its weights, and the attention that each key gets in total. Nothing of size N x N is made: the
 * picture comes out of the attention operator itself, with *bins* for values. The value of a key is 1 in the column of the bin that the key
 * lies in and 0 elsewhere, so the output of a query is its weights summed by bin, exactly, [N, bins]; the host averages rows. The column sums
 * are the operator's `totalAttention`.
 */
import {
  attention,
  matmul,
  piecewiseAttention,
  type RopeTable,
  rmsNorm,
  rope,
  trainedLength,
} from "../../../kernels/index.ts";
import type { Tensor } from "../../../runtime/index.ts";
import type { KeyValueCache } from "../cache.ts";
import type { Aquila2 } from "../model.ts";
import type { ModelDType } from "../parameters.ts";
import { type PositionOptions, RotaryTables } from "../positions.ts";
import { Scope } from "../scope.ts";
import { type MeasureOptions, measureOptionNames, OptionChecker, overLengths } from "./measure.ts";

export interface AttentionPictureOptions extends MeasureOptions {
  readonly layer: number;
  readonly head: number;
  /** Tokens of the text, the first ones of `ids`. */
  readonly length: number;
  /** Rows and columns of the picture, at most; 1 to 256. Default 64. */
  readonly bins?: number;
}

/** One head's attention over one text under one scheme. */
export interface AttentionPicture {
  readonly scheme: string;
  /** [query bin][key bin]: the share of attention that the queries of a bin give to the keys of another, each row with sum 1. */
  readonly weights: readonly (readonly number[])[];
  /** For each key, the attention that it gets from all queries. */
  readonly totalAttention: readonly number[];
  /**
   * The share of attention, of the queries beyond the trained length, that goes to bins of keys which are wholly the trained length or more
   * behind the query. Undefined for a text without such.
   */
  readonly farShare: number | undefined;
}

export interface AttentionPictureReport {
  readonly layer: number;
  readonly head: number;
  readonly length: number;
  /** Tokens of a bin; the last bin may have fewer. */
  readonly binSize: number;
  readonly trainedLength: number;
  readonly pictures: readonly AttentionPicture[];
}

/** @throws ArgumentError `EVALUATION`: no such layer or head, a text that is too short; and what the schemes throw. */
export async function attentionPicture(
  model: Aquila2,
  options: AttentionPictureOptions,
): Promise<AttentionPictureReport> {
  const { ids, layer, head, length, schemes, bins = 64 } = options;
  const { config } = model;
  const check = new OptionChecker("attentionPicture");
  check.names(options, { ...measureOptionNames, layer: true, head: true, length: true, bins: true });
  check.integer("layer", layer, 0, config.layers - 1);
  check.integer("head", head, 0, config.heads - 1);
  check.integer("bins", bins, 1, 256);
  check.integer("length", length, 1);
  check.schemes(schemes);
  check.text(ids.length, [length], [0], 0);

  const binSize = Math.ceil(length / bins);
  const trained = trainedLength(config.rope);
  const text = ids.slice(0, length);
  const rows = await overLengths(model, { ...options, lengths: [length] }, [text], async (_, __, positions) => {
    using scope = new Scope();
    const { byQuery, totalAttention } = await headAttention(model, text, { layer, head, binSize, positions }, scope);
    return {
      weights: meanRows(byQuery, length, binSize),
      totalAttention: [...totalAttention],
      farShare: farShare(byQuery, length, binSize, trained),
    };
  });
  return {
    layer,
    head,
    length,
    binSize,
    trainedLength: trained,
    pictures: rows.map(({ scheme, results }) => ({ scheme, ...results[0]![0]! })),
  };
}

interface HeadOptions {
  readonly layer: number;
  readonly head: number;
  readonly binSize: number;
  readonly positions: PositionOptions;
}

/** Weights summed by bin of keys, [N, bins], and column sums, [N]. Keeps tensors in `scope`. */
async function headAttention(
  model: Aquila2,
  ids: readonly number[],
  { layer, head, binSize, positions }: HeadOptions,
  scope: Scope,
): Promise<{ readonly byQuery: Float32Array; readonly totalAttention: Float32Array }> {
  const { config, device } = model;
  const { headDim } = config;
  using cache = model.createCache(ids.length, positions);
  using tables = new RotaryTables(device, headDim, cache.positions, ids.length);
  const raw = projections(model, ids, { layer, head }, cache, scope);
  // Not by the operators' own `rope`: this runs once, and a software GPU compiles kernels that turn while they load for longer than all of it takes.
  const turn = (x: Tensor, table: RopeTable) => scope.keep(rope({ x, ...table }));
  const { near, far } = tables;
  const [q, k] = [turn(raw.q, near.query), turn(raw.k, near.key)];
  const shared = {
    v: scope.keep(binValues(raw.q, binSize)),
    causal: true,
    scale: headDim ** -0.5,
    returnTotalAttention: true,
  };
  const { out, totalAttention } =
    far === undefined
      ? attention({ q, k, ...shared })
      : piecewiseAttention({
          q1: q,
          k1: k,
          q2: turn(raw.q, far.query),
          k2: turn(raw.k, far.key),
          threshold: far.threshold,
          ...shared,
        });
  const read = (tensor: Tensor) => (scope.keep(tensor) as Tensor<ModelDType>).read();
  const [byQuery, columnSums] = [await read(out), await read(totalAttention!)];
  return { byQuery, totalAttention: columnSums };
}

/** Tokens that go through the model at once. */
const chunk = 512;

/** Queries of a head, and the keys that it reads, before the rotary embedding: each [1, 1, N, D]. */
function projections(
  model: Aquila2,
  ids: readonly number[],
  { layer, head }: { readonly layer: number; readonly head: number },
  cache: KeyValueCache,
  scope: Scope,
): { readonly q: Tensor; readonly k: Tensor } {
  const { headDim, heads, kvHeads, rmsNormEpsilon } = model.config;
  const { attentionNorm, query, key } = model.parameters.layers[layer]!;
  const make = () => scope.keep(model.device.empty([ids.length, headDim], model.dtype));
  const [q, k] = [make(), make()];
  const ofHead = (weight: Tensor, number: number) =>
    scope.keep(weight.slice(0, number * headDim, (number + 1) * headDim));
  const [queryWeight, keyWeight] = [ofHead(query, head), ofHead(key, Math.floor(head / (heads / kvHeads)))];
  for (let from = 0; from < ids.length; from += chunk) {
    const to = Math.min(from + chunk, ids.length);
    using x = model.hiddenStates(ids.slice(from, to), cache, layer);
    using normed = rmsNorm({ x, weight: attentionNorm, epsilon: rmsNormEpsilon });
    using queryRows = q.slice(0, from, to);
    using keyRows = k.slice(0, from, to);
    matmul({ a: normed, b: queryWeight, transposeB: true, out: queryRows });
    matmul({ a: normed, b: keyWeight, transposeB: true, out: keyRows });
  }
  const shape = [1, 1, ids.length, headDim];
  return { q: scope.keep(q.reshape(shape)), k: scope.keep(k.reshape(shape)) };
}

/** For each key a row with 1 in the column of its bin: [1, 1, N, bins], device and dtype of `like`, [1, 1, N, D]. */
function binValues({ device, dtype, shape }: Tensor, binSize: number): Tensor {
  const keys = shape[2]!;
  const bins = Math.ceil(keys / binSize);
  const values = new Float32Array(keys * bins);
  for (let key = 0; key < keys; key++) values[key * bins + Math.floor(key / binSize)] = 1;
  return device.tensor(values, { shape: [1, 1, keys, bins], dtype });
}

/** Of rows [length, bins], the mean of each `binSize`. */
function meanRows(rows: Float32Array, length: number, binSize: number): number[][] {
  const bins = Math.ceil(length / binSize);
  return Array.from({ length: bins }, (_, bin) => {
    const [from, to] = [bin * binSize, Math.min((bin + 1) * binSize, length)];
    const mean = new Array<number>(bins).fill(0);
    for (let row = from; row < to; row++)
      for (let column = 0; column < bins; column++) mean[column]! += rows[row * bins + column]! / (to - from);
    return mean;
  });
}

function farShare(rows: Float32Array, length: number, binSize: number, distance: number): number | undefined {
  const bins = Math.ceil(length / binSize);
  let [share, queries] = [0, 0];
  for (let query = distance + binSize - 1; query < length; query++) {
    const far = Math.floor((query - distance + 1) / binSize);
    for (const weight of rows.subarray(query * bins, query * bins + far)) share += weight;
    queries++;
  }
  return queries > 0 ? share / queries : undefined;
}
