/**
 * @file Results written down as they come, one JSON line each, so that a run of hours that was cut short can go on where it stopped. For
 * children.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";

export class Journal<Result> {
  readonly #file: string | undefined;
  readonly #known = new Map<string, Result>();

  /** Without a file it remembers nothing beyond the run. */
  constructor(file: string | undefined) {
    this.#file = file;
    if (file === undefined || !existsSync(file)) return;
    const text = readFileSync(file, "utf8");
    // A run that was killed may have left half a line.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole.length < text.length) writeFileSync(file, whole);
    for (const line of whole.split("\n").slice(0, -1)) {
      const { key, result } = JSON.parse(line) as { key: object; result: Result };
      this.#known.set(JSON.stringify(key), result);
    }
  }

  knows(key: object): boolean {
    return this.#known.has(JSON.stringify(key));
  }

  /**
   * What an earlier run found under `key`, or else what `measure` finds now: plain data that JSON can hold. The key says all that the result
   * depends on. What `measure` throws is not written down.
   */
  async once(key: object, measure: () => Promise<Result>): Promise<Result> {
    const text = JSON.stringify(key);
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const result = await measure();
    this.#known.set(text, result);
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify({ key, result })}\n`);
    return result;
  }
}

/** Shares as they are; throws where one is no number, which JSON could not hold. */
export function finite(shares: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  for (const [name, share] of Object.entries(shares))
    if (!Number.isFinite(share)) throw new Error(`${name} is not a number somewhere`);
  return shares;
}
