/**
 * @file The model in plain TypeScript and f64, written from the description of the architecture (not from `src/models`): what the
 * kernels' logits are judged by. Slow; for small models. In f64 the norm's rounding rule (one rounding for Aquila, two for Llama)
 * makes no difference, so there is none here.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { modelFilesOfDirectory } from "../../src/models/aquila2/byte-source.ts";
import { openCheckpoint } from "../../src/models/aquila2/checkpoint.ts";
import { type ModelConfig, parseConfig } from "../../src/models/aquila2/config.ts";
import { readWeights } from "../../src/models/aquila2/weights.ts";
import { bf16BitsToF32 } from "../../src/support/float16.ts";
import { fixtureDirectory } from "./files.ts";

export interface ReferenceModel {
  config: ModelConfig;
  weights: Map<string, Float64Array>;
}

/** The fixture's model. */
export async function loadReference(): Promise<ReferenceModel> {
  const config = parseConfig(await readFile(new URL("config.json", fixtureDirectory), "utf8"));
  const checkpoint = await openCheckpoint(await modelFilesOfDirectory(fileURLToPath(fixtureDirectory)));
  const weights = new Map<string, Float64Array>();
  for await (const { name, dtype, data } of readWeights(checkpoint, config)) {
    if (dtype !== "bf16") throw new Error("the fixture is bf16");
    weights.set(name, Float64Array.from(data, bf16BitsToF32));
  }
  await checkpoint.close();
  return { config, weights };
}

/** What the rotary embedding shows the model; by default plain RoPE. */
export interface ReferencePositions {
  /** Radians a unit of distance, for each pair of channels. */
  frequencies?: ArrayLike<number>;
  /** The two channels of each pair; every channel is in one. Default: half-split. */
  pairs?: readonly (readonly [number, number])[];
  /** How far key j appears to be behind query i. */
  distance?(i: number, j: number): number;
  /** Multiplies the logits of query i. */
  logitFactor?(i: number): number;
  /** Sees the weights of each query, one for each key that it sees. */
  onWeights?(layer: number, head: number, query: number, weights: Float64Array): void;
}

/**
 * Logits [ids.length, vocabSize] of the whole sequence, without a cache. The rotary embedding is written by its defining property: the
 * score of a query and a key depends on their distance alone. With pairs of channels as complex numbers it is the real part of
 * q · conj(k) · e^(i · distance · frequency), summed over the pairs.
 */
export function referenceLogits(
  { config, weights }: ReferenceModel,
  ids: readonly number[],
  { frequencies, pairs, distance = (i, j) => i - j, logitFactor = () => 1, onWeights }: ReferencePositions = {},
): Float64Array {
  const { hiddenSize, heads, kvHeads, headDim, intermediateSize, vocabSize } = config;
  const weight = (name: string): Float64Array => weights.get(`${name}.weight`)!;
  const tokens = ids.length;
  const linear = (x: Float64Array, name: string, inputs: number, outputs: number): Float64Array => {
    const w = weight(name); // [outputs, inputs]
    const y = new Float64Array(tokens * outputs);
    for (let t = 0; t < tokens; t++) {
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) sum += x[t * inputs + i]! * w[o * inputs + i]!;
        y[t * outputs + o] = sum;
      }
    }
    return y;
  };
  const rmsNorm = (x: Float64Array, name: string): Float64Array => {
    const w = weight(name);
    const y = new Float64Array(x.length);
    for (let t = 0; t < tokens; t++) {
      const row = x.subarray(t * hiddenSize, (t + 1) * hiddenSize);
      const meanSquare = row.reduce((sum, value) => sum + value * value, 0) / hiddenSize;
      const scale = 1 / Math.sqrt(meanSquare + config.rmsNormEpsilon);
      for (let i = 0; i < hiddenSize; i++) y[t * hiddenSize + i] = w[i]! * (row[i]! * scale);
    }
    return y;
  };
  const half = headDim / 2;
  const turns = frequencies ?? Float64Array.from({ length: half }, (_, i) => config.rope.theta ** (-i / half));
  const members = pairs ?? Array.from({ length: half }, (_, i) => [i, i + half] as const);
  const phases = new Map<number, { cos: Float64Array; sin: Float64Array }>();
  const phaseOf = (apart: number) => {
    let phase = phases.get(apart);
    if (phase === undefined) {
      const table = (of: (x: number) => number) => Float64Array.from(turns, (turn) => of(apart * turn));
      phase = { cos: table(Math.cos), sin: table(Math.sin) };
      phases.set(apart, phase);
    }
    return phase;
  };
  const attention = (layer: number, q: Float64Array, k: Float64Array, v: Float64Array): Float64Array => {
    const out = new Float64Array(tokens * heads * headDim);
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads));
      for (let m = 0; m < tokens; m++) {
        const scores = new Float64Array(m + 1);
        for (let n = 0; n <= m; n++) {
          const { cos, sin } = phaseOf(distance(m, n));
          const [qAt, kAt] = [(m * heads + h) * headDim, (n * kvHeads + kvHead) * headDim];
          for (let i = 0; i < half; i++) {
            const [first, second] = members[i]!;
            const [a, b] = [q[qAt + first]!, q[qAt + second]!];
            const [c, d] = [k[kAt + first]!, k[kAt + second]!];
            scores[n]! += (a * c + b * d) * cos[i]! + (a * d - b * c) * sin[i]!;
          }
          scores[n]! *= logitFactor(m) / Math.sqrt(headDim);
        }
        const max = Math.max(...scores);
        const exponentials = scores.map((score) => Math.exp(score - max));
        const total = exponentials.reduce((sum, value) => sum + value, 0);
        const weights = exponentials.map((value) => value / total);
        onWeights?.(layer, h, m, weights);
        for (let n = 0; n <= m; n++) {
          for (let d = 0; d < headDim; d++) {
            out[(m * heads + h) * headDim + d]! += weights[n]! * v[(n * kvHeads + kvHead) * headDim + d]!;
          }
        }
      }
    }
    return out;
  };

  const table = weight("model.embed_tokens");
  let x: Float64Array = new Float64Array(tokens * hiddenSize);
  ids.forEach((id, t) => {
    x.set(table.subarray(id * hiddenSize, (id + 1) * hiddenSize), t * hiddenSize);
  });
  for (let layer = 0; layer < config.layers; layer++) {
    const name = (part: string) => `model.layers.${layer}.${part}`;
    const attended = rmsNorm(x, name("input_layernorm"));
    const q = linear(attended, name("self_attn.q_proj"), hiddenSize, heads * headDim);
    const k = linear(attended, name("self_attn.k_proj"), hiddenSize, kvHeads * headDim);
    const v = linear(attended, name("self_attn.v_proj"), hiddenSize, kvHeads * headDim);
    const projected = linear(attention(layer, q, k, v), name("self_attn.o_proj"), heads * headDim, hiddenSize);
    x = x.map((value, i) => value + projected[i]!);

    const fed = rmsNorm(x, name("post_attention_layernorm"));
    const gate = linear(fed, name("mlp.gate_proj"), hiddenSize, intermediateSize);
    const up = linear(fed, name("mlp.up_proj"), hiddenSize, intermediateSize);
    const gated = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!);
    const down = linear(gated, name("mlp.down_proj"), intermediateSize, hiddenSize);
    x = x.map((value, i) => value + down[i]!);
  }
  const output = config.tieWordEmbeddings ? "model.embed_tokens" : "lm_head";
  return linear(rmsNorm(x, "model.norm"), output, hiddenSize, vocabSize);
}
