import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  defaultBlocked,
  flattenThreads,
  idleThreads,
  type LinearLayout,
  layoutOfReduce,
  mmaLayout,
  registerParts,
  registersWithoutCopies,
  threadBases,
  vectorGroups,
  vectorWidth,
} from "../../src/layout/index.ts";
import { blockedLayouts, places, surjectiveLayouts } from "./arbitrary.ts";

const anyLayouts = fc.oneof(blockedLayouts, surjectiveLayouts([4, 8]), surjectiveLayouts([2, 2, 16]));

/**
 * Whether the registers fall into groups of `width` that are consecutive and aligned along `axis` in every thread, with the same
 * registers at the same positions: by looking at all threads. Of registers that are copies, one is taken.
 */
function groupsExist(layout: LinearLayout, axis: number, width: number): boolean {
  let positions: string | undefined;
  for (let warp = 0; warp < layout.sizeOf("warp"); warp++)
    for (let lane = 0; lane < layout.sizeOf("lane"); lane++) {
      const groups = new Map<string, Map<number, number>>();
      for (let register = 0; register < layout.sizeOf("register"); register++) {
        const at = layout.coordinates({ warp, lane, register });
        const key = at.with(axis, Math.floor(at[axis] / width)).join();
        if (!groups.has(key)) groups.set(key, new Map());
        const group = groups.get(key)!;
        if (!group.has(at[axis] % width)) group.set(at[axis] % width, register);
      }
      for (const group of groups.values()) if (group.size !== width) return false;
      const text = [...groups.values()]
        .map((group) =>
          [...group]
            .sort((a, b) => a[0] - b[0])
            .map(([, register]) => register)
            .join(),
        )
        .sort()
        .join(";");
      positions ??= text;
      if (positions !== text) return false;
    }
  return true;
}

describe("ownership", () => {
  it("splits an element into a part of the register and parts of the thread's bits", () => {
    fc.assert(
      fc.property(anyLayouts, (layout) => {
        const parts = registerParts(layout);
        const bases = threadBases(layout);
        const strides = layout.shape.map((_, axis) => layout.shape.slice(axis + 1).reduce((a, b) => a * b, 1));
        const wrong = [...places(layout)].filter((place) => {
          let flat = parts[place.register];
          for (const { input, bit, basis } of bases) if ((place[input as "lane" | "warp"] >> bit) & 1) flat ^= basis;
          return flat !== place.at.reduce((sum, x, axis) => sum + x * strides[axis], 0);
        });
        expect(wrong).toEqual([]);
        expect(bases.some(({ basis }) => basis === 0)).toBe(false);
      }),
    );
  });

  it("gives every element one owner among copies", () => {
    fc.assert(
      fc.property(anyLayouts, (layout) => {
        const registers = registersWithoutCopies(layout);
        const idle = idleThreads(layout);
        const owners = [...places(layout)].filter(
          (place) =>
            registers.includes(place.register) &&
            idle.every(({ input, mask }) => !(place[input as "lane" | "warp"] & mask)),
        );
        expect(owners.length).toBe(layout.shape.reduce((a, b) => a * b, 1));
        expect(new Set(owners.map(({ at }) => at.join())).size).toBe(owners.length);
      }),
    );
  });

  it("lets one lane in four store the sums of an accumulator's rows", () => {
    const sums = layoutOfReduce(
      mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [64, 64], warpsPerCta: [4, 1] }),
      1,
    );
    expect(idleThreads(sums)).toEqual([{ input: "lane", mask: 3 }]);
    expect(registersWithoutCopies(sums)).toEqual([0, 1]);
  });

  it("names the one thread dimension of a flattened layout", () => {
    const layout = flattenThreads(defaultBlocked({ shape: [16], warps: 1, lanes: 64 }));
    expect(idleThreads(layout)).toEqual([{ input: "thread", mask: 0x30 }]);
  });
});

describe("vector width", () => {
  it("is the widest for which every thread has whole groups, found by trying", () => {
    fc.assert(
      fc.property(anyLayouts, fc.nat(), (layout, seed) => {
        const axis = seed % layout.outs.length;
        const width = vectorWidth(layout, axis, { elementBytes: 1 });
        let widest = 1;
        while (widest < 16 && widest < layout.shape[axis] && groupsExist(layout, axis, widest * 2)) widest *= 2;
        expect(width).toBe(widest);
      }),
    );
  });

  it("groups the registers in the order of addresses, each once", () => {
    fc.assert(
      fc.property(anyLayouts, fc.nat(), (layout, seed) => {
        const axis = seed % layout.outs.length;
        const width = vectorWidth(layout, axis, { elementBytes: 1 });
        const groups = vectorGroups(layout, axis, width);
        expect(groups.flat().sort((a, b) => a - b)).toEqual([...Array(layout.sizeOf("register")).keys()]);
        const lane = seed % layout.sizeOf("lane");
        for (const group of groups) {
          const first = layout.coordinates({ lane, register: group[0] });
          expect(first[axis] % width).toBe(0);
          group.forEach((register, i) => {
            expect(layout.coordinates({ lane, register })).toEqual(first.with(axis, first[axis] + i));
          });
        }
      }),
    );
  });

  it("is limited by the access, the memory and the mask", () => {
    const layout = defaultBlocked({ shape: [128, 64], contiguous: 16 });
    expect(vectorWidth(layout, 1, { elementBytes: 2 })).toBe(8);
    expect(vectorWidth(layout, 1, { elementBytes: 4 })).toBe(4);
    expect(vectorWidth(layout, 1, { elementBytes: 2, maxBytes: 4 })).toBe(2);
    expect(vectorWidth(layout, 1, { elementBytes: 2, contiguity: 4 })).toBe(4);
    expect(vectorWidth(layout, 1, { elementBytes: 2, divisibility: 8 })).toBe(4);
    expect(vectorWidth(layout, 1, { elementBytes: 2, divisibility: 2 })).toBe(1);
    expect(vectorWidth(layout, 1, { elementBytes: 2, maskConstancy: 2 })).toBe(2);
    expect(vectorWidth(layout, 0, { elementBytes: 2 })).toBe(1);
  });

  it("ends where the axis ends", () => {
    const layout = defaultBlocked({ shape: [64, 4], contiguous: 4, warps: 1 });
    expect(vectorWidth(layout, 1, { elementBytes: 1 })).toBe(4);
  });
});
