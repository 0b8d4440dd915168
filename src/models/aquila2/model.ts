/**
 * @file Aquila2 on the kernels of this library: a decoder with a key/value cache. `forward` is the one way through the model; `logits`
 * and `generate` are built on it.
 */
import { embedding, matmul, rmsNorm, ropeTable } from "../../kernels/index.ts";
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { KeyValueCache } from "./cache.ts";
import type { ModelConfig } from "./config.ts";
import { type GenerateOptions, generate, type Piece } from "./generate.ts";
import { forwardLayer } from "./layers.ts";
import type { ModelDType, Parameters } from "./parameters.ts";
import { Scope } from "./scope.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Tokens of a prompt that go through the model at once: bounds the memory of the activations. */
const promptChunk = 512;

/** What a model is made of; `loadAquila2` reads it from files. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly device: Device;
  readonly dtype: ModelDType;
  readonly parameters: Parameters;
}

export class Aquila2 implements Disposable {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly device: Device;
  /** The dtype of activations. */
  readonly dtype: ModelDType;
  readonly #parameters: Parameters;
  #rotary: { positions: number; cos: Tensor; sin: Tensor } | undefined;

  constructor({ config, tokenizer, device, dtype, parameters }: ModelParts) {
    this.config = config;
    this.tokenizer = tokenizer;
    this.device = device;
    this.dtype = dtype;
    this.#parameters = parameters;
  }

  /** The weights, as they are on the device. */
  get parameters(): Parameters {
    return this.#parameters;
  }

  /** An empty cache for one sequence of up to `capacity` tokens. Dispose of it when the sequence is done. */
  createCache(capacity: number): KeyValueCache {
    return new KeyValueCache(this.device, this.config, this.dtype, capacity);
  }

  /**
   * Runs the tokens `ids`, which follow those of `cache`, and adds them to it. Returns f32 logits on the device: [ids.length,
   * vocabSize], or [1, vocabSize] of the last token when `only` is `"last"`. Throws `ArgumentError` for an id outside of the
   * vocabulary or a cache that is too small.
   */
  forward(ids: readonly number[], cache: KeyValueCache, only: "all" | "last" = "all"): Tensor<"f32"> {
    this.#check(ids, cache);
    const { layers, embedding: table, finalNorm, output } = this.#parameters;
    using scope = new Scope();
    const tokens = scope.keep(this.device.tensor(Int32Array.from(ids), { shape: [ids.length], dtype: "i32" }));
    const context = { config: this.config, cache, ...this.#rotaryTables(cache.capacity) };

    let x = scope.keep(embedding({ table, ids: tokens, outDtype: this.dtype }));
    for (const [layer, weights] of layers.entries()) x = scope.keep(forwardLayer(context, layer, weights, x));
    cache.advance(ids.length);

    const rows = only === "last" ? scope.keep(x.slice(0, ids.length - 1)) : x;
    const normed = scope.keep(rmsNorm({ x: rows, weight: finalNorm, epsilon: this.config.rmsNormEpsilon }));
    return matmul({ a: normed, b: output, transposeB: true, outDtype: "f32" }) as Tensor<"f32">;
  }

  /** Runs a prompt of any length in bounded memory; returns the logits of its last token, [1, vocabSize]. */
  prefill(ids: readonly number[], cache: KeyValueCache): Tensor<"f32"> {
    let from = 0;
    for (; ids.length - from > promptChunk; from += promptChunk) {
      this.forward(ids.slice(from, from + promptChunk), cache, "last").dispose();
    }
    return this.forward(ids.slice(from), cache, "last");
  }

  /** Logits of every token of one sequence: row-major [ids.length, vocabSize]. */
  async logits(ids: readonly number[]): Promise<Float32Array> {
    using cache = this.createCache(ids.length);
    const all = new Float32Array(ids.length * this.config.vocabSize);
    for (let from = 0; from < ids.length; from += promptChunk) {
      using rows = this.forward(ids.slice(from, from + promptChunk), cache);
      all.set(await rows.read(), from * this.config.vocabSize);
    }
    return all;
  }

  /** Continues `prompt` (text or token ids) piece by piece, until a stop token or `maxNewTokens`. */
  generate(prompt: string | readonly number[], options: GenerateOptions = {}): AsyncGenerator<Piece, void> {
    return generate(this, prompt, options);
  }

  /** Frees the weights. The device stays. */
  [Symbol.dispose](): void {
    this.#parameters[Symbol.dispose]();
    this.#rotary?.cos.dispose();
    this.#rotary?.sin.dispose();
    this.#rotary = undefined;
  }

  dispose(): void {
    this[Symbol.dispose]();
  }

  #check(ids: readonly number[], cache: KeyValueCache): void {
    const { vocabSize } = this.config;
    if (ids.length === 0)
      throw new ArgumentError("TOKENS_EMPTY", "forward: there are no tokens to run; give at least one.");
    const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (wrong >= 0) {
      throw new ArgumentError(
        "TOKEN_ID",
        `forward: token ${wrong} is ${ids[wrong]}; ids are integers from 0 to ${vocabSize - 1}.`,
      );
    }
    if (cache.length + ids.length > cache.capacity) {
      throw new ArgumentError(
        "CACHE_FULL",
        `forward: ${cache.length} tokens in the cache and ${ids.length} more exceed its capacity of ${cache.capacity}; create a larger one.`,
      );
    }
  }

  /** cos and sin for positions 0 to `positions - 1` at least; kept, and made anew when a longer sequence comes. */
  #rotaryTables(positions: number): { cos: Tensor; sin: Tensor } {
    let rotary = this.#rotary;
    if (rotary === undefined || rotary.positions < positions) {
      rotary?.cos.dispose();
      rotary?.sin.dispose();
      const { headDim, ropeTheta } = this.config;
      rotary = { positions, ...ropeTable(this.device, { positions, headDim, base: ropeTheta }) };
      this.#rotary = rotary;
    }
    return { cos: rotary.cos, sin: rotary.sin };
  }
}
