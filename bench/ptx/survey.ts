/** @file Asks ptxas what it spills, of many texts: of each one once, of several at the same time. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type Assembler, assemblePtx } from "../../src/runtime/cuda/assembler.ts";

export class SpillSurvey {
  readonly #assembler: Assembler;
  readonly #cache: string | undefined;
  /** Bytes by the text's hash, and by the assembler's version. */
  readonly #known: Map<string, number>;
  readonly #asked = new Map<string, Promise<number>>();
  readonly #running = new Set<Promise<void>>();

  /** `cache`: a file that keeps the answers from one run to the next. */
  constructor(assembler: Assembler, cache: string | undefined) {
    this.#assembler = assembler;
    this.#cache = cache;
    const kept = cache !== undefined && existsSync(cache) ? JSON.parse(readFileSync(cache, "utf8")) : {};
    this.#known = new Map(Object.entries(kept as Record<string, number>));
  }

  /** How many different texts there were. */
  get texts(): number {
    return this.#asked.size;
  }

  /** Tells `answer` later how many bytes are spilled. Waits while as many texts are being assembled as there are processors. */
  async add(source: string, answer: (bytes: number) => void): Promise<void> {
    const key = createHash("sha256").update(this.#assembler.version).update(source).digest("base64url");
    if (this.#asked.has(key)) return;
    const known = this.#known.get(key);
    const asked = known === undefined ? this.#assemble(key, source) : Promise.resolve(known);
    this.#asked.set(key, asked);
    const running = asked.then(answer).finally(() => this.#running.delete(running));
    this.#running.add(running);
    while (this.#running.size >= availableParallelism()) await Promise.race(this.#running);
  }

  async finish(): Promise<void> {
    await Promise.all(this.#running);
    this.#save();
  }

  async #assemble(key: string, source: string): Promise<number> {
    const { spills } = await assemblePtx(this.#assembler, source, "sm_80");
    this.#known.set(key, spills.stores);
    if (this.#known.size % 20 === 0) this.#save();
    return spills.stores;
  }

  #save(): void {
    if (this.#cache !== undefined) writeFileSync(this.#cache, JSON.stringify(Object.fromEntries(this.#known)));
  }
}
