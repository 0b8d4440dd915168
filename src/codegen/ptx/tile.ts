/**
 * @file What the code generator knows of an IR value: a tile, spread over the registers of all threads by its layout, or a view.
 *
 * 16-bit tiles with several registers a thread exist in two forms, made from each other when first asked for: single elements
 * (.b16), and words (.b32) that hold registers 2i (low half) and 2i + 1, the form that memory, mma and packed conversions use.
 */
import type { DType } from "../../ir/index.ts";
import type { LinearLayout } from "../../layout/index.ts";
import { bf16BitsToF32 as bfloat, f16BitsToF32 as half } from "../../support/index.ts";
import {
  allDifferent,
  type Element,
  type ElementKind,
  elementKey,
  floatImmediate,
  halfBits,
  isConstant,
  isFloatImmediate,
  operandOf,
  registerOf,
} from "./element.ts";
import type { Emitter, Scope } from "./emitter.ts";
import { type FloatImmediate, isRegister, type Operand, type Register, vector } from "./instruction.ts";

export const isHalf = (kind: ElementKind): kind is "f16" | "bf16" => kind === "f16" || kind === "bf16";

interface Cached<T> {
  readonly scope: Scope;
  readonly value: T;
}

export class Tile {
  readonly kind: ElementKind;
  /** Undefined for a scalar, which every thread holds. */
  readonly layout: LinearLayout | undefined;
  readonly registers: number;
  #elements: readonly Element[] | undefined;
  readonly #deferred: ((register: number) => Element) | undefined;
  readonly #words: readonly Element[] | undefined;
  #otherElements: Cached<readonly Element[]> | undefined;
  #otherWords: Cached<readonly Element[]> | undefined;

  private constructor(
    kind: ElementKind,
    layout: LinearLayout | undefined,
    elements: readonly Element[] | undefined,
    words: readonly Element[] | undefined,
    deferred?: (register: number) => Element,
  ) {
    this.kind = kind;
    this.layout = layout;
    this.registers = elements?.length ?? (words ? words.length * 2 : (layout?.sizeOf("register") ?? 1));
    this.#elements = elements;
    this.#words = words;
    this.#deferred = deferred;
  }

  static ofElements(kind: ElementKind, layout: LinearLayout | undefined, elements: readonly Element[]): Tile {
    return new Tile(kind, layout, elements, undefined);
  }

  /** Of a 16-bit kind; a word is a register (.b32) or a 32-bit pattern. */
  static ofWords(kind: ElementKind, layout: LinearLayout | undefined, words: readonly Element[]): Tile {
    return new Tile(kind, layout, undefined, words);
  }

  /** Of elements that are made where each is used, so that not all of them take registers at once. */
  static deferred(kind: ElementKind, layout: LinearLayout | undefined, element: (register: number) => Element): Tile {
    return new Tile(kind, layout, undefined, undefined, element);
  }

  /** Whether no element has been asked for yet. */
  get isDeferred(): boolean {
    return this.#deferred !== undefined && !this.#elements;
  }

  /** One element, made now if it was deferred. */
  element(emitter: Emitter, register: number): Element {
    return this.isDeferred ? this.#deferred!(register) : this.elements(emitter)[register]!;
  }

  /** Whether words are the form at hand. */
  get packed(): boolean {
    return this.#words !== undefined;
  }

  /** Whether the tile can be had as words. */
  get packable(): boolean {
    return isHalf(this.kind) && this.registers % 2 === 0;
  }

  elements(emitter: Emitter): readonly Element[] {
    if (this.isDeferred) this.#elements = Array.from({ length: this.registers }, (_, i) => this.#deferred!(i));
    if (this.#elements) return this.#elements;
    if (!this.#otherElements || !emitter.isOpen(this.#otherElements.scope))
      this.#otherElements = {
        scope: emitter.scope,
        value: shared(this.#words!, (word) => unpack(emitter, word, this.kind as DType)).flat(),
      };
    return this.#otherElements.value;
  }

  words(emitter: Emitter): readonly Element[] {
    if (this.#words) return this.#words;
    if (!this.#otherWords || !emitter.isOpen(this.#otherWords.scope))
      this.#otherWords = {
        scope: emitter.scope,
        value: pairs(this.#elements!, (a, b) => pack(emitter, a, b, this.kind)),
      };
    return this.#otherWords.value;
  }

  /** The only element of a scalar. */
  scalar(emitter: Emitter): Element {
    return this.elements(emitter)[0]!;
  }

  /** The tile with registers taken from this one: register i of the result is register `from[i]`. Words stay words where they can. */
  select(emitter: Emitter, layout: LinearLayout | undefined, from: readonly number[]): Tile {
    if (this.#words) {
      const words = this.#words;
      const wordOf = (i: number): Element | undefined =>
        from[i]! % 2 === 0 && from[i + 1] === from[i]! + 1 ? words[from[i]! / 2] : undefined;
      const taken: Element[] = [];
      for (let i = 0; i < from.length; i += 2) {
        const word = wordOf(i);
        if (word === undefined) break;
        taken.push(word);
      }
      if (taken.length * 2 === from.length) return Tile.ofWords(this.kind, layout, taken);
    }
    const elements = this.elements(emitter);
    return Tile.ofElements(
      this.kind,
      layout,
      from.map((register) => elements[register]!),
    );
  }
}

/** A tensor in memory. */
export interface View {
  readonly kind: "view";
  readonly dtype: DType;
  readonly pointer: Element;
  readonly sizes: readonly Element[];
  /** i64, in elements. */
  readonly strides: readonly Element[];
  /** The kernel parameter through which memory is reached, "?" if unknown. */
  readonly root: string;
}

function pairs<T>(elements: readonly Element[], make: (a: Element, b: Element) => T): T[] {
  const result: T[] = [];
  if (allDifferent(elements)) {
    for (let i = 0; i < elements.length; i += 2) result.push(make(elements[i]!, elements[i + 1]!));
    return result;
  }
  const made = new Map<string, T>();
  for (let i = 0; i < elements.length; i += 2) {
    const key = `${elementKey(elements[i]!)},${elementKey(elements[i + 1]!)}`;
    if (!made.has(key)) made.set(key, make(elements[i]!, elements[i + 1]!));
    result.push(made.get(key)!);
  }
  return result;
}

/** Maps elements, equal ones once. */
export function shared<T>(elements: readonly Element[], make: (element: Element) => T): T[] {
  if (allDifferent(elements)) return elements.map(make);
  const made = new Map<string | number, T>();
  return elements.map((element) => {
    const key = elementKey(element);
    if (!made.has(key)) made.set(key, make(element));
    return made.get(key)!;
  });
}

/** Both halves of a word, low first. */
function unpack(emitter: Emitter, word: Element, dtype: DType): [Element, Element] {
  if (typeof word === "number") return [halfConstant(word & 0xffff, dtype), halfConstant(word >>> 16, dtype)];
  const low = emitter.register("b16");
  const high = emitter.register("b16");
  emitter.emit("mov.b32", [vector([low, high]), word as Register]);
  return [low, high];
}

/** A word from two 16-bit elements. */
function pack(emitter: Emitter, low: Element, high: Element, kind: ElementKind): Element {
  if (isConstant(low) && isConstant(high))
    return (
      (halfBits(low as FloatImmediate, kind as DType) | (halfBits(high as FloatImmediate, kind as DType) << 16)) >>> 0
    );
  return emitter.op("b32", "mov.b32", vector([registerOf(emitter, low, kind), registerOf(emitter, high, kind)]));
}

function halfConstant(bits: number, dtype: DType): FloatImmediate {
  return floatImmediate(dtype === "bf16" ? bfloat(bits) : half(bits));
}

// Conversions between 16-bit floats and f32

/** The f32 values of a 16-bit tile. */
export function widenHalves(emitter: Emitter, tile: Tile): readonly Element[] {
  const dtype = tile.kind as "f16" | "bf16";
  if (tile.packed && dtype === "bf16")
    // The halves of a word of bf16 are the upper halves of two f32. A register may hold both kinds: PTX asks for its size only.
    return shared(tile.words(emitter), (word) => {
      const source = wordOperand(word);
      return [emitter.op("f32", "shl.b32", source, 16), emitter.op("f32", "and.b32", source, 0xffff0000)];
    }).flat();
  return shared(tile.elements(emitter), (element) => widenHalf(emitter, element, dtype));
}

export function widenHalf(emitter: Emitter, element: Element, dtype: "f16" | "bf16"): Element {
  if (isFloatImmediate(element)) return floatImmediate(roundConstant(element, dtype));
  const source = registerOf(emitter, element, dtype);
  if (dtype === "f16") return emitter.op("f32", "cvt.f32.f16", source);
  return emitter.op("f32", "shl.b32", emitter.op("b32", "cvt.u32.u16", source), 16);
}

/** The tile of f32 elements rounded to nearest even. */
export function narrowToHalves(
  emitter: Emitter,
  dtype: "f16" | "bf16",
  layout: LinearLayout | undefined,
  elements: readonly Element[],
): Tile {
  const constants = elements.every(isConstant);
  if (constants || elements.length % 2 === 1)
    return Tile.ofElements(
      dtype,
      layout,
      shared(elements, (element) => narrowToHalf(emitter, element, dtype)),
    );
  return Tile.ofWords(
    dtype,
    layout,
    pairs(elements, (low, high) =>
      emitter.op("b32", `cvt.rn.${dtype}x2.f32`, operandOf(emitter, high, "f32"), operandOf(emitter, low, "f32")),
    ),
  );
}

export function narrowToHalf(emitter: Emitter, element: Element, dtype: "f16" | "bf16"): Element {
  if (isFloatImmediate(element)) return floatImmediate(roundConstant(element, dtype));
  return emitter.op("b16", `cvt.rn.${dtype}.f32`, operandOf(emitter, element, "f32"));
}

const roundConstant = (constant: FloatImmediate, dtype: "f16" | "bf16"): number => {
  const bits = halfBits(constant, dtype);
  return dtype === "f16" ? half(bits) : bfloat(bits);
};

const wordOperand = (word: Element): Operand => (isRegister(word) ? word : (word as number));
