/** @file The keys and values of the tokens so far, one pair of tensors a layer, written in place by the forward pass. */
import { type RopeAngles, ropeAngles, ropeFrequencies } from "../../kernels/index.ts";
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelDType } from "./parameters.ts";
import { type Positions, RotaryTables } from "./positions.ts";

/**
 * Room for `capacity` tokens of one sequence. Keys are stored after the rotary embedding; under a scheme, which has two of them, once and
 * before both.
 */
export class KeyValueCache implements Disposable {
  readonly capacity: number;
  /** Per layer, [capacity, kvHeads · headDim]. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  readonly positions: Positions;
  /** By which queries and keys are turned before attention, or while attention loads them. Rows are the positions up to `capacity`. */
  readonly rotation: { readonly before: RotaryTables } | { readonly onLoad: RopeAngles; readonly threshold: number };
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
    const { rope, scheme } = positions;
    if (scheme === undefined) {
      this.rotation = { before: new RotaryTables(device, config.headDim, positions, capacity) };
      return;
    }
    const frequencies = ropeFrequencies(rope, { headDim: config.headDim, sequenceLength: capacity });
    const onLoad = ropeAngles(device, { frequencies, map: scheme, length: capacity });
    this.rotation = { onLoad, threshold: scheme.threshold };
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
    const tables = "before" in this.rotation ? this.rotation.before : this.rotation.onLoad;
    tables[Symbol.dispose]();
  }
}
