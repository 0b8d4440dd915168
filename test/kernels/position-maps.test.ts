/** Position maps: the distances that each scheme shows the model, by the formulas of their publications. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  leakyReRope,
  mappedDistance,
  mappedPositions,
  type PositionMap,
  reRope,
  selfExtend,
} from "../../src/kernels/rope/index.ts";

const maps: PositionMap[] = [
  reRope({ window: 64 }),
  reRope({ window: 128, logScale: 256 }),
  leakyReRope({ window: 64, factor: 16 }),
  selfExtend({ window: 64, group: 8 }),
  selfExtend({ window: 128, group: 16 }),
  selfExtend({ window: 100, group: 7 }),
];
const pair = fc.tuple(fc.nat(1 << 20), fc.nat(1 << 20)).map(([a, b]) => [Math.max(a, b), Math.min(a, b)] as const);

describe("position maps", () => {
  it.each(maps)("$name: below the threshold, distances are plain RoPE's; above, less and never negative", (map) => {
    fc.assert(
      fc.property(pair, fc.nat(200), ([i, j], near) => {
        const distance = i - j;
        const shown = mappedDistance(map, i, j);
        if (distance < map.threshold) expect(shown).toBe(distance);
        else {
          expect(shown).toBeLessThanOrEqual(distance + 1); // 1: where the window is no multiple of the group
          expect(shown).toBeGreaterThanOrEqual(0);
        }
        const key = Math.max(0, i - (near % map.threshold));
        expect(mappedDistance(map, i, key)).toBe(i - key);
      }),
    );
  });

  it("ReRoPE: min(distance, window)", () => {
    const map = reRope({ window: 64 });
    fc.assert(fc.property(pair, ([i, j]) => mappedDistance(map, i, j) === Math.min(i - j, 64)));
    expect([map.farQuery(5000), map.farKey(4000)]).toEqual([64, 0]);
    expect([63, 64].map((distance) => mappedDistance(map, 1000 + distance, 1000))).toEqual([63, 64]);
  });

  it("Leaky ReRoPE: window + (distance - window) / factor", () => {
    const map = leakyReRope({ window: 64, factor: 16 });
    fc.assert(
      fc.property(pair, ([i, j]) => {
        const expected = i - j < 64 ? i - j : 64 + (i - j - 64) / 16;
        expect(mappedDistance(map, i, j)).toBeCloseTo(expected, 6);
      }),
    );
    expect(mappedDistance(map, 2047, 0)).toBeCloseTo(64 + 1983 / 16, 9);
    expect([map.farQuery(160), map.farKey(160)]).toEqual([70, 10]); // (160 + 64·15)/16
  });

  it("Self-Extend: floor(i/g) - floor(j/g) + w - floor(w/g)", () => {
    const map = selfExtend({ window: 64, group: 8 });
    expect(mappedDistance(map, 2047, 0)).toBe(255 + 56);
    expect(mappedDistance(map, 71, 7)).toBe(8 - 0 + 56);
    expect(mappedDistance(map, 70, 7)).toBe(63);
    expect(selfExtend({ window: 100, group: 7 }).farQuery(0)).toBe(100 - 14);
    // The published limit: (trained - window) · group + window tokens show no distance beyond the trained.
    const longest = (256 - 64) * 8 + 64;
    expect(mappedDistance(map, longest - 1, 0)).toBeLessThan(256);
  });

  it("the log scale: max(1, ln(i + 1) / ln(trained length)), on queries", () => {
    const { queryScale } = mappedPositions(reRope({ window: 8, logScale: 256 }), 65536);
    expect([...queryScale.subarray(0, 256)]).toEqual(Array(256).fill(1));
    expect(queryScale[511]).toBeCloseTo(9 / 8, 12);
    expect(queryScale[65535]).toBe(2);
    expect([...mappedPositions(reRope({ window: 8 }), 3).queryScale]).toEqual([1, 1, 1]);
  });

  it("tables are the formulas, for a map of one's own too", () => {
    const own: PositionMap = {
      name: "own",
      threshold: 2,
      nearQuery: (i) => i + 0.5,
      nearKey: (j) => j - 1,
      farQuery: (i) => i / 2,
      farKey: (j) => -j,
    };
    const tables = mappedPositions(own, 3);
    expect([...tables.nearQuery]).toEqual([0.5, 1.5, 2.5]);
    expect([...tables.nearKey]).toEqual([-1, 0, 1]);
    expect([...tables.farQuery]).toEqual([0, 0.5, 1]);
    expect([...tables.farKey]).toEqual([-0, -1, -2]);
    expect([mappedDistance(own, 5, 4), mappedDistance(own, 5, 3)]).toEqual([2.5, 5.5]);
    expect([...mappedPositions(reRope({ window: 4 }), 3).nearQuery]).toEqual([0, 1, 2]);
  });

  it("mistakes are named", () => {
    expect(() => reRope({ window: 0 })).toThrow("reRope: window is 0; accepted: an integer of at least 1.");
    expect(() => leakyReRope({ window: 4, factor: 0.5 })).toThrow(/leakyReRope: factor is 0.5/);
    expect(() => selfExtend({ window: 4, group: 1.5 })).toThrow(/selfExtend: group is 1.5/);
    expect(() => reRope({ window: 4, logScale: 1 })).toThrow(/logScale is 1; accepted: an integer of at least 2/);
    const broken = { name: "own", threshold: 4, farQuery: () => Number.NaN, farKey: () => 0 };
    expect(() => mappedPositions(broken, 2)).toThrow("own: farQuery(0) is NaN; accepted: a finite number.");
    expect(() => mappedPositions({ ...broken, threshold: 0.5 }, 2)).toThrow(/own: threshold is 0.5/);
  });
});
