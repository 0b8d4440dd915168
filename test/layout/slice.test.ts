import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  LinearLayout,
  layoutOfBroadcast,
  layoutOfExpandDims,
  layoutOfJoin,
  layoutOfReduce,
  layoutOfReshape,
  layoutOfSplit,
  layoutOfSplitLanes,
  layoutOfTranspose,
  mmaLayout,
  registersOfBroadcast,
  registersOfReduce,
  sourceOfBroadcast,
  sourceOfExpandDims,
  sourceOfJoin,
  sourceOfReduce,
  sourceOfReshape,
  sourceOfSplit,
  sourceOfTranspose,
  splitBit,
} from "../../src/layout/index.ts";
import { expectEverywhere, places, surjectiveLayouts } from "./arbitrary.ts";

const cube = surjectiveLayouts([2, 4, 8]);
const axes = fc.constantFrom(0, 1, 2);

describe("reduction", () => {
  it("leaves each thread the rows it had, once a register", () => {
    fc.assert(
      fc.property(cube, axes, (layout, axis) => {
        const result = layoutOfReduce(layout, axis);
        const register = registersOfReduce(layout, axis);
        expect(result.shape).toEqual([2, 4, 8].toSpliced(axis, 1));
        expect(result.isSurjective()).toBe(true);
        expect(result.zeroBases("register")).toBe(0);
        expectEverywhere(layout, (place, at) => [
          result.coordinates({ ...place, register: register[place.register] }),
          at.toSpliced(axis, 1),
        ]);
      }),
    );
  });

  it("keeps lanes and warps that shared a row as copies", () => {
    const scores = mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [64, 64], warpsPerCta: [2, 2] });
    const rows = layoutOfReduce(scores, 1);
    expect(rows.sizeOf("lane")).toBe(32);
    expect(rows.freeVariableMasks()).toEqual({ warp: 1, lane: 3, register: 0 });
    expect(rows.sizeOf("register")).toBe(4);
  });

  it("has a source for every wanted result", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 8]), axes, fc.constantFrom(1, 4, 16), (wanted, axis, extent) => {
        fc.pre(wanted.zeroBases("register") === 0);
        const shape = [4, 8].toSpliced(axis, 0, extent);
        const source = sourceOfReduce(wanted, axis, shape);
        expect(source.isSurjective()).toBe(true);
        expect(layoutOfReduce(source, axis).equals(wanted)).toBe(true);
      }),
    );
  });
});

describe("changes of rank", () => {
  it("expandDims inserts a coordinate 0, and back", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 8]), axes, (layout, axis) => {
        const result = layoutOfExpandDims(layout, axis);
        expectEverywhere(layout, (place, at) => [result.coordinates(place), at.toSpliced(axis, 0, 0)]);
        expect(sourceOfExpandDims(result, axis).equals(layout)).toBe(true);
      }),
    );
    const square = LinearLayout.identity1D(4, "register", "dim0");
    expect(() => sourceOfExpandDims(square, 0)).toThrow(/its extent is not 1/);
  });

  it("reshape keeps the row-major number, and back", () => {
    fc.assert(
      fc.property(cube, fc.constantFrom([64], [8, 8], [2, 32], [4, 1, 16]), (layout, shape) => {
        const result = layoutOfReshape(layout, shape);
        const number = (at: readonly number[], extents: readonly number[]) =>
          at.reduce((n, x, axis) => n * extents[axis] + x, 0);
        expectEverywhere(layout, (place, at) => [[number(result.coordinates(place), shape)], [number(at, [2, 4, 8])]]);
        expect(sourceOfReshape(result, [2, 4, 8]).equals(layout)).toBe(true);
      }),
    );
    expect(() => layoutOfReshape(LinearLayout.identity1D(4, "register", "dim0"), [8])).toThrow(/cannot be reshaped/);
  });

  it("transpose permutes coordinates, and back", () => {
    fc.assert(
      fc.property(cube, fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), (layout, permutation) => {
        const result = layoutOfTranspose(layout, permutation);
        expectEverywhere(layout, (place, at) => [result.coordinates(place), permutation.map((axis) => at[axis])]);
        expect(sourceOfTranspose(result, permutation).equals(layout)).toBe(true);
      }),
    );
    expect(() => layoutOfTranspose(LinearLayout.identity1D(4, "register", "dim0"), [0, 0])).toThrow(/does not permute/);
  });
});

describe("broadcast", () => {
  it("repeats a thread's values in new registers", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 1, 4]), (layout) => {
        const result = layoutOfBroadcast(layout, [4, 4, 4]);
        expect(result.isSurjective()).toBe(true);
        const old = layout.sizeOf("register");
        expectEverywhere(result, (place, at) => {
          const [row, , depth] = layout.coordinates({ ...place, register: place.register % old });
          return [at, [row, Math.floor(place.register / old), depth]];
        });
      }),
    );
  });

  it("backward, every thread holds what it repeats", () => {
    fc.assert(
      fc.property(cube, fc.subarray([0, 1, 2]), (wanted, broadcastAxes) => {
        const shape = [2, 4, 8].map((extent, axis) => (broadcastAxes.includes(axis) ? 1 : extent));
        const source = sourceOfBroadcast(wanted, shape);
        const register = registersOfBroadcast(wanted, shape);
        expect(source.isSurjective()).toBe(true);
        expectEverywhere(wanted, (place, at) => [
          source.coordinates({ ...place, register: register[place.register] }),
          at.map((x, axis) => (broadcastAxes.includes(axis) ? 0 : x)),
        ]);
      }),
    );
  });

  it("undoes a reduction: the statistics of a row are where its elements are", () => {
    fc.assert(
      fc.property(surjectiveLayouts([8, 8]), (layout) => {
        const rows = layoutOfReduce(layout, 1);
        expect(sourceOfBroadcast(layout, [8, 1]).equals(layoutOfExpandDims(rows, 1))).toBe(true);
        expect(registersOfBroadcast(layout, [8, 1])).toEqual(registersOfReduce(layout, 1));
      }),
    );
  });

  it("refuses to change extents other than 1", () => {
    const layout = LinearLayout.identity1D(4, "register", "dim0");
    expect(() => layoutOfBroadcast(layout, [8])).toThrow(/\[4\] cannot be broadcast to \[8\]/);
    expect(() => layoutOfBroadcast(layout, [4, 4])).toThrow(/expand the rank first/);
  });
});

describe("join and split", () => {
  it("join interleaves registers along a new last axis, and split undoes it", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 8]), (layout) => {
        const joined = layoutOfJoin(layout);
        for (const half of [0, 1])
          expectEverywhere(layout, (place, at) => [
            joined.coordinates({ ...place, register: place.register * 2 + half }),
            [...at, half],
          ]);
        expect(layoutOfSplit(joined)?.equals(layout)).toBe(true);
        expect(sourceOfJoin(joined)?.equals(layout)).toBe(true);
        expect(layoutOfSplit(sourceOfSplit(layout))?.equals(layout)).toBe(true);
      }),
    );
  });

  it("split keeps each thread's elements, or says that it cannot", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 8, 2]), (layout) => {
        const bit = splitBit(layout);
        const half = layoutOfSplit(layout);
        expect(half === undefined).toBe(bit === undefined);
        if (half === undefined || bit === undefined) return;
        expectEverywhere(layout, (place, at) => {
          const below = place.register & ((1 << bit) - 1);
          const register = ((place.register >> (bit + 1)) << bit) | below;
          return [[...half.coordinates({ ...place, register }), (place.register >> bit) & 1], at];
        });
      }),
    );
  });

  it("a split of lanes leaves each warp what it has, once where it was there once", () => {
    const heldBy = (layout: LinearLayout, warp: number): Map<string, number> => {
      const held = new Map<string, number>();
      for (const place of places(layout))
        if (place.warp === warp) {
          const key = place.at.slice(0, 2).join();
          held.set(key, (held.get(key) ?? 0) + 1);
        }
      return held;
    };
    const splitting = surjectiveLayouts([4, 8, 2]).filter((layout) => layoutOfSplitLanes(layout) !== undefined);
    fc.assert(
      fc.property(splitting, (layout) => {
        expect(splitBit(layout)).toBeUndefined();
        const half = layoutOfSplitLanes(layout)!;
        expect(half.shape).toEqual([4, 8]);
        // Without a register to exchange, lanes hold copies of what was in two of them.
        const copies = layout.bitsOf("register") === 0 ? 1 : 2;
        for (let warp = 0; warp < layout.sizeOf("warp"); warp++)
          expect(heldBy(half, warp)).toEqual(
            new Map([...heldBy(layout, warp)].map(([key, count]) => [key, count / copies])),
          );
      }),
      { numRuns: 30 },
    );
  });

  it("split is undefined where the halves lie in different lanes", () => {
    const layout = LinearLayout.fromBases({ lane: [[0, 1]], register: [[1, 0]] }, { dim0: 2, dim1: 2 });
    expect(layoutOfSplit(layout)).toBeUndefined();
    expect(layoutOfSplitLanes(layout)?.basesOf("lane")).toEqual([1]);
    expect(() => layoutOfSplit(layoutOfJoin(layout).reshapeOuts([{ name: "dim0", bits: 3 }]))).toThrow(/extent 2/);
  });
});
