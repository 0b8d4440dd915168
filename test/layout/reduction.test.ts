import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  defaultBlocked,
  flattenThreads,
  type LinearLayout,
  mmaLayout,
  planReduction,
  type ReductionStep,
} from "../../src/layout/index.ts";
import { blockedLayouts, expectEverywhere, surjectiveLayouts } from "./arbitrary.ts";

/** How often each coordinate along the axis has been combined into a value. */
type Tally = readonly number[];

/** Carries the plan out on tallies and returns them by place of the result. */
function execute(layout: LinearLayout, axis: number): Map<string, Tally> {
  const plan = planReduction(layout, axis);
  const add = (a: Tally, b: Tally): Tally => a.map((count, i) => count + b[i]);
  const key = (warp: number, lane: number, register: number) => `${warp},${lane},${register}`;
  let values = new Map<string, Tally>();
  for (let warp = 0; warp < layout.sizeOf("warp"); warp++)
    for (let lane = 0; lane < layout.sizeOf("lane"); lane++)
      plan.accumulate.forEach((sources, into) => {
        const tally = new Array<number>(layout.shape[axis]).fill(0);
        for (const register of sources) tally[layout.coordinates({ warp, lane, register })[axis]]++;
        values.set(key(warp, lane, into), tally);
      });
  const steps: readonly ReductionStep[] = [...plan.inThread, ...plan.inWarp, ...plan.acrossWarps];
  for (const { warp = 0, lane = 0, register = 0 } of steps) {
    const before = values;
    values = new Map();
    for (const [place, tally] of before) {
      const [w, l, r] = place.split(",").map(Number);
      values.set(place, add(tally, before.get(key(w ^ warp, l ^ lane, r ^ register))!));
    }
  }
  return values;
}

describe("a reduction", () => {
  it("combines every element of a row exactly once, copies or not, and leaves the result with all holders", () => {
    fc.assert(
      fc.property(
        fc.oneof(blockedLayouts, surjectiveLayouts([4, 8]), surjectiveLayouts([2, 4, 4])),
        fc.nat(),
        (layout, seed) => {
          const axis = seed % layout.outs.length;
          const values = execute(layout, axis);
          const once = new Array<number>(layout.shape[axis]).fill(1);
          expectEverywhere(planReduction(layout, axis).result, ({ warp, lane, register }) => [
            values.get(`${warp},${lane},${register}`)!,
            once,
          ]);
        },
      ),
    );
  });

  it("of an accumulator's rows: registers, two exchanges with neighbours, then the warps that share the row", () => {
    const layout = mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [16, 64], warpsPerCta: [1, 4] });
    const plan = planReduction(layout, 1);
    expect(plan.accumulate).toEqual([
      [0, 1, 4, 5],
      [2, 3, 6, 7],
    ]);
    expect(plan.inThread).toEqual([]);
    expect(plan.inWarp).toEqual([{ lane: 1 }, { lane: 2 }]);
    expect(plan.acrossWarps).toEqual([{ warp: 1 }, { warp: 2 }]);
  });

  it("needs no exchange with threads that hold copies", () => {
    const plan = planReduction(defaultBlocked({ shape: [4, 8], warps: 4 }), 1);
    expect(plan.inWarp).toEqual([{ lane: 1 }, { lane: 2 }, { lane: 4 }]);
    expect(plan.acrossWarps).toEqual([]);
  });

  it("goes across threads where there are no lanes", () => {
    const plan = planReduction(flattenThreads(defaultBlocked({ shape: [4, 64], warps: 1, lanes: 64 })), 1);
    expect(plan.inWarp).toEqual([]);
    expect(plan.acrossWarps.map((step) => step.thread)).toEqual([1, 2, 4, 8, 16, 32]);
  });
});
