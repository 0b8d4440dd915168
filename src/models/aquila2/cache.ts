/** @file The keys and values of the tokens so far, one pair of tensors a layer, written in place by the forward pass. */
import type { RopeAngles } from "../../kernels/index.ts";
import type { Device, Tensor } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelDType } from "./parameters.ts";
import { type PositionOptions, type Positions, RotaryTables, rawRotation } from "./positions.ts";

/** Options of `createCache`. */
export interface CacheOptions extends PositionOptions {
  /**
   * Which keys the cache holds. "turned": after the rotary embedding, so that a step of decoding turns one key a head; under a scheme twice, at near and
   * at far positions. "raw": before it, once; attention turns them whenever it loads them. Default: "raw" under a scheme, else "turned".
   */
  readonly keys?: "raw" | "turned";
}

/** Room for `capacity` tokens of one sequence. */
export class KeyValueCache implements Disposable {
  readonly capacity: number;
  /** Per layer, [capacity, kvHeads · headDim]. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** Turned keys at their far positions; empty without a scheme, and where keys are raw. */
  readonly farKeys: readonly Tensor[];
  readonly positions: Positions;
  /** By which queries and keys are turned before attention, or while attention loads them. Rows are the positions up to `capacity`. */
  readonly rotation: { readonly before: RotaryTables } | { readonly onLoad: RopeAngles };
  #length = 0;

  constructor(
    device: Device,
    { layers, kvHeads, headDim }: ModelConfig,
    dtype: ModelDType,
    capacity: number,
    positions: Positions,
    keys: CacheOptions["keys"] = positions.scheme ? "raw" : "turned",
  ) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new ArgumentError(
        "CACHE_CAPACITY",
        `the capacity of a key/value cache must be an integer of at least 1, got ${capacity}`,
      );
    }
    this.capacity = capacity;
    if (keys !== "raw" && keys !== "turned")
      throw new ArgumentError("CACHE_KEYS", `createCache: keys are "${keys}"; accepted: "raw" and "turned"`);
    const make = () => Array.from({ length: layers }, () => device.empty([capacity, kvHeads * headDim], dtype));
    this.keys = make();
    this.values = make();
    this.positions = positions;
    const rotation = [device, headDim, positions, capacity] as const;
    this.rotation = keys === "raw" ? { onLoad: rawRotation(...rotation) } : { before: new RotaryTables(...rotation) };
    this.farKeys = "before" in this.rotation && this.rotation.before.far ? make() : [];
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
    const tables = "before" in this.rotation ? this.rotation.before : this.rotation.onLoad;
    tables[Symbol.dispose]();
  }
}
