/**
 * @file Workgroup memory: one array of words, the arena, through which threads exchange values. Each exchange writes, waits for all
 * threads, and reads; the next one first waits until everybody has read. Barriers stand in uniform control flow only.
 */
import { type ValueType, walk } from "../../ir/index.ts";
import { CompileError } from "../../support/errors.ts";
import { atom, compare, Expr, literal, precedence } from "./expression.ts";
import type { Generator } from "./generator.ts";
import { heldType, heldWords } from "./types.ts";

export class Arena {
  readonly #generator: Generator;
  #words = 0;
  #name: string | undefined;
  /** Whether some thread may still be reading. */
  #inUse = false;
  /** Words that are counted in, which are atomic and therefore apart, and their name. */
  readonly #counters: number;
  #counterName: string | undefined;

  constructor(generator: Generator) {
    this.#generator = generator;
    let most = 0;
    walk(generator.kernel.body, ({ opcode, attributes }) => {
      if (opcode === "histogram") most = Math.max(most, attributes.bins as number);
    });
    this.#counters = most;
  }

  /** Words of 32 bits that an exchange can use. */
  get capacity(): number {
    return Math.floor(this.#generator.capabilities.limits.maxComputeWorkgroupStorageSize / 4) - this.#counters;
  }

  /** Bytes used so far. */
  get bytes(): number {
    return (this.#words + this.#counters) * 4;
  }

  /** The name of the counters, as many as the largest histogram has bins. Half of the memory is left for exchanges. */
  counters(): string {
    const { kernel, capabilities } = this.#generator;
    const limit = capabilities.limits.maxComputeWorkgroupStorageSize;
    if (8 * this.#counters > limit)
      throw new CompileError(
        "WORKGROUP_MEMORY",
        `kernel "${kernel.name}" counts in ${this.#counters} bins, but the workgroup memory of the device, ${limit} bytes, allows ${Math.floor(limit / 8)}: count a part of the bins at a time`,
      );
    this.#counterName ??= this.#generator.names.unique("counters");
    return this.#counterName;
  }

  /** Begins an exchange of `words` words: after this the arena may be written. */
  begin(words: number): void {
    if (words > this.capacity)
      throw new CompileError(
        "WORKGROUP_MEMORY",
        `kernel "${this.#generator.kernel.name}" needs ${(words + this.#counters) * 4} bytes of workgroup memory, but the device has ${(this.capacity + this.#counters) * 4}: use smaller tiles`,
      );
    this.#words = Math.max(this.#words, words);
    if (this.#inUse) this.#generator.writer.line("workgroupBarrier();");
  }

  /** Ends the writing: after this the arena may be read. */
  publish(): void {
    this.#generator.writer.line("workgroupBarrier();");
    this.#inUse = true;
  }

  /** In the body of a loop the last turn's readers may still be at work. */
  enterLoop(): void {
    this.#inUse = true;
  }

  write(position: Expr, value: Expr, type: ValueType): void {
    const { writer } = this.#generator;
    if (heldWords(type) === 2) {
      const words = writer.bind("words", value);
      const at = writer.bind("slot", position.times(2));
      writer.line(`${this.name}[${at}] = ${words}.x;`);
      writer.line(`${this.name}[${at.plus(literal(1))}] = ${words}.y;`);
    } else writer.line(`${this.name}[${position}] = ${toWord(value, type)};`);
  }

  read(position: Expr, type: ValueType): Expr {
    const { depth } = this.#generator.writer;
    if (heldWords(type) === 2) {
      const at = position.times(2);
      return atom(`vec2u(${this.name}[${at}], ${this.name}[${at.plus(literal(1))}])`, depth);
    }
    return fromWord(`${this.name}[${position}]`, type, depth);
  }

  /** A scalar as a value of which WGSL knows that it is the same for all threads, so that control flow may depend on it. */
  makeUniform(value: Expr, type: ValueType, name: string): Expr {
    const { writer, invocation } = this.#generator;
    this.begin(1);
    writer.nest(`if (${invocation.thread} == 0)`, () => writer.line(`${this.name}[0] = ${toWord(value, type)};`));
    this.#inUse = false;
    // It begins and ends with a barrier of its own.
    const word = writer.bind(name, atom(`workgroupUniformLoad(&${this.name}[0])`, writer.depth));
    return writer.bind(name, fromWord(word.text, type, writer.depth));
  }

  get name(): string {
    this.#name ??= this.#generator.names.unique("arena");
    return this.#name;
  }

  declaration(): string | undefined {
    const declarations = [
      this.#name && `var<workgroup> ${this.#name}: array<u32, ${this.#words}>;`,
      this.#counterName && `var<workgroup> ${this.#counterName}: array<atomic<u32>, ${this.#counters}>;`,
    ];
    return declarations.filter((text) => text !== undefined).join("\n") || undefined;
  }
}

/** A one-word value as the bits of a word. */
export function toWord(value: Expr, type: ValueType): string {
  const held = heldType(type);
  return held === "u32" ? value.text : held === "bool" ? `u32(${value})` : `bitcast<u32>(${value})`;
}

function fromWord(word: string, type: ValueType, depth: number): Expr {
  const held = heldType(type);
  if (held === "u32") return atom(word, depth);
  if (held === "bool") return compare(atom(word, depth), "!=", new Expr("0u", 0, precedence.atom));
  return atom(`bitcast<${held}>(${word})`, depth);
}
