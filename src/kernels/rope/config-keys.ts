/** @file The keys of one object of a config.json, read one by one; a wrong or missing one ends in a `ConfigError` that names it. */
import { ConfigError } from "../../support/errors.ts";
import { describe } from "../../support/json.ts";

/** Keys of `rope_scaling` or `rope_parameters`, as in Hugging Face's files. */
export type RopeParameters = Readonly<Record<string, unknown>>;

/** Reads one object; a null counts as absent. `place` names the file, `prefix` the way to the object in it. */
export class Keys {
  readonly place: string;
  readonly #json: RopeParameters;
  readonly #prefix: string;

  constructor(json: RopeParameters, place: string, prefix: string) {
    this.#json = json;
    this.place = place;
    this.#prefix = prefix;
  }

  names(): string[] {
    return Object.keys(this.#json).filter((key) => this.has(key));
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#json, key) && this.#json[key] !== null && this.#json[key] !== undefined;
  }

  value(key: string): unknown {
    return this.#json[key];
  }

  refuse(key: string, accepted: string): never {
    const state = Object.hasOwn(this.#json, key) ? `is ${describe(this.#json[key])}` : "is missing";
    throw new ConfigError("CONFIG_VALUE", `${this.place}: "${this.#prefix}${key}" ${state}; accepted: ${accepted}.`);
  }

  positive(key: string, fallback?: number): number {
    return this.#number(key, (x) => x > 0, "a number above 0", fallback);
  }

  factor(): number {
    return this.#number("factor", (x) => x >= 1, "a number of at least 1");
  }

  part(key: string): number {
    return this.#number(key, (x) => x > 0 && x <= 1, "a number above 0 and at most 1");
  }

  count(key: string): number {
    return this.#number(key, (x) => Number.isSafeInteger(x) && x > 0, "an integer of at least 1");
  }

  positives(key: string): number[] {
    const list = this.#json[key];
    const isPositives = Array.isArray(list) && list.every((x) => typeof x === "number" && x > 0 && Number.isFinite(x));
    return isPositives ? list : this.refuse(key, "a list of numbers above 0, one for each pair of turned channels");
  }

  boolean(key: string, fallback: boolean): boolean {
    if (!this.has(key)) return fallback;
    const value = this.#json[key];
    return typeof value === "boolean" ? value : this.refuse(key, "true or false");
  }

  /** What `read` gives if the key is here, else `outside`; both must be the same value. */
  agreeing<T>(key: string, outside: T | undefined, read: () => T): T | undefined {
    if (!this.has(key)) return outside;
    const inside = read();
    if (outside !== undefined && outside !== inside)
      this.refuse(key, `the same value as at the top of the file (${describe(outside)})`);
    return inside;
  }

  #number(key: string, isAccepted: (x: number) => boolean, accepted: string, fallback?: number): number {
    if (!this.has(key) && fallback !== undefined) return fallback;
    const value = this.#json[key];
    const isGood = typeof value === "number" && Number.isFinite(value) && isAccepted(value);
    return isGood ? value : this.refuse(key, accepted);
  }
}
