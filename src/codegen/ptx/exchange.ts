/**
 * @file Exchange of elements of any kind between the lanes of a warp: shuffles move 32-bit words, so an element is one or two words on
 * its way.
 */
import { byteOf } from "./access.ts";
import { type Element, type ElementKind, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { type Operand, type Register, vector } from "./instruction.ts";

export const wordsOfKind = (kind: ElementKind): number => (kind === "i64" || kind === "pointer" ? 2 : 1);

/** The 32-bit words that stand for an element. */
export function toWords(emitter: Emitter, element: Element, kind: ElementKind): Register[] {
  if (kind === "bool") return [byteOf(emitter, element, kind)];
  const register = registerOf(emitter, element, kind);
  if (register.class === "b16") return [emitter.op("b32", "cvt.u32.u16", register)];
  if (register.class !== "b64") return [register];
  const [low, high] = [emitter.register("b32"), emitter.register("b32")];
  emitter.emit("mov.b64", [vector([low, high]), register]);
  return [low, high];
}

export function fromWords(emitter: Emitter, words: readonly Register[], kind: ElementKind): Register {
  const [word] = words;
  if (kind === "bool") return emitter.op("pred", "setp.ne.s32", word!, 0);
  if (kind === "f16" || kind === "bf16") return emitter.op("b16", "cvt.u16.u32", word!);
  return words.length === 2 ? emitter.op("b64", "mov.b64", vector(words)) : word!;
}

export type ShuffleMode = "bfly" | "idx" | "up" | "down";

/** One word from another lane. All lanes of the warp take part. `clamp` as in the PTX ISA: segment mask and limit. */
export const shuffleWord = (
  emitter: Emitter,
  mode: ShuffleMode,
  word: Register,
  lane: Operand,
  clamp = mode === "up" ? 0 : 31,
): Register => emitter.op(word.class === "f32" ? "f32" : "b32", `shfl.sync.${mode}.b32`, word, lane, clamp, -1);

export function shuffleElement(
  emitter: Emitter,
  mode: ShuffleMode,
  element: Element,
  kind: ElementKind,
  lane: Operand,
  clamp?: number,
): Register {
  const words = toWords(emitter, element, kind).map((word) => shuffleWord(emitter, mode, word, lane, clamp));
  return fromWords(emitter, words, kind);
}
