import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blocked, defaultBlocked, flattenThreads } from "../../src/layout/index.ts";
import { blockedLayouts, expectEverywhere } from "./arbitrary.ts";

/** The place of `index` in a box of the given sizes, fastest axis first: the definition that blocked layouts share with Triton's. */
function inBox(index: number, sizes: readonly number[], order: readonly number[]): number[] {
  const at = sizes.map(() => 0);
  let rest = index;
  for (const axis of order) {
    at[axis] = rest % sizes[axis];
    rest = Math.floor(rest / sizes[axis]);
  }
  return at;
}

describe("blocked layouts", () => {
  it("place registers, lanes and warps as boxes of boxes, modulo the tile", () => {
    const sizes = fc.constantFrom(1, 2, 4);
    const pair = fc.tuple(sizes, sizes);
    const orders = fc.constantFrom([1, 0], [0, 1]);
    fc.assert(
      fc.property(
        pair,
        pair,
        pair,
        orders,
        fc.tuple(fc.constantFrom(1, 8, 64), fc.constantFrom(2, 16, 64)),
        (size, threads, warps, order, shape) => {
          const layout = blocked({ shape, sizePerThread: size, threadsPerWarp: threads, warpsPerCta: warps, order });
          expect(layout.isSurjective()).toBe(true);
          // Where the tile is large enough for the box of one thread, the first registers are that box.
          const fits = size.every((extent, axis) => extent <= shape[axis]);
          expectEverywhere(layout, ({ warp, lane, register }, at) => {
            if (!fits || register >= size[0] * size[1]) return [[], []];
            const [r, l, w] = [inBox(register, size, order), inBox(lane, threads, order), inBox(warp, warps, order)];
            return [
              at,
              shape.map((extent, axis) => (r[axis] + size[axis] * (l[axis] + threads[axis] * w[axis])) % extent),
            ];
          });
        },
      ),
    );
  });

  it("hold every element, and have no register that is a copy", () => {
    fc.assert(
      fc.property(blockedLayouts, (layout) => {
        expect(layout.isSurjective()).toBe(true);
        expect(layout.zeroBases("register")).toBe(0);
      }),
    );
  });

  it("reads a row-major tile coalesced by default", () => {
    const layout = defaultBlocked({ shape: [64, 64], warps: 4, contiguous: 8 });
    expectEverywhere(layout, ({ warp, lane, register }, at) => [
      at,
      [(register >> 3) * 16 + warp * 4 + (lane >> 3), (lane & 7) * 8 + (register & 7)],
    ]);
  });

  it("gives fewer elements to a thread before it leaves threads idle", () => {
    const layout = defaultBlocked({ shape: [256], warps: 4, contiguous: 8 });
    expect(layout.sizeOf("register")).toBe(2);
    expect(layout.isInjective()).toBe(true);
  });

  it("holds a small tile several times", () => {
    const layout = defaultBlocked({ shape: [16], warps: 4, contiguous: 4 });
    expect(layout.sizeOf("lane")).toBe(32);
    expect(layout.sizeOf("warp")).toBe(4);
    expect(layout.freeVariableMasks()).toEqual({ warp: 3, lane: 16, register: 0 });
  });

  it("has a layout for a tile of rank 0", () => {
    const layout = defaultBlocked({ shape: [], warps: 2 });
    expect(layout.coordinates({ warp: 1, lane: 31 })).toEqual([]);
    expect(layout.sizeOf("register")).toBe(1);
  });

  it("flattens lanes and warps to threads", () => {
    fc.assert(
      fc.property(blockedLayouts, (layout) => {
        const flat = flattenThreads(layout);
        expectEverywhere(layout, ({ warp, lane, register }, at) => [
          flat.coordinates({ thread: warp * layout.sizeOf("lane") + lane, register }),
          at,
        ]);
      }),
    );
  });

  it("refuses lists of another rank and orders that are none", () => {
    const sizes = { sizePerThread: [1, 1], threadsPerWarp: [1, 32], warpsPerCta: [1, 1] };
    expect(() => blocked({ ...sizes, shape: [8] })).toThrow(expect.objectContaining({ code: "LAYOUT_RANK" }));
    expect(() => blocked({ ...sizes, shape: [8, 8], order: [1, 1] })).toThrow(/no order of 2 axes/);
    expect(() => blocked({ ...sizes, shape: [8, 24] })).toThrow(/extent 1 of \[8,24\] is 24/);
  });
});
