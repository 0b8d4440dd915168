/** @file Random layouts for the property tests, and the slow, obvious ways to enumerate one. */
import fc from "fast-check";
import { expect } from "vitest";
import { blocked, LinearLayout, tileDims } from "../../src/layout/index.ts";

const powerOfTwo = (maxBits: number) => fc.integer({ min: 0, max: maxBits }).map((bits) => 2 ** bits);

/** Blocked layouts of rank 1 to 3, larger and smaller than their tile. */
export const blockedLayouts: fc.Arbitrary<LinearLayout> = fc.integer({ min: 1, max: 3 }).chain((rank) => {
  const perAxis = (maxBits: number) => fc.array(powerOfTwo(maxBits), { minLength: rank, maxLength: rank });
  return fc
    .record({
      shape: perAxis(4),
      sizePerThread: perAxis(2),
      threadsPerWarp: perAxis(2),
      warpsPerCta: perAxis(1),
      order: fc.shuffledSubarray([...Array(rank).keys()], { minLength: rank }),
    })
    .map(blocked);
});

/** Any linear map from (warp, lane, register) onto a tile of the given shape: surjective, with up to 3 redundant bits. */
export const surjectiveLayouts = (shape: readonly number[]): fc.Arbitrary<LinearLayout> => {
  const outs = tileDims(shape);
  const outBits = outs.reduce((bits, dim) => bits + dim.bits, 0);
  const limit = 2 ** outBits - 1;
  return fc
    .record({
      redundant: fc.array(fc.integer({ min: 0, max: limit }), { maxLength: 3 }),
      mixes: fc.array(fc.tuple(fc.nat(outBits - 1), fc.nat(outBits - 1)), { maxLength: 8 }),
      order: fc.shuffledSubarray([...Array(outBits).keys()], { minLength: outBits }),
      cuts: fc.tuple(fc.nat(outBits), fc.nat(outBits)),
      place: fc.nat(outBits),
    })
    .map(({ redundant, mixes, order, cuts, place }) => {
      // A permutation of the unit vectors stays a basis when one of its members is added to another.
      const basis = order.map((bit) => 1 << bit);
      for (const [to, from] of mixes) if (to !== from) basis[to] ^= basis[from];
      basis.splice(place, 0, ...redundant);
      const [first, second] = [...cuts].sort((a, b) => a - b);
      const ins = [
        { name: "warp", bits: basis.length - second },
        { name: "lane", bits: second - first },
        { name: "register", bits: first },
      ];
      return new LinearLayout(ins, outs, basis);
    });
};

/** Square bijections between two single dimensions of 6 bits. */
export const bijections = (input: string, output: string): fc.Arbitrary<LinearLayout> =>
  surjectiveLayouts([64])
    .filter((layout) => layout.inBits === 6)
    .map((layout) => layout.reshapeIns([{ name: input, bits: 6 }]).reshapeOuts([{ name: output, bits: 6 }]));

export type Place = { warp: number; lane: number; register: number };

/** Every place of a distributed layout with the coordinates of its element. */
export function* places(layout: LinearLayout): Generator<Place & { at: number[] }> {
  for (let warp = 0; warp < layout.sizeOf("warp"); warp++)
    for (let lane = 0; lane < layout.sizeOf("lane"); lane++)
      for (let register = 0; register < layout.sizeOf("register"); register++)
        yield { warp, lane, register, at: layout.coordinates({ warp, lane, register }) };
}

/**
 * Expects two lists to be equal at every place of a layout. One `expect` a layout, not one a place: that would be most of the time
 * of the suite.
 */
export function expectEverywhere(
  layout: LinearLayout,
  compare: (place: Place, at: number[]) => readonly [actual: readonly number[], wanted: readonly number[]],
): void {
  for (const { at, ...place } of places(layout)) {
    const [actual, wanted] = compare(place, at);
    if (actual.join() !== wanted.join()) expect({ place, result: actual }).toEqual({ place, result: wanted });
  }
}
