import { describe, expect, it } from "vitest";
import { mmaFragmentRegisters, mmaLayout, warpExtents } from "../../src/layout/index.ts";
import { places } from "./arbitrary.ts";

// The closed formulas of the PTX ISA, section "Matrix Fragments for mma.m16n8k16 with floating point type" and
// "... for mma.m16n8k8" (.tf32) and "... for mma.m16n8k32" (.s8), written down here independently of the bases in src.
type Formula = (lane: number, i: number) => [number, number];
const groupId = (lane: number) => lane >> 2;
const threadInGroup = (lane: number) => lane % 4;

const accumulator: Formula = (lane, i) => [groupId(lane) + (i < 2 ? 0 : 8), threadInGroup(lane) * 2 + (i & 1)];
const tables: Record<string, { shapes: Record<"a" | "b" | "accumulator", [number, number]>; a: Formula; b: Formula }> =
  {
    m16n8k16: {
      shapes: { a: [16, 16], b: [16, 8], accumulator: [16, 8] },
      a: (lane, i) => [
        (0 <= i && i < 2) || (4 <= i && i < 6) ? groupId(lane) : groupId(lane) + 8,
        threadInGroup(lane) * 2 + (i & 1) + (i < 4 ? 0 : 8),
      ],
      b: (lane, i) => [threadInGroup(lane) * 2 + (i & 1) + (i < 2 ? 0 : 8), groupId(lane)],
    },
    m16n8k32: {
      shapes: { a: [16, 32], b: [32, 8], accumulator: [16, 8] },
      a: (lane, i) => [
        (0 <= i && i < 4) || (8 <= i && i < 12) ? groupId(lane) : groupId(lane) + 8,
        threadInGroup(lane) * 4 + (i & 3) + (i < 8 ? 0 : 16),
      ],
      b: (lane, i) => [threadInGroup(lane) * 4 + (i & 3) + (i < 4 ? 0 : 16), groupId(lane)],
    },
    m16n8k8: {
      shapes: { a: [16, 8], b: [8, 8], accumulator: [16, 8] },
      a: (lane, i) => [
        i === 0 || i === 2 ? groupId(lane) : groupId(lane) + 8,
        i === 0 || i === 1 ? threadInGroup(lane) : threadInGroup(lane) + 4,
      ],
      b: (lane, i) => [i === 0 ? threadInGroup(lane) : threadInGroup(lane) + 4, groupId(lane)],
    },
  };

describe.each(["m16n8k32", "m16n8k16", "m16n8k8"] as const)("fragments of mma.%s", (instruction) => {
  const table = tables[instruction];
  it.each([
    ["a", table.a],
    ["b", table.b],
    ["accumulator", accumulator],
  ] as const)("%s is the PTX ISA's table", (role, formula) => {
    const layout = mmaLayout({ instruction, role, shape: table.shapes[role], warpsPerCta: [1, 1] });
    expect(layout.sizeOf("lane")).toBe(32);
    expect(layout.isBijective()).toBe(true);
    for (const { lane, register, at } of places(layout)) expect(at).toEqual(formula(lane, register));
  });

  it.each([
    ["a", [64, 32], [2, 2]],
    ["b", [32, 64], [2, 2]],
    ["accumulator", [64, 64], [2, 2]],
    ["accumulator", [16, 128], [1, 4]],
    ["accumulator", [128, 8], [4, 1]],
  ] as const)(
    "%s over a tile [%s] by warps [%s]: each instruction gets a fragment of the table",
    (role, shape, warpsPerCta) => {
      const layout = mmaLayout({ instruction, role, shape, warpsPerCta });
      expect(layout.isSurjective()).toBe(true);
      const formula = role === "accumulator" ? accumulator : table[role];
      const [rows, columns] = table.shapes[role];
      // Each warp owns a contiguous box; along the contraction every warp owns all.
      const [warpsM, warpsN] = warpsPerCta;
      const divided = [role === "b" ? 1 : warpsM, role === "a" ? 1 : warpsN];
      const box = [shape[0] / divided[0], shape[1] / divided[1]];
      expect(warpExtents(layout)).toEqual(box);
      for (let warp = 0; warp < warpsM * warpsN; warp++) {
        const corner = [(Math.floor(warp / warpsN) % divided[0]) * box[0], ((warp % warpsN) % divided[1]) * box[1]];
        for (let row = 0; row < box[0]; row += rows)
          for (let column = 0; column < box[1]; column += columns) {
            const registers = mmaFragmentRegisters(layout, { instruction, role }, [row, column]);
            for (let lane = 0; lane < 32; lane++)
              registers.forEach((register, i) => {
                const [r, c] = formula(lane, i);
                expect(layout.coordinates({ warp, lane, register })).toEqual([
                  corner[0] + row + r,
                  corner[1] + column + c,
                ]);
              });
          }
      }
    },
  );

  it("keeps the registers of an instruction together, in its order", () => {
    const layout = mmaLayout({ instruction, role: "a", shape: [64, 64], warpsPerCta: [2, 1] });
    const size = { m16n8k32: 16, m16n8k16: 8, m16n8k8: 4 }[instruction];
    const registers = mmaFragmentRegisters(layout, { instruction, role: "a" }, [16, 32]);
    expect(registers).toEqual(Array.from({ length: size }, (_, i) => registers[0] + i));
    expect(registers[0] % size).toBe(0);
  });
});

it("in pairs, two instructions take the even and the odd of 16 columns", () => {
  const options = { instruction: "m16n8k32", warpsPerCta: [1, 2], paired: true } as const;
  for (const [role, shape, formula] of [
    ["b", [32, 64], tables.m16n8k32.b],
    ["accumulator", [16, 64], accumulator],
  ] as const) {
    const layout = mmaLayout({ ...options, role, shape });
    expect(warpExtents(layout)).toEqual([shape[0], 32]);
    for (const column of [0, 8, 16, 24])
      mmaFragmentRegisters(layout, { ...options, role }, [0, column]).forEach((register, i) => {
        for (let lane = 0; lane < 32; lane++) {
          const [r, c] = formula(lane, i);
          const at = (column & 16) + 2 * c + (column & 8) / 8;
          expect(layout.coordinates({ warp: 1, lane, register })).toEqual([r, 32 + at]);
        }
      });
  }
});

describe("a dot after a dot", () => {
  it.each([
    [64, 64, 4],
    [128, 32, 4],
    [16, 128, 1],
  ])("f16: an accumulator [%i, %i] on %i warps is the next A operand, register by register", (m, n, warps) => {
    const options = { instruction: "m16n8k16", shape: [m, n], warpsPerCta: [warps, 1] } as const;
    const scores = mmaLayout({ ...options, role: "accumulator" });
    const weights = mmaLayout({ ...options, role: "a" });
    expect(weights.equals(scores)).toBe(true);
  });

  it("tf32: with the contraction in accumulator order no value leaves its thread, and A and B agree on the order", () => {
    const options = { instruction: "m16n8k8", contraction: "accumulator", warpsPerCta: [2, 1] } as const;
    const scores = mmaLayout({ ...options, role: "accumulator", shape: [32, 64] });
    const weights = mmaLayout({ ...options, role: "a", shape: [32, 64] });
    const map = weights.invertAndCompose(scores);
    for (const place of places(weights)) {
      const [warp, lane] = map.coordinates({ warp: place.warp, lane: place.lane, register: place.register });
      expect([warp, lane]).toEqual([place.warp, place.lane]);
    }
    // Slot s of the instruction (by the table) holds the same k in both operands.
    const a = mmaLayout({ ...options, role: "a", shape: [16, 8], warpsPerCta: [1, 1] });
    const b = mmaLayout({ ...options, role: "b", shape: [8, 8], warpsPerCta: [1, 1] });
    for (let lane = 0; lane < 32; lane++)
      for (let i = 0; i < 4; i++) {
        const [, slotOfA] = tables.m16n8k8.a(lane, i);
        const [, k] = a.coordinates({ lane, register: i });
        for (let other = 0; other < 32; other++)
          for (let j = 0; j < 2; j++)
            if (tables.m16n8k8.b(other, j)[0] === slotOfA)
              expect(b.coordinates({ lane: other, register: j })[0]).toBe(k);
      }
  });
});

describe("small tiles", () => {
  it("hold copies along M and N", () => {
    const layout = mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [8, 8], warpsPerCta: [4, 1] });
    expect(layout.isSurjective()).toBe(true);
    expect(layout.sizeOf("register")).toBe(2);
    expect(layout.freeVariableMasks()).toEqual({ warp: 3, lane: 0, register: 0 });
    // The instruction still gets four registers, the rows 8 to 15 being copies of the rows 0 to 7.
    expect(mmaFragmentRegisters(layout, { instruction: "m16n8k16", role: "accumulator" }, [0, 0])).toEqual([
      0, 1, 0, 1,
    ]);
  });

  it("are refused along K, where copies would be summed twice", () => {
    const options = { instruction: "m16n8k16", warpsPerCta: [1, 1] } as const;
    expect(() => mmaLayout({ ...options, role: "a", shape: [16, 8] })).toThrow(/sums over 16 values at a time, K is 8/);
    expect(() => mmaLayout({ ...options, role: "b", shape: [8, 8] })).toThrow(
      expect.objectContaining({ code: "LAYOUT_MMA_TOO_SMALL" }),
    );
  });
});
