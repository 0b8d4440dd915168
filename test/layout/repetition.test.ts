import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultBlocked, LinearLayout, mmaLayout, repetitionAt, swizzledShared } from "../../src/layout/index.ts";
import { blockedLayouts, surjectiveLayouts } from "./arbitrary.ts";

/** Every input of a layout with its output coordinates. */
const entries = (layout: LinearLayout) =>
  Array.from({ length: 1 << layout.inBits }, (_, i) => [i, layout.applyFlat(i)]);

describe("the repetition of a layout", () => {
  it("holds for every element: further along the axis is the same place, one step on", () => {
    let found = 0;
    fc.assert(
      fc.property(fc.oneof(blockedLayouts, surjectiveLayouts([8, 8])), (layout) => {
        layout.shape.forEach((extent, axis) => {
          if (extent === 1) return;
          const repetition = repetitionAt(layout, axis, extent);
          if (!repetition) return;
          found++;
          const { distance, input, step } = repetition;
          expect(distance).toBe(extent / 2);
          const index = layout.ins.findIndex(({ name }) => name === input);
          const unit = step << layout.ins.slice(index + 1).reduce((bits, dim) => bits + dim.bits, 0);
          const further = distance * layout.shape.slice(axis + 1).reduce((product, size) => product * size, 1);
          // Whoever holds an element of the lower half holds, one step on, the one that is `distance` further; and nobody else does.
          const lower = entries(layout).filter(([, element]) => (element! & further) === 0);
          const upper = new Map(
            entries(layout).filter(([, element]) => (element! & further) !== 0) as [number, number][],
          );
          expect(lower.length).toBe(upper.size);
          for (const [at, element] of lower) expect(upper.get(at! + unit)).toBe(element! + further);
        });
      }),
    );
    expect(found).toBeGreaterThan(10);
  });

  it("of an accumulator: rows by warps, columns by registers, down to the instruction", () => {
    const layout = mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [64, 32], warpsPerCta: [4, 1] });
    expect(repetitionAt(layout, 0, 64)).toEqual({ axis: 0, distance: 32, input: "warp", step: 2 });
    expect(repetitionAt(layout, 1, 32)).toEqual({ axis: 1, distance: 16, input: "register", step: 8 });
    expect(repetitionAt(layout, 1, 8)).toEqual({ axis: 1, distance: 4, input: "lane", step: 2 });
  });

  it("is not there where two inputs reach the upper half, or one moves along two axes", () => {
    const swizzled = swizzledShared({ shape: [8, 8], maxPhase: 8 });
    expect(repetitionAt(swizzled, 1, 8)).toBeUndefined();
    const copied = LinearLayout.fromBases({ warp: [[2]], lane: [[2]], register: [[1]] }, { dim0: 4 });
    expect(repetitionAt(copied, 0, 4)).toBeUndefined();
    expect(repetitionAt(defaultBlocked({ shape: [256], warps: 1 }), 0, 256)).toMatchObject({
      input: "register",
      step: 4,
    });
  });
});
