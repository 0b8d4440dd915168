/** @file Intermediate tensors of one step: kept in a scope and given back together when it ends. */

/** `using scope = new Scope()`; everything kept is disposed of when the block ends, the last first. */
export class Scope implements Disposable {
  readonly #kept: Disposable[] = [];

  keep<T extends Disposable>(value: T): T {
    this.#kept.push(value);
    return value;
  }

  [Symbol.dispose](): void {
    for (const value of this.#kept.splice(0).reverse()) value[Symbol.dispose]();
  }
}
