/** @file The keys and values of the tokens so far, one pair of tensors a layer, written in place by the forward pass. */
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelDType } from "./parameters.ts";
import { type Positions, RotaryTables } from "./positions.ts";

/** Room for `capacity` tokens of one sequence. Keys are stored after the rotary embedding; under a scheme, after each of the two. */
export class KeyValueCache implements Disposable {
  readonly capacity: number;
  /** Per layer, [capacity, kvHeads · headDim]. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** Keys at their far positions; empty without a scheme. */
  readonly farKeys: readonly Tensor[];
  readonly positions: Positions;
  /** [capacity, ...] */
  readonly rotary: RotaryTables;
  #length = 0;

  constructor(device: Device, config: ModelConfig, dtype: ModelDType, capacity: number, positions: Positions) {
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
    this.positions = positions;
    this.rotary = new RotaryTables(device, config.headDim, positions, capacity);
    this.farKeys = this.rotary.far ? make() : [];
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
    for (const tensor of [...this.keys, ...this.values, ...this.farKeys]) tensor.dispose();
    this.rotary[Symbol.dispose]();
  }
}
