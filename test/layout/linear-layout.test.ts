import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LinearLayout } from "../../src/layout/index.ts";
import { bijections, blockedLayouts, expectEverywhere, places, surjectiveLayouts } from "./arbitrary.ts";

const all = (layout: LinearLayout) => [...Array(2 ** layout.inBits).keys()];

describe("a linear layout", () => {
  it("maps an input to the XOR of the bases of its bits", () => {
    const layout = LinearLayout.fromBases(
      {
        warp: [[16, 0]],
        lane: [
          [1, 0],
          [2, 0],
          [4, 4],
          [8, 0],
        ],
        register: [
          [0, 1],
          [0, 6],
        ],
      },
      { dim0: 32, dim1: 8 },
    );
    expect(layout.coordinates({ warp: 1, lane: 5, register: 3 })).toEqual([16 + 1 + 4, 4 ^ 1 ^ 6]);
    expect(layout.apply({ lane: 2 })).toEqual({ dim0: 2, dim1: 0 });
    expect(layout.basis("lane", 2)).toEqual([4, 4]);
    expect(layout.basesOf("register")).toEqual([1, 6]);
  });

  it("is linear, packed or not", () => {
    fc.assert(
      fc.property(blockedLayouts, fc.nat(), fc.nat(), (layout, a, b) => {
        const size = 2 ** layout.inBits;
        const [x, y] = [a % size, b % size];
        expect(layout.applyFlat(x ^ y)).toBe(layout.applyFlat(x) ^ layout.applyFlat(y));
        const point = {
          register: x % layout.sizeOf("register"),
          lane: Math.floor(x / layout.sizeOf("register")) % layout.sizeOf("lane"),
          warp: Math.floor(x / layout.sizeOf("register") / layout.sizeOf("lane")),
        };
        const rowMajor = layout.coordinates(point).reduce((flat, at, axis) => flat * layout.shape[axis] + at, 0);
        expect(layout.applyFlat(x)).toBe(rowMajor);
      }),
    );
  });

  it("knows its image by counting", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(63), { maxLength: 8 }), (columns) => {
        const layout = new LinearLayout([{ name: "i", bits: columns.length }], [{ name: "o", bits: 6 }], columns);
        const image = new Set(all(layout).map((x) => layout.applyFlat(x)));
        expect(2 ** layout.rank).toBe(image.size);
        expect(layout.isSurjective()).toBe(image.size === 64);
        expect(layout.isInjective()).toBe(image.size === 2 ** columns.length);
        for (let y = 0; y < 64; y++) {
          const x = layout.preimageFlat(y);
          expect(x !== undefined).toBe(image.has(y));
          if (x !== undefined) expect(layout.applyFlat(x)).toBe(y);
        }
      }),
    );
  });

  it("names redundant bits: with them clear, every element is reached once", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 8]), (layout) => {
        const free = layout.freeVariableMasks();
        const reached = [...places(layout)]
          .filter((p) => !(p.warp & free.warp) && !(p.lane & free.lane) && !(p.register & free.register))
          .map((p) => p.at.join());
        expect(reached.length).toBe(32);
        expect(new Set(reached).size).toBe(32);
      }),
    );
  });
});

describe("algebra", () => {
  it("composes: associative, and the same as applying one after the other", () => {
    fc.assert(
      fc.property(bijections("a", "b"), bijections("b", "c"), bijections("c", "d"), fc.nat(63), (f, g, h, x) => {
        expect(f.compose(g).applyFlat(x)).toBe(g.applyFlat(f.applyFlat(x)));
        expect(
          f
            .compose(g)
            .compose(h)
            .equals(f.compose(g.compose(h))),
        ).toBe(true);
      }),
    );
  });

  it("composes by name, whatever the order of the dimensions", () => {
    const pair = LinearLayout.fromBases(
      {
        i: [
          [1, 0],
          [0, 1],
          [0, 2],
        ],
      },
      { x: 2, y: 4 },
    );
    const sum = LinearLayout.fromBases({ y: [[1], [2]], x: [[4]] }, { o: 8 });
    expect(pair.compose(sum).apply({ i: 1 })).toEqual({ o: 4 });
    expect(pair.compose(sum).apply({ i: 6 })).toEqual({ o: 3 });
  });

  it("inverts bijections on both sides", () => {
    fc.assert(
      fc.property(bijections("a", "b"), (f) => {
        const inverse = f.invert();
        expect(all(f).map((x) => inverse.applyFlat(f.applyFlat(x)))).toEqual(all(f));
        expect(all(f).map((x) => f.applyFlat(inverse.applyFlat(x)))).toEqual(all(f));
      }),
    );
  });

  it("refuses to invert what has no inverse", () => {
    const copies = LinearLayout.zeros1D(4, "lane", "dim0");
    expect(() => copies.invert()).toThrow(expect.objectContaining({ code: "LAYOUT_NOT_INVERTIBLE" }));
    const misses = LinearLayout.fromBases({ lane: [[2]] }, { dim0: 4 });
    expect(() => misses.pseudoInvert()).toThrow(expect.objectContaining({ code: "LAYOUT_NOT_SURJECTIVE" }));
  });

  it("pseudo-inverts: a right inverse that touches no redundant bit", () => {
    fc.assert(
      fc.property(surjectiveLayouts([8, 4]), (layout) => {
        const back = layout.pseudoInvert();
        const free = layout.freeVariableMasks();
        for (let y = 0; y < 32; y++) {
          expect(layout.applyFlat(back.applyFlat(y))).toBe(y);
          const [warp, lane, register] = back.coordinates({ dim0: y >> 2, dim1: y & 3 });
          expect((warp & free.warp) | (lane & free.lane) | (register & free.register)).toBe(0);
        }
      }),
    );
  });

  it("inverts and composes to a place that holds the same element", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 16]), surjectiveLayouts([4, 16]), (from, to) => {
        const map = from.invertAndCompose(to);
        expectEverywhere(from, (place, at) => {
          const [warp, lane, register] = map.coordinates(place);
          return [to.coordinates({ warp, lane, register }), at];
        });
        const self = from.invertAndCompose(from);
        expect(all(from).map((x) => self.applyFlat(x))).toEqual(all(from));
      }),
    );
  });

  it("multiplies: shared dimensions stack, others stand side by side", () => {
    const registers = LinearLayout.identity1D(4, "register", "dim1");
    const lanes = LinearLayout.identity1D(8, "lane", "dim1");
    const rows = LinearLayout.identity1D(4, "lane", "dim0");
    const warps = LinearLayout.zeros1D(2, "warp", "dim0");
    const layout = registers.product(lanes).product(rows).product(warps);
    expect(layout.ins.map((dim) => dim.name)).toEqual(["warp", "lane", "register"]);
    expect(layout.shape).toEqual([4, 32]);
    expect(layout.sizeOf("warp")).toBe(2);
    expectEverywhere(layout, ({ lane, register }, at) => [at, [lane >> 3, (lane & 7) * 4 + register]]);
    expect(LinearLayout.empty().product(layout).equals(layout)).toBe(true);
    expect(layout.product(LinearLayout.empty()).equals(layout)).toBe(true);
  });

  it("multiplies associatively", () => {
    fc.assert(
      fc.property(blockedLayouts, blockedLayouts, blockedLayouts, (f, g, h) => {
        const rank = Math.max(f.outs.length, g.outs.length, h.outs.length);
        fc.pre(f.outs.length === rank && g.outs.length === rank && h.outs.length === rank);
        fc.pre(f.inBits + g.inBits + h.inBits <= 30 && f.outBits + g.outBits + h.outBits <= 30);
        expect(
          f
            .product(g)
            .product(h)
            .equals(f.product(g.product(h))),
        ).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe("dimensions", () => {
  it("reshapes row-major, without moving a bit", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 8]), fc.nat(), (layout, seed) => {
        const x = seed % 2 ** layout.inBits;
        const flat = layout.flattenOuts("o");
        const [i, j] = layout
          .reshapeOuts([
            { name: "i", bits: 1 },
            { name: "j", bits: 4 },
          ])
          .flattenIns("x")
          .coordinates({ x });
        const [row, column] = layout.flattenIns("x").coordinates({ x });
        expect(i * 16 + j).toBe(row * 8 + column);
        expect(flat.applyFlat(x)).toBe(row * 8 + column);
      }),
    );
  });

  it("transposes inputs and outputs without changing the map", () => {
    fc.assert(
      fc.property(surjectiveLayouts([2, 4, 8]), (layout) => {
        const outs = layout.transposeOuts(["dim2", "dim0", "dim1"]);
        const ins = layout.transposeIns(["register", "warp", "lane"]);
        expectEverywhere(layout, (place, at) => [outs.coordinates(place), [at[2], at[0], at[1]]]);
        expectEverywhere(layout, (place, at) => [ins.coordinates(place), at]);
      }),
    );
  });

  it("takes sublayouts", () => {
    fc.assert(
      fc.property(surjectiveLayouts([4, 8]), (layout) => {
        const part = layout.sublayout(["register"], ["dim1"]);
        for (let register = 0; register < layout.sizeOf("register"); register++)
          expect(part.coordinates({ register })).toEqual([layout.coordinates({ register })[1]]);
      }),
    );
  });

  it("drops registers that are copies", () => {
    const layout = LinearLayout.fromBases({ lane: [[2], [0]], register: [[0], [1], [0]] }, { dim0: 4 });
    const without = layout.removeZeroBases("register");
    expect(without.basesOf("register")).toEqual([1]);
    expect(without.basesOf("lane")).toEqual([2, 0]);
  });

  it("is equal to itself by key, and prints its bases", () => {
    const layout = LinearLayout.fromBases(
      {
        lane: [
          [1, 0],
          [0, 2],
        ],
        register: [[0, 1]],
      },
      { dim0: 2, dim1: 4 },
    );
    const same = LinearLayout.fromBases(
      {
        lane: [
          [1, 0],
          [0, 2],
        ],
        register: [[0, 1]],
      },
      { dim0: 2, dim1: 4 },
    );
    const other = layout.transposeOuts(["dim1", "dim0"]);
    expect(layout.equals(same)).toBe(true);
    expect(layout.key).toBe(same.key);
    expect(layout.equals(other)).toBe(false);
    expect(layout.key).not.toBe(other.key);
    expect(layout.toString()).toBe(
      "(lane: 4, register: 2) → (dim0: 2, dim1: 4)\n  register 1 → (0, 1)\n  lane     1 → (1, 0)  2 → (0, 2)",
    );
  });

  it("refuses what is not a power of two, out of range or unknown", () => {
    expect(() => LinearLayout.identity1D(12, "lane", "dim0")).toThrow(/lane is 12.*powers of two/);
    expect(() => LinearLayout.fromBases({ lane: [[4]] }, { dim0: 4 })).toThrow(/dim0 = 4 is outside/);
    const layout = LinearLayout.identity1D(4, "lane", "dim0");
    expect(() => layout.coordinates({ lane: 4 })).toThrow(expect.objectContaining({ code: "LAYOUT_OUT_OF_RANGE" }));
    expect(() => layout.transposeOuts(["dim1"])).toThrow(expect.objectContaining({ code: "LAYOUT_UNKNOWN_DIM" }));
    expect(() => layout.compose(layout)).toThrow(expect.objectContaining({ code: "LAYOUT_DIMS_DIFFER" }));
  });
});
