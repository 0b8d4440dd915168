/** @file The keys and values of the tokens so far, one pair of tensors a layer, written in place by the forward pass. */
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelDType } from "./parameters.ts";

/** Room for `capacity` tokens of one sequence. Keys are stored after the rotary embedding. */
export class KeyValueCache implements Disposable {
  readonly capacity: number;
  /** Per layer, [capacity, kvHeads · headDim]. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  #length = 0;

  constructor(device: Device, config: ModelConfig, dtype: ModelDType, capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new ArgumentError(
        "CACHE_CAPACITY",
        `the capacity of a key/value cache must be an integer of at least 1, got ${capacity}`,
      );
    }
    this.capacity = capacity;
    const make = () =>
      Array.from({ length: config.layers }, () => device.empty([capacity, config.kvHeads * config.headDim], dtype));
    this.keys = make();
    this.values = make();
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.#length;
  }

  /** Counts `tokens` more, whose keys and values have been written. */
  advance(tokens: number): void {
    this.#length += tokens;
  }

  /** Forgets all tokens from `length` on (0: all), for another continuation of the same beginning. */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      throw new ArgumentError("CACHE_LENGTH", `a cache of ${this.#length} tokens cannot be cut to ${length}`);
    }
    this.#length = length;
  }

  [Symbol.dispose](): void {
    for (const tensor of [...this.keys, ...this.values]) tensor.dispose();
  }
}
