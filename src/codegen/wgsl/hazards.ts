/**
 * @file Order of accesses to global memory within a workgroup. In Tile IR a program is sequential: a load sees what the program stored
 * before. Here different threads may carry out the two, so a barrier goes between accesses of which one writes.
 */
import type { Generator } from "./generator.ts";

export interface MemoryAccess {
  readonly parameter: string;
  readonly kind: "read" | "write";
}

export class Hazards {
  readonly #generator: Generator;
  /** Accesses since the last barrier. */
  readonly #read = new Set<string>();
  readonly #written = new Set<string>();

  constructor(generator: Generator) {
    this.#generator = generator;
  }

  /** Called before code that makes these accesses. */
  before(accesses: readonly MemoryAccess[]): void {
    const written = accesses.filter(({ parameter }) => this.#generator.bindings.of(parameter).access !== "read");
    const conflict = written.some(
      ({ parameter, kind }) => this.#written.has(parameter) || (kind === "write" && this.#read.has(parameter)),
    );
    if (conflict) {
      this.#generator.writer.line("storageBarrier();");
      this.#read.clear();
      this.#written.clear();
    }
    for (const { parameter, kind } of written) (kind === "read" ? this.#read : this.#written).add(parameter);
  }

  /** The body of a loop follows upon itself: whatever it writes may just have been accessed. */
  enterLoop(): void {
    for (const { parameter, access } of this.#generator.bindings.buffers) {
      if (access === "read") continue;
      this.#read.add(parameter.name);
      this.#written.add(parameter.name);
    }
  }
}
