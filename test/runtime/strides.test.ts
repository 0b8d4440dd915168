import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { View } from "../../src/runtime/strides.ts";
import {
  expandView,
  extentOf,
  forEachElement,
  haveCommonElement,
  isRowMajor,
  permuteView,
  reshapeView,
  rowMajorStrides,
  sizeOf,
  sliceView,
} from "../../src/runtime/strides.ts";

/** The positions of a view's elements in row-major order: what a view means. */
function positions(view: View): number[] {
  const result: number[] = [];
  forEachElement(view, (position) => result.push(position));
  return result;
}

const dense = (shape: readonly number[]): View => ({ shape, strides: rowMajorStrides(shape), offset: 0 });
const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });

/** A view made by random permutes and slices of a dense tensor. */
const views = shapes.chain((shape) =>
  fc
    .tuple(
      fc.shuffledSubarray(
        shape.map((_, axis) => axis),
        { minLength: shape.length, maxLength: shape.length },
      ),
      fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.integer({ min: 1, max: 3 })), { maxLength: 3 }),
    )
    .map(([order, slices]) => {
      let view = permuteView(dense(shape), order);
      for (const [a, f, t, step] of slices) {
        if (view.shape.length === 0) break;
        const axis = a % view.shape.length;
        const extent = view.shape[axis]!;
        const [from, to] = [f % (extent + 1), t % (extent + 1)].sort((x, y) => x - y) as [number, number];
        view = sliceView(view, axis, from, to, step);
      }
      return view;
    }),
);

describe("views", () => {
  it("enumerates a dense tensor in order, and extentOf bounds every position", () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        expect(positions(dense(shape))).toEqual(Array.from({ length: sizeOf(shape) }, (_, i) => i));
      }),
    );
    fc.assert(
      fc.property(views, (view) => {
        const all = positions(view);
        expect(all.length).toBe(sizeOf(view.shape));
        expect(extentOf(view)).toBe(all.length === 0 ? 0 : Math.max(...all) - view.offset + 1);
        expect(isRowMajor(view)).toBe(all.every((position, index) => position === view.offset + index));
      }),
    );
  });

  it("transposes, slices and repeats as nested arrays do", () => {
    const view = dense([2, 3]); // 0 1 2 / 3 4 5
    expect(positions(permuteView(view, [1, 0]))).toEqual([0, 3, 1, 4, 2, 5]);
    expect(positions(sliceView(view, 1, 1, 3, 1))).toEqual([1, 2, 4, 5]);
    expect(positions(sliceView(view, -1, -2, 3, 1))).toEqual([1, 2, 4, 5]);
    expect(positions(sliceView(view, 1, 0, 3, 2))).toEqual([0, 2, 3, 5]);
    expect(positions(expandView(sliceView(view, 0, 1, 2, 1), [2, 2, 3]))).toEqual([3, 4, 5, 3, 4, 5, 3, 4, 5, 3, 4, 5]);
  });

  it("reshapes without moving an element, whenever it reshapes", () => {
    let reshaped = 0;
    fc.assert(
      fc.property(views, shapes, (view, shape) => {
        let result: View;
        try {
          result = reshapeView(view, shape);
        } catch (error) {
          expect(error).toMatchObject({ code: "VIEW" });
          return;
        }
        reshaped++;
        expect(result.shape).toEqual(shape);
        expect(positions(result)).toEqual(positions(view));
      }),
      { numRuns: 1000 },
    );
    expect(reshaped).toBeGreaterThan(20);
  });

  it("splits and joins axes of any view that is dense in them", () => {
    const view = permuteView(dense([4, 6, 5]), [1, 0, 2]); // [6, 4, 5] with strides 5, 30, 1
    expect(reshapeView(view, [2, 3, 4, 5])).toEqual({ shape: [2, 3, 4, 5], strides: [15, 5, 30, 1], offset: 0 });
    expect(reshapeView(view, [6, 2, -1, 5])).toEqual({ shape: [6, 2, 2, 5], strides: [5, 60, 30, 1], offset: 0 });
    expect(() => reshapeView(view, [24, 5])).toThrow("it needs a copy");
    expect(reshapeView(dense([2, 3, 4]), [6, 1, 4])).toMatchObject({ shape: [6, 1, 4] });
    expect(reshapeView(dense([]), [1, 1])).toMatchObject({ shape: [1, 1] });
  });

  it.each([
    ["permute: [0, 0] is not a permutation of the 2 axes of [2, 3]", () => permuteView(dense([2, 3]), [0, 0])],
    ["slice: axis 2 is out of range for shape [2, 3]", () => sliceView(dense([2, 3]), 2, 0, 1, 1)],
    ["slice: 1 to 4 by 1 is not inside axis 1 of shape [2, 3]", () => sliceView(dense([2, 3]), 1, 1, 4, 1)],
    ["slice: 0 to 1 by 0 is not inside axis 1 of shape [2, 3]", () => sliceView(dense([2, 3]), 1, 0, 1, 0)],
    ["expand: [2, 3] does not broadcast to [2, 4]", () => expandView(dense([2, 3]), [2, 4])],
    ["reshape: [2, 3] has 6 elements, [5] has 5", () => reshapeView(dense([2, 3]), [5])],
    ["reshape: the -1 in [4, -1] fits no extent for [2, 3]", () => reshapeView(dense([2, 3]), [4, -1])],
  ])("refuses: %s", (message, make) => {
    expect(make).toThrow(message);
  });
});

describe("elements in common", () => {
  it("is what the positions of both views say", () => {
    let common = 0;
    fc.assert(
      fc.property(views, views, fc.nat({ max: 12 }), (a, b, further) => {
        const moved = { ...b, offset: b.offset + further };
        const taken = new Set(positions(a));
        const expected = positions(moved).some((position) => taken.has(position));
        if (expected) common++;
        expect(haveCommonElement(a, moved)).toBe(expected);
      }),
      { numRuns: 500 },
    );
    expect(common).toBeGreaterThan(20);
  });
  it("tells q, k and v of one projection apart at real sizes", () => {
    const [B, M, H, D] = [8, 4096, 32, 128];
    const part = (index: number): View => ({
      shape: [B, H, M, D],
      strides: [M * 3 * H * D, D, 3 * H * D, 1],
      offset: index * H * D,
    });
    expect(haveCommonElement(part(0), part(1))).toBe(false);
    expect(haveCommonElement(part(1), part(2))).toBe(false);
    expect(haveCommonElement(part(1), { ...part(1), offset: part(1).offset + D })).toBe(true);
  });
});
