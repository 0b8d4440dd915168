/** @file A tape of numbers that decisions are taken from. */

export class Tape {
  readonly #numbers: readonly number[];
  #position = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  get atEnd(): boolean {
    return this.#position >= this.#numbers.length;
  }

  /** An integer in [0, count): 0 when the tape is at its end. */
  next(count: number): number {
    return (this.#numbers[this.#position++] ?? 0) % count;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.next(items.length)]!;
  }
}
