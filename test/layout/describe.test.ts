import { describe, expect, it } from "vitest";
import {
  defaultBlocked,
  describeLayout,
  flattenThreads,
  LinearLayout,
  layoutOfReduce,
  mmaLayout,
  swizzledShared,
  titleOfLayout,
} from "../../src/layout/index.ts";

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

describe("the title of a layout", () => {
  const mma = (options: Pick<Parameters<typeof mmaLayout>[0], "instruction" | "role" | "shape" | "contraction">) =>
    titleOfLayout(mmaLayout({ warpsPerCta: [2, 2], ...options }));

  it("names fragments of the tensor cores, an accumulator that is an operand by both names", () => {
    expect(mma({ instruction: "m16n8k16", role: "accumulator", shape: [64, 64] })).toBe(
      "accumulator of mma m16n8, warps 2 x 2",
    );
    expect(mma({ instruction: "m16n8k16", role: "b", shape: [32, 64] })).toBe("operand b of mma m16n8k16, warps 2 x 2");
    expect(mma({ instruction: "m16n8k8", role: "a", shape: [64, 16] })).toBe("operand a of mma m16n8k8, warps 2 x 2");
    const rows = mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [64, 64], warpsPerCta: [4, 1] });
    expect(titleOfLayout(rows)).toBe("accumulator of mma m16n8 and operand a of mma m16n8k16, warps 4 x 1");
  });

  it("says of others how threads stand over the axes, and what is held several times", () => {
    const layout = defaultBlocked({ shape: [64, 64], contiguous: 8 });
    expect(titleOfLayout(layout)).toBe("lanes 4 x 8, warps 4 x 1, 32 registers, 8 side by side");
    expect(titleOfLayout(flattenThreads(layout))).toBe("threads 16 x 8, 32 registers, 8 side by side");
    expect(titleOfLayout(layoutOfReduce(layout, 1))).toBe("lanes 4, warps 4, 4 registers, 8 copies of each element");
    const columns = defaultBlocked({ shape: [64, 64], contiguous: 4, order: [0, 1] });
    expect(titleOfLayout(columns)).toBe("lanes 16 x 2, warps 1 x 4, 32 registers, 4 side by side along axis 0");
    const mixed = LinearLayout.fromBases({ lane: [[1, 1]], register: [[0, 1]] }, { dim0: 2, dim1: 2 });
    expect(titleOfLayout(mixed)).toBe("lanes mixed, 2 registers");
  });
});
