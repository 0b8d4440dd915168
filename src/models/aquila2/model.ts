/**
 * @file Aquila2 on the kernels of this library: a decoder with a key/value cache. `forward` is the one way through the model; `logits`
 * and `generate` are built on it.
 */
import { embedding, matmul, rmsNorm } from "../../kernels/index.ts";
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { refuseUnknownNames } from "../../support/names.ts";
import { type CacheOptions, KeyValueCache } from "./cache.ts";
import type { ModelConfig } from "./config.ts";
import { type GenerateOptions, generate, type Piece } from "./generate.ts";
import { forwardLayer } from "./layers.ts";
import type { ModelDType, Parameters } from "./parameters.ts";
import { beyondTrained, type PositionOptions, type Positions, resolvePositions } from "./positions.ts";
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
  /** Of sequences that do not name their own. Default: those of the config. */
  readonly positions?: Positions;
  /** Told once when a text passes the length that the model was trained for. Default: `console.warn`. */
  readonly onWarning?: (message: string) => void;
}

export class Aquila2 implements Disposable {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly device: Device;
  /** The dtype of activations. */
  readonly dtype: ModelDType;
  /** Of sequences that do not name their own. */
  readonly positions: Positions;
  readonly #parameters: Parameters;
  /** Undefined once it has spoken. */
  #warn: ((message: string) => void) | undefined;

  constructor({
    config,
    tokenizer,
    device,
    dtype,
    parameters,
    positions = { rope: config.rope },
    onWarning = console.warn,
  }: ModelParts) {
    this.config = config;
    this.tokenizer = tokenizer;
    this.device = device;
    this.dtype = dtype;
    this.#parameters = parameters;
    this.positions = positions;
    this.#warn = onWarning;
  }

  /** The weights, as they are on the device. */
  get parameters(): Parameters {
    return this.#parameters;
  }

  /**
   * An empty cache for one sequence of up to `capacity` tokens, which is also the length by which variants such as `dynamic` choose their
   * frequencies. Dispose of it when the sequence is done. `options`: other positions than the model's, and which keys are kept.
   */
  createCache(capacity: number, options: CacheOptions = {}): KeyValueCache {
    refuseUnknownNames("createCache", options, { keys: true, rope: true, scheme: true });
    const positions = resolvePositions(this.config, this.positions, options);
    return new KeyValueCache(this.device, this.config, this.dtype, capacity, positions, options.keys);
  }

  /**
   * Runs the tokens `ids`, which follow those of `cache`, and adds them to it. Returns f32 logits on the device: [ids.length,
   * vocabSize], or [n, vocabSize] of the last n tokens when `last` is n. Throws `ArgumentError` for an id outside of the
   * vocabulary or a cache that is too small.
   */
  forward(ids: readonly number[], cache: KeyValueCache, last = ids.length): Tensor<"f32"> {
    this.#check(ids, cache, last);
    using scope = new Scope();
    const { finalNorm, output } = this.#parameters;
    const x = scope.keep(this.hiddenStates(ids, cache));
    const rows = last < ids.length ? scope.keep(x.slice(0, ids.length - last)) : x;
    const normed = scope.keep(rmsNorm({ x: rows, weight: finalNorm, epsilon: this.config.rmsNormEpsilon }));
    return matmul({ a: normed, b: output, transposeB: true, outDtype: "f32" }) as Tensor<"f32">;
  }

  /**
   * What the tokens `ids` are after the first `layers` layers (0: their embeddings), [ids.length, hiddenSize]. Adds them to the cache, which
   * from then on is good for these layers only. Throws as `forward` does.
   */
  hiddenStates(ids: readonly number[], cache: KeyValueCache, layers = this.config.layers): Tensor {
    this.#check(ids, cache, ids.length);
    this.#warnOnce(cache, cache.length + ids.length);
    using scope = new Scope();
    const tokens = scope.keep(this.device.tensor(Int32Array.from(ids), { shape: [ids.length], dtype: "i32" }));
    const context = { config: this.config, cache };
    let x = embedding({ table: this.#parameters.embedding, ids: tokens, outDtype: this.dtype });
    for (const [layer, weights] of this.#parameters.layers.slice(0, layers).entries()) {
      scope.keep(x);
      x = forwardLayer(context, layer, weights, x);
    }
    cache.advance(ids.length);
    return x;
  }

  /** Runs a prompt of any length in bounded memory; returns the logits of its last token, [1, vocabSize]. */
  prefill(ids: readonly number[], cache: KeyValueCache): Tensor<"f32"> {
    let from = 0;
    for (; ids.length - from > promptChunk; from += promptChunk) {
      this.forward(ids.slice(from, from + promptChunk), cache, 1).dispose();
    }
    return this.forward(ids.slice(from), cache, 1);
  }

  /** Logits of every token of one sequence: row-major [ids.length, vocabSize]. */
  async logits(ids: readonly number[], options: PositionOptions = {}): Promise<Float32Array> {
    using cache = this.createCache(ids.length, options);
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
  }

  dispose(): void {
    this[Symbol.dispose]();
  }

  #check(ids: readonly number[], cache: KeyValueCache, last: number): void {
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
    if (!Number.isInteger(last) || last < 1 || last > ids.length) {
      throw new ArgumentError(
        "LOGIT_ROWS",
        `forward: logits of the last ${last} tokens are asked for; accepted: an integer from 1 to ${ids.length}, the number of tokens.`,
      );
    }
    if (cache.length + ids.length > cache.capacity) {
      throw new ArgumentError(
        "CACHE_FULL",
        `forward: ${cache.length} tokens in the cache and ${ids.length} more exceed its capacity of ${cache.capacity}; create a larger one.`,
      );
    }
  }

  #warnOnce({ positions }: KeyValueCache, length: number): void {
    const message = this.#warn && beyondTrained(positions, length);
    if (message === undefined) return;
    this.#warn?.(message);
    this.#warn = undefined;
  }
}
