import { describe, expect, it } from "vitest";
import {
  bytePairRows,
  chooseSwizzle,
  defaultBlocked,
  type LdmatrixPlan,
  type LinearLayout,
  ldmatrixConflicts,
  ldmatrixRows,
  matrixSwizzle,
  mmaLayout,
  planBytePairs,
  planLdmatrix,
  swizzledShared,
} from "../../src/layout/index.ts";

/**
 * ldmatrix as the PTX ISA describes it: lane 8m + r names row r of matrix m; lane T receives of every matrix the 32 bits at
 * row T / 4, byte 4 (T % 4); with .trans the two 16-bit elements of rows 2 (T % 4) and + 1 in column T / 4. Memory is a list of
 * elements. Returns for [lane][matrix] the elements in the 32 bits, low first.
 */
function ldmatrix(
  memory: readonly string[],
  rows: readonly number[],
  count: number,
  transposed: boolean,
  elementBytes: number,
): string[][][] {
  const packed = 4 / elementBytes;
  return Array.from({ length: 32 }, (_, lane) =>
    Array.from({ length: count }, (_, matrix) => {
      const row = (r: number) => rows[8 * matrix + r];
      if (transposed) return [0, 1].map((i) => memory[row(2 * (lane % 4) + i) + (lane >> 2)]);
      return Array.from({ length: packed }, (_, i) => memory[row(lane >> 2) + packed * (lane % 4) + i]);
    }),
  );
}

function check(layout: LinearLayout, shared: LinearLayout, plan: LdmatrixPlan, elementBytes: number): void {
  const memory = Array.from({ length: 2 ** shared.inBits }, (_, offset) => shared.coordinates({ offset }).join());
  const filled = new Set<number>();
  for (let warp = 0; warp < layout.sizeOf("warp"); warp++)
    for (const { offset, registers } of plan.issues) {
      const rows = Array.from({ length: 32 }, (_, lane) => plan.address.coordinates({ warp, lane })[0] ^ offset);
      for (const row of rows) expect((row * elementBytes) % 16).toBe(0);
      const result = ldmatrix(memory, rows, plan.count, plan.transposed, elementBytes);
      const wanted = result.map((_, lane) =>
        registers.map((list) => list.map((register) => layout.coordinates({ warp, lane, register }).join())),
      );
      expect(result).toEqual(wanted);
      for (const register of registers.flat()) filled.add(register);
    }
  expect(filled.size).toBe(layout.sizeOf("register"));
}

describe("ldmatrix", () => {
  const k16 = "m16n8k16" as const;
  it.each([
    ["a, row-major", "a", [64, 64], [1, 0], false],
    ["a, column-major", "a", [64, 64], [0, 1], true],
    ["b, column-major (keys)", "b", [64, 32], [0, 1], false],
    ["b, row-major (values)", "b", [32, 128], [1, 0], true],
  ] as const)("fills operand %s", (_, role, shape, order, transposed) => {
    for (const warpsPerCta of [
      [1, 1],
      [4, 1],
      [2, 2],
    ] as const)
      for (const shared of [matrixSwizzle(shape, 2, order), swizzledShared({ shape, order })]) {
        const layout = mmaLayout({ instruction: k16, role, shape, warpsPerCta });
        const plan = planLdmatrix(layout, shared, { elementBytes: 2, transposed });
        expect(plan?.count).toBe(4);
        check(layout, shared, plan!, 2);
        // The other way round the elements would come out exchanged.
        expect(planLdmatrix(layout, shared, { elementBytes: 2, transposed: !transposed })).toBeUndefined();
      }
  });

  it.each([
    [
      [32, 32],
      [1, 1],
    ],
    [
      [64, 128],
      [2, 2],
    ],
    [
      [32, 64],
      [1, 4],
    ],
  ] as const)(
    "fills an operand of bytes [%s] whose rows run across the contraction, in pairs, warps [%s]",
    (shape, warpsPerCta) => {
      const layout = mmaLayout({ instruction: "m16n8k32", role: "b", shape, warpsPerCta, paired: true });
      const writer = defaultBlocked({ shape, contiguous: 16, warps: 1 });
      const shared = chooseSwizzle({ writer, reader: bytePairRows(layout)!, elementBytes: 1 });
      const { plan, wordsOf } = planBytePairs(layout, shared)!;
      expect([plan.transposed, ldmatrixConflicts(plan, 2).conflicts]).toEqual([true, 0]);
      const memory = Array.from({ length: 2 ** shared.inBits }, (_, offset) => shared.coordinates({ offset }).join());
      const pairs = Array.from({ length: memory.length / 2 }, (_, i) => `${memory[2 * i]};${memory[2 * i + 1]}`);
      for (let warp = 0; warp < layout.sizeOf("warp"); warp++) {
        // Of each lane the bytes of every word that was loaded, the lowest first.
        const words = Array.from({ length: 32 }, () => new Map<number, string[]>());
        for (const { offset, registers } of plan.issues) {
          const rows = Array.from({ length: 32 }, (_, lane) => plan.address.coordinates({ warp, lane })[0] ^ offset);
          for (const row of rows) expect(row % 8).toBe(0);
          ldmatrix(pairs, rows, plan.count, true, 2).forEach((matrices, lane) => {
            matrices.forEach((elements, matrix) => {
              words[lane].set(
                registers[matrix][0] / 2,
                elements.flatMap((pair) => pair.split(";")),
              );
            });
          });
        }
        words.forEach((own, lane) => {
          for (let word = 0; word < layout.sizeOf("register") / 4; word++) {
            const { low, high, odd } = wordsOf(word);
            const bytes = [low, high].flatMap((one) => own.get(one)!).filter((_, i) => (i % 2 === 1) === odd);
            const wanted = [0, 1, 2, 3].map((i) => layout.coordinates({ warp, lane, register: 4 * word + i }).join());
            expect(bytes).toEqual(wanted);
          }
        });
      }
    },
  );

  it("uses x2 where a fragment has only two matrices, and gives registers in pairs", () => {
    const layout = mmaLayout({ instruction: k16, role: "b", shape: [16, 8], warpsPerCta: [1, 1] });
    const shared = matrixSwizzle([16, 8], 2, [0, 1]);
    const plan = planLdmatrix(layout, shared, { elementBytes: 2 });
    expect(plan!.count).toBe(2);
    expect(plan!.issues).toEqual([
      {
        offset: 0,
        registers: [
          [0, 1],
          [2, 3],
        ],
      },
    ]);
    check(layout, shared, plan!, 2);
  });

  it("gives the four matrices of A in the order of the instruction's registers", () => {
    const layout = mmaLayout({ instruction: k16, role: "a", shape: [16, 16], warpsPerCta: [1, 1] });
    const plan = planLdmatrix(layout, swizzledShared({ shape: [16, 16] }), { elementBytes: 2 });
    expect(plan!.issues[0].registers).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
    ]);
    // Lane l names row l % 16, and the upper half of the columns from lane 16 on.
    for (let lane = 0; lane < 32; lane++)
      expect(plan!.address.coordinates({ lane })).toEqual([(lane % 16) * 16 + (lane >> 4) * 8]);
  });

  it("loads tf32 fragments too, but not transposed", () => {
    const shape = [32, 32] as const;
    for (const [role, order] of [
      ["a", [1, 0]],
      ["b", [0, 1]],
    ] as const) {
      const layout = mmaLayout({ instruction: "m16n8k8", role, shape, warpsPerCta: [1, 1] });
      const shared = matrixSwizzle(shape, 4, order);
      check(layout, shared, planLdmatrix(layout, shared, { elementBytes: 4 })!, 4);
      const other = matrixSwizzle(shape, 4, [order[1], order[0]]);
      expect(planLdmatrix(layout, other, { elementBytes: 4, transposed: true })).toBeUndefined();
      expect(planLdmatrix(layout, other, { elementBytes: 4 })).toBeUndefined();
    }
  });

  it("does not apply where rows are broken or lanes stand otherwise", () => {
    const layout = mmaLayout({ instruction: k16, role: "a", shape: [64, 64], warpsPerCta: [1, 1] });
    const fine = swizzledShared({ shape: [64, 64], vec: 2, maxPhase: 8 });
    expect(planLdmatrix(layout, fine, { elementBytes: 2 })).toBeUndefined();
    const blockedLayout = defaultBlocked({ shape: [64, 64], contiguous: 8 });
    expect(planLdmatrix(blockedLayout, swizzledShared({ shape: [64, 64] }), { elementBytes: 2 })).toBeUndefined();
    expect(ldmatrixRows(blockedLayout, 1, { elementBytes: 2 })).toBeUndefined();
  });
});
