/** @file Where values that are not virtual are kept: variables and arrays of the thread. A block that is done leaves its own to later blocks. */
import type { Value } from "../../ir/index.ts";
import type { Distribution } from "./distribution.ts";
import { atom, type Expr } from "./expression.ts";
import { nameOf } from "./names.ts";
import { heldType, zeroOf } from "./types.ts";
import type { Writer } from "./writer.ts";

/** Where a value is kept: an array with one element a register, or one variable. */
export interface Storage {
  readonly name: string;
  readonly distribution: Distribution;
  /** Depth of the block from which on it holds the value. */
  readonly depth: number;
}

export class Variables {
  readonly #writer: Writer;
  readonly #distributionOf: (value: Value) => Distribution;
  readonly #storages = new Map<Value, Storage>();
  /** Variables of blocks that are done, by name and type. */
  readonly #free = new Map<string, string[]>();
  /** The variables of the blocks being generated, innermost last. */
  readonly #taken: (readonly [key: string, variable: string])[][] = [];

  constructor(writer: Writer, distributionOf: (value: Value) => Distribution) {
    this.#writer = writer;
    this.#distributionOf = distributionOf;
  }

  /** Where a value is kept; undefined where it is nowhere yet. */
  of(value: Value): Storage | undefined {
    return this.#storages.get(value);
  }

  /** Says that `value` is in `storage` from now on. */
  keep(value: Value, storage: Storage): void {
    this.#storages.set(value, storage);
  }

  /** Generates the code of a block: what `fill` declares can serve other blocks afterwards. */
  inBlock(fill: () => void): void {
    this.#taken.push([]);
    fill();
    for (const [key, variable] of this.#taken.pop()!) {
      const free = this.#free.get(key);
      if (free) free.push(variable);
      else this.#free.set(key, [variable]);
    }
  }

  /** A new place for the elements of `value`, which hold nothing yet. */
  declare(value: Value): Storage {
    return this.declareAs(nameOf(value), heldType(value.type), this.#distributionOf(value));
  }

  declareAs(name: string, type: string, distribution: Distribution): Storage {
    const { registers } = distribution;
    const wgslType = registers > 1 ? `array<${type}, ${registers}>` : type;
    const key = `${name}: ${wgslType}`;
    let variable = this.#free.get(key)?.pop();
    if (!variable) {
      variable = this.#writer.names.unique(name);
      // At the outermost depth, so that the initialiser runs once and not once a turn of a loop.
      this.#writer.line(`var ${variable}: ${wgslType} = ${registers > 1 ? `${wgslType}()` : zeroOf(type)};`, 0);
    }
    this.#taken.at(-1)!.push([key, variable]);
    return { name: variable, distribution, depth: this.#writer.depth };
  }

  /** The element of a storage at register indices `at`. */
  place({ name, distribution, depth }: Storage, at: readonly Expr[]): Expr {
    if (distribution.registers === 1) return atom(name, depth);
    const register = distribution.register(at);
    return atom(`${name}[${register}]`, Math.max(depth, register.depth));
  }
}
