/**
 * @file convert_layout, and every operation that only moves or repeats elements: each becomes a change of layout, which is a renaming
 * of registers, shuffles within a warp, or a trip through shared memory (src/layout/conversion.ts says which).
 */
import {
  type ConditionalSwap,
  type Conversion,
  conversionBetween,
  LANE,
  type LinearLayout,
  type ShufflePlan,
  WARP,
} from "../../layout/index.ts";
import { linearOfThread, threadIndex } from "./coordinates.ts";
import { type Element, moveType, registerOf } from "./element.ts";
import type { Emitter } from "./emitter.ts";
import { fromWords, shuffleWord, toWords, wordsOfKind } from "./exchange.ts";
import type { Register } from "./instruction.ts";
import { commonDivisor } from "./integers.ts";
import { convertThroughShared, type SharedCopy } from "./shared.ts";
import { Tile } from "./tile.ts";

/** More shuffles than this are dearer than a trip through shared memory. */
const MAX_SHUFFLES = 8;

/** The tile in another layout; see `convertThroughShared` for `copies`. */
export function convertTile(emitter: Emitter, tile: Tile, layout: LinearLayout, copies?: SharedCopy[]): Tile {
  if (tile.layout!.equals(layout)) return tile;
  const conversion: Conversion = conversionBetween(tile.layout!, layout);
  if (conversion.registers) return tile.select(emitter, layout, conversion.registers);
  const { shuffle } = conversion;
  if (shuffle && shuffle.rounds.length * wordsOfKind(tile.kind) <= MAX_SHUFFLES)
    return withDivisorOf(emitter, tile, shuffleTile(emitter, tile, layout, shuffle));
  return withDivisorOf(emitter, tile, convertThroughShared(emitter, tile, layout, copies));
}

/** The moved tile, of whose integers and addresses what divided all of them before is still known: accesses through them stay wide. */
function withDivisorOf(emitter: Emitter, tile: Tile, moved: Tile): Tile {
  if (!["i32", "u32", "i64", "pointer"].includes(tile.kind)) return moved;
  const divisor = commonDivisor(tile.elements(emitter));
  if (divisor === 1) return moved;
  const elements = moved.elements(emitter).map((element) => {
    const register = registerOf(emitter, element, tile.kind);
    return emitter.pure(register.class, `mov.${moveType[register.class]}`, [register], divisor);
  });
  return Tile.ofElements(tile.kind, moved.layout, elements);
}

function shuffleTile(emitter: Emitter, tile: Tile, layout: LinearLayout, plan: ShufflePlan): Tile {
  const source = tile.elements(emitter).map((element) => toWords(emitter, element, tile.kind));
  const words = source[0]!.length;
  const results = Array.from({ length: words }, (_, word) =>
    shuffleWords(
      emitter,
      source.map((list) => list[word]!),
      plan,
    ),
  );
  const elements = results[0]!.map((_, register) =>
    fromWords(
      emitter,
      results.map((list) => list[register]!),
      tile.kind,
    ),
  );
  return Tile.ofElements(tile.kind, layout, elements);
}

function shuffleWords(emitter: Emitter, words: readonly Register[], plan: ShufflePlan): Register[] {
  const sent = swapped(emitter, words, plan.before);
  const columns = [...plan.sourceLane.basesOf(LANE), ...plan.sourceLane.basesOf(WARP)];
  const own = columns.every((column, bit) => column === (bit < plan.sourceLane.bitsOf(LANE) ? 1 << bit : 0));
  const lane = own ? undefined : linearOfThread(emitter, columns);
  const received = plan.rounds.map(({ register, lane: distance, stays }) => {
    const word = sent[register]!;
    if (stays) return word;
    // Every lane reads from one at a fixed XOR distance, or from one that depends on the lane.
    if (own) return shuffleWord(emitter, "bfly", word, distance);
    return shuffleWord(emitter, "idx", word, exclusive(emitter, lane!, distance));
  });
  return swapped(emitter, received, plan.after);
}

function exclusive(emitter: Emitter, lane: Element, distance: number): Register | number {
  if (typeof lane === "number") return lane ^ distance;
  const register = registerOf(emitter, lane, "i32");
  return distance === 0 ? register : emitter.pure("b32", "xor.b32", [register, distance]);
}

/** Exchanges registers in those threads in whose index the parity of the masked bits is odd. */
function swapped(emitter: Emitter, words: readonly Register[], swaps: readonly ConditionalSwap[]): Register[] {
  let current = [...words];
  for (const { masks, registerMask } of swaps) {
    const mask = (masks[LANE] ?? 0) | ((masks[WARP] ?? 0) << log2(emitter.target.warpSize));
    const bits = emitter.pure("b32", "and.b32", [threadIndex(emitter), mask]);
    const single = (mask & (mask - 1)) === 0;
    const parity = single ? bits : emitter.pure("b32", "and.b32", [emitter.pure("b32", "popc.b32", [bits]), 1]);
    const odd = emitter.pure("pred", "setp.ne.s32", [parity, 0]);
    current = current.map((word, register) =>
      emitter.op("b32", "selp.b32", current[register ^ registerMask]!, word, odd),
    );
  }
  return current;
}

const log2 = (size: number): number => 31 - Math.clz32(size);
