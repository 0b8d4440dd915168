import { describe, expect, it } from "vitest";
import { defaultBlocked, describeLayout, LinearLayout, mmaLayout, swizzledShared } from "../../src/layout/index.ts";

describe("the picture of a layout", () => {
  it("shows the first rows of an accumulator as the PTX ISA draws them", () => {
    const layout = mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [16, 8], warpsPerCta: [1, 1] });
    const lines = describeLayout(layout).split("\n");
    expect(lines.length).toBe(16);
    expect(lines[0]).toBe("T0:0  T0:1  T1:0  T1:1  T2:0  T2:1  T3:0  T3:1");
    expect(lines[9]).toBe("T4:2  T4:3  T5:2  T5:3  T6:2  T6:3  T7:2  T7:3");
  });

  it("shows warps, copies, offsets and what is missing", () => {
    const copied = LinearLayout.fromBases({ warp: [[1]], lane: [[0]], register: [] }, { dim0: 4 });
    expect(describeLayout(copied)).toBe("W0 T0:0+ W1 T0:0+ -        -");
    expect(describeLayout(swizzledShared({ shape: [2, 4], vec: 2, maxPhase: 2 }))).toBe("0 1 2 3\n6 7 4 5");
    expect(() => describeLayout(defaultBlocked({ shape: [2, 2, 2] }))).toThrow(/rank 1 and 2/);
  });
});
