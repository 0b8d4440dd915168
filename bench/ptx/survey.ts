/** @file Asks ptxas what it spills, of many texts: of each one once, of several at the same time, and never again what a journal knows. */
import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { type Assembler, assemblePtx } from "../../src/runtime/cuda/assembler.ts";
import { readCubin } from "../../src/runtime/cuda/sass/index.ts";
import { Journal } from "../support/journal.ts";

/** What ptxas makes of a kernel. */
export interface Assembled {
  readonly registers: number;
  /** Bytes written and read. */
  readonly stores: number;
  readonly loads: number;
}

/** The text up to what does not change which registers ptxas needs: names, and which of the 16-bit floats tensor cores multiply. */
const withoutNames = ({ source, metadata: { name } }: CompiledKernel): string =>
  source
    .replaceAll(name, "kernel")
    .replace(/^\s*\/\/.*\n/gm, "")
    .replaceAll("bf16", "f16");

export class SpillSurvey {
  readonly #assembler: Assembler;
  readonly #journal: Journal<Assembled>;
  readonly #asked = new Set<string>();
  readonly #running = new Set<Promise<void>>();

  constructor(assembler: Assembler, journal: string | undefined) {
    this.#assembler = assembler;
    this.#journal = new Journal(journal);
  }

  /** How many different texts there were. */
  get texts(): number {
    return this.#asked.size;
  }

  /** Tells `answer` later what becomes of a text that was not asked for yet. Waits while as many are being assembled as there are processors. */
  async add(kernel: CompiledKernel, answer: (assembled: Assembled) => void): Promise<void> {
    const text = createHash("sha256").update(withoutNames(kernel)).digest("base64url");
    if (this.#asked.has(text)) return;
    this.#asked.add(text);
    const running = this.#journal
      .once({ text, ptxas: this.#assembler.version }, () => this.#assemble(kernel.source))
      .then(answer)
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    while (this.#running.size >= availableParallelism()) await Promise.race(this.#running);
  }

  async finish(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #assemble(source: string): Promise<Assembled> {
    const { cubin, spills } = await assemblePtx(this.#assembler, source, "sm_80");
    return { registers: readCubin(cubin).kernels[0]!.registers, ...spills };
  }
}
