/** What takes registers through a loop: not what is only read before and after it, if it can be read again. */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { kernel, tl } from "../../src/dsl/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { runBoth } from "./emulator.ts";

const ROWS = 64;

/** (2y + the sum of the rows of x) · y. */
const around = kernel({
  name: "around",
  constants: { WRITES_Y: false },
  params: { x: tl.tensor("f32", 2), y: tl.tensor("f32", 1), out: tl.tensor("f32", 1) },
  grid: () => [1],
  hints: { numWarps: 1 },
  body(p, { WRITES_Y }) {
    const y = p.y.load([0], [8 * ROWS], { inBounds: [true] });
    const { sum } = tl.loop({ to: p.x.shape(0) }, { sum: y.mul(2) }, (row, s) => ({
      sum: s.sum.add(p.x.load([row, 0], [8 * ROWS], { inBounds: [true] })),
    }));
    p.out.store([0], sum.mul(y), { inBounds: [true] });
    if (WRITES_Y) p.y.store([0], sum, { inBounds: [true] });
  },
});

const trace = (WRITES_Y: boolean) => optimize(around.trace({ constants: { WRITES_Y } }));
const readsOf = (text: string): number => text.match(/ld\.global\S*/g)!.length;

describe("a tile that is used before and after a loop", () => {
  it("is read again after it, but not where the kernel writes that tensor", () => {
    const [again, once] = [false, true].map((writes) => readsOf(compilePtx(trace(writes), { target: "sm_80" }).source));
    // 512 elements of a warp are four vectors a thread: of y twice and of x, or each once.
    expect(again! - once!).toBe(once! / 2);
  });

  it("gives the same results", () => {
    for (const turns of [0, 1, 3]) {
      const data = (count: number) => Float32Array.from({ length: count }, (_, i) => (i % 13) - 6);
      const arguments_ = {
        x: { data: data(turns * 8 * ROWS), shape: [turns, 8 * ROWS] },
        y: { data: data(8 * ROWS), shape: [8 * ROWS] },
        out: { data: new Float32Array(8 * ROWS), shape: [8 * ROWS] },
      };
      const { expected, actual } = runBoth(trace(false), { arguments: arguments_ });
      expect(actual.out).toEqual(expected.out);
    }
  });
});
