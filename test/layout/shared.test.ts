import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bankConflicts,
  chooseSwizzle,
  defaultBlocked,
  type LinearLayout,
  ldmatrixConflicts,
  ldmatrixRows,
  matrixSwizzle,
  mmaLayout,
  planLdmatrix,
  registerOffsets,
  sharedOffsets,
  sharedVectorWidth,
  swizzledShared,
} from "../../src/layout/index.ts";
import { blockedLayouts, places, surjectiveLayouts } from "./arbitrary.ts";

/** The wavefronts of one access, by the book: lanes by passes, words by banks. `at` gives each lane's first byte. */
function simulate(at: readonly number[], bytes: number): number {
  const lanesOfPass = bytes <= 4 ? 32 : bytes === 8 ? 16 : 8;
  let wavefronts = 0;
  for (let first = 0; first < at.length; first += lanesOfPass) {
    const wordsOfBank = Array.from({ length: 32 }, () => new Set<number>());
    for (const address of at.slice(first, first + lanesOfPass))
      for (let byte = address; byte < address + bytes; byte++) wordsOfBank[(byte >> 2) % 32].add(byte >> 2);
    wavefronts += Math.max(...wordsOfBank.map((words) => words.size));
  }
  return wavefronts;
}

/** The worst access over all warps and registers. */
function worstAccess(layout: LinearLayout, shared: LinearLayout, elementBytes: number, width: number): number {
  const offsetOf = new Map<string, number>();
  for (let offset = 0; offset < 2 ** shared.inBits; offset++)
    offsetOf.set(shared.coordinates({ offset }).join(), offset);
  let worst = 0;
  for (let warp = 0; warp < layout.sizeOf("warp"); warp++)
    for (let register = 0; register < layout.sizeOf("register"); register++) {
      const at = Array.from({ length: layout.sizeOf("lane") }, (_, lane) => {
        const offset = offsetOf.get(layout.coordinates({ warp, lane, register }).join())!;
        return Math.floor(offset / width) * width * elementBytes;
      });
      worst = Math.max(worst, simulate(at, elementBytes * width));
    }
  return worst;
}

const swizzles = fc
  .record({
    rows: fc.constantFrom(8, 32),
    columns: fc.constantFrom(16, 64),
    vec: fc.constantFrom(1, 4, 8),
    perPhase: fc.constantFrom(1, 2, 4),
    maxPhase: fc.constantFrom(1, 2, 8),
    folded: fc.boolean(),
    order: fc.constantFrom([1, 0], [0, 1]),
  })
  .map(({ rows, columns, order, ...rest }) => ({ shape: [rows, columns], order, ...rest }))
  .filter(({ shape, order, vec, perPhase, maxPhase }) => vec * maxPhase <= shape[order[0]] * perPhase);

describe("swizzled shared memory", () => {
  it("puts vector v of a phase's rows at v ^ phase", () => {
    fc.assert(
      fc.property(swizzles, (options) => {
        const shared = swizzledShared(options);
        expect(shared.isBijective()).toBe(true);
        const { shape, order, vec, perPhase, maxPhase, folded } = options;
        const inverse = shared.invert();
        const wrong: number[][] = [];
        for (let i = 0; i < shape[0]; i++)
          for (let j = 0; j < shape[1]; j++) {
            const [row, column] = order[0] === 1 ? [i, j] : [j, i];
            const rowLength = shape[order[0]];
            const longRow = Math.floor(row / perPhase);
            const vector = Math.floor(((row % perPhase) * rowLength + column) / vec);
            let phase = longRow % maxPhase;
            if (folded && maxPhase > 1)
              for (let rest = Math.floor(longRow / maxPhase); rest > 0; rest = Math.floor(rest / maxPhase))
                phase ^= rest % maxPhase;
            const place = (vector ^ phase) * vec + (column % vec);
            const wanted = longRow * perPhase * rowLength + place;
            if (inverse.coordinates({ dim0: i, dim1: j })[0] !== wanted) wrong.push([i, j]);
          }
        expect(wrong).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it("refuses more phases than the rows of a phase have vectors", () => {
    expect(() => swizzledShared({ shape: [8, 16], vec: 8, maxPhase: 4 })).toThrow(
      /4 phases of 8 elements do not fit 1 rows of 16/,
    );
    expect(swizzledShared({ shape: [8, 16], vec: 8, perPhase: 2, maxPhase: 4 }).isBijective()).toBe(true);
  });

  it("serves tiles of rank 1 and 3", () => {
    expect(swizzledShared({ shape: [64] }).coordinates({ offset: 37 })).toEqual([37]);
    const batch = matrixSwizzle([2, 16, 64], 2);
    expect(batch.isBijective()).toBe(true);
    expect(batch.coordinates({ offset: 1024 })).toEqual([1, 0, 0]);
  });

  it("splits register offsets into what can be an immediate and what must be XORed", () => {
    fc.assert(
      fc.property(surjectiveLayouts([16, 16]), swizzles, (layout, options) => {
        fc.pre(options.vec * options.maxPhase <= 16 * options.perPhase);
        const offsets = sharedOffsets(layout, swizzledShared({ ...options, shape: [16, 16] }));
        const parts = registerOffsets(offsets);
        const wrong = [...places(offsets)].filter(({ warp, lane, register, at }) => {
          const thread = offsets.coordinates({ warp, lane })[0];
          return (thread ^ parts[register].xor) + parts[register].add !== at[0];
        });
        expect(wrong).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});

describe("bank conflicts", () => {
  it("agree with a simulation of banks, for every warp and register", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          blockedLayouts.filter((layout) => layout.outs.length === 2),
          surjectiveLayouts([16, 16]),
        ),
        fc.record({
          vec: fc.constantFrom(1, 2, 4),
          perPhase: fc.constantFrom(1, 2),
          maxPhase: fc.constantFrom(1, 2, 4),
          order: fc.constantFrom([1, 0], [0, 1]),
        }),
        fc.constantFrom(1, 2, 4),
        (layout, swizzle, elementBytes) => {
          fc.pre(layout.sizeOf("lane") <= 32);
          fc.pre(swizzle.vec * swizzle.maxPhase <= layout.shape[swizzle.order[0]] * swizzle.perPhase);
          const shared = swizzledShared({ shape: layout.shape, ...swizzle });
          const width = sharedVectorWidth(layout, shared, { elementBytes });
          const { wavefronts, ideal, conflicts } = bankConflicts(layout, shared, { elementBytes, width });
          expect(wavefronts).toBe(worstAccess(layout, shared, elementBytes, width));
          expect(conflicts).toBe(wavefronts - ideal);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("counts the textbook cases", () => {
    const column = defaultBlocked({ shape: [32, 32], warps: 1, order: [0, 1] });
    const plain = swizzledShared({ shape: [32, 32] });
    expect(bankConflicts(column, plain, { elementBytes: 4, width: 1 })).toEqual({
      wavefronts: 32,
      ideal: 1,
      conflicts: 31,
    });
    const row = defaultBlocked({ shape: [32, 32], warps: 1, order: [1, 0] });
    expect(bankConflicts(row, plain, { elementBytes: 4, width: 1 }).conflicts).toBe(0);
    // The 32x32 transpose with a full XOR swizzle.
    const swizzled = swizzledShared({ shape: [32, 32], vec: 1, maxPhase: 32 });
    expect(bankConflicts(column, swizzled, { elementBytes: 4, width: 1 }).conflicts).toBe(0);
    expect(bankConflicts(row, swizzled, { elementBytes: 4, width: 1 }).conflicts).toBe(0);
  });
});

describe("the matrix swizzle", () => {
  const rowBytes = [16, 32, 64, 128, 256, 512];
  it.each(rowBytes)(
    "is free of conflicts for ldmatrix of every operand and for 16-byte stores: rows of %i bytes",
    (bytes) => {
      const columns = bytes / 2;
      // [rows, columns] in memory, row-major: A as it is, B through its transposed view; both plain, and both transposed.
      const shape: [number, number] = [64, columns];
      const shared = matrixSwizzle(shape, 2);
      const cases = [
        { role: "a", shared, transposed: false, operand: shape, fits: columns >= 16 },
        { role: "b", shared, transposed: true, operand: shape, fits: true },
        {
          role: "a",
          shared: matrixSwizzle([columns, 64], 2, [0, 1]),
          transposed: true,
          operand: [columns, 64],
          fits: columns >= 16,
        },
        {
          role: "b",
          shared: matrixSwizzle([columns, 64], 2, [0, 1]),
          transposed: false,
          operand: [columns, 64],
          fits: columns >= 16,
        },
      ] as const;
      for (const { role, shared: memory, transposed, operand, fits } of cases) {
        if (!fits) continue;
        const layout = mmaLayout({
          instruction: "m16n8k16",
          role,
          shape: [operand[0], operand[1]],
          warpsPerCta: [1, 1],
        });
        const plan = planLdmatrix(layout, memory, { elementBytes: 2, transposed });
        expect(plan, `${role} ${transposed}`).toBeDefined();
        expect(plan!.count).toBe(4);
        expect(ldmatrixConflicts(plan!, 2)).toEqual({ wavefronts: 4, ideal: 4, conflicts: 0 });
        for (const issue of plan!.issues) {
          const at = Array.from(
            { length: 32 },
            (_, lane) => 2 * (plan!.address.coordinates({ lane })[0] ^ issue.offset),
          );
          expect(simulate(at, 16)).toBe(4);
        }
      }
      const writer = defaultBlocked({ shape, contiguous: 8, warps: 1 });
      const width = sharedVectorWidth(writer, shared, { elementBytes: 2 });
      expect(width).toBe(8);
      expect(bankConflicts(writer, shared, { elementBytes: 2, width }).conflicts).toBe(0);
      expect(worstAccess(writer, shared, 2, width)).toBe(4);
    },
  );

  it("is what makes the difference", () => {
    const layout = mmaLayout({ instruction: "m16n8k16", role: "a", shape: [64, 64], warpsPerCta: [1, 1] });
    const plan = planLdmatrix(layout, swizzledShared({ shape: [64, 64] }), { elementBytes: 2 });
    expect(ldmatrixConflicts(plan!, 2).wavefronts).toBe(32);
  });
});

describe("the chosen swizzle", () => {
  const free = (writer: LinearLayout, reader: LinearLayout, elementBytes: number) => {
    const shared = chooseSwizzle({ writer, reader, elementBytes });
    expect(shared.isBijective()).toBe(true);
    return [writer, reader].map((layout) => {
      const width = sharedVectorWidth(layout, shared, { elementBytes });
      expect(worstAccess(layout, shared, elementBytes, width)).toBe(
        bankConflicts(layout, shared, { elementBytes, width }).wavefronts,
      );
      return bankConflicts(layout, shared, { elementBytes, width }).conflicts;
    });
  };

  it("has no conflicts between blocked layouts of every order and vector, nor with accumulators", () => {
    for (const elementBytes of [1, 2, 4])
      for (const contiguous of [1, 4, 8]) {
        const rows = defaultBlocked({ shape: [64, 64], contiguous });
        const columns = defaultBlocked({ shape: [64, 64], contiguous, order: [0, 1] });
        const scores = mmaLayout({
          instruction: "m16n8k16",
          role: "accumulator",
          shape: [64, 64],
          warpsPerCta: [2, 2],
        });
        for (const [writer, reader] of [
          [rows, columns],
          [columns, rows],
          [scores, rows],
          [rows, scores],
          [scores, columns],
        ])
          expect(free(writer, reader, elementBytes), `${elementBytes} bytes, ${contiguous} contiguous`).toEqual([0, 0]);
      }
  });

  it("keeps the widest vector that both sides can use", () => {
    const rows = defaultBlocked({ shape: [64, 64], contiguous: 8 });
    const scores = mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape: [64, 64], warpsPerCta: [4, 1] });
    const shared = chooseSwizzle({ writer: scores, reader: rows, elementBytes: 2 });
    expect(sharedVectorWidth(scores, shared, { elementBytes: 2 })).toBeGreaterThanOrEqual(2);
    const same = chooseSwizzle({ writer: rows, reader: rows, elementBytes: 2 });
    expect(sharedVectorWidth(rows, same, { elementBytes: 2 })).toBe(8);
  });

  it("keeps the writer's vectors whole if told, though the reader takes them in parts", () => {
    for (const shape of [
      [16, 128],
      [64, 64],
      [128, 16],
    ] as const) {
      const writer = defaultBlocked({ shape, contiguous: 4 });
      const warpsPerCta = shape[0] >= 64 ? ([4, 1] as const) : ([1, 4] as const);
      const reader = mmaLayout({ instruction: "m16n8k16", role: "accumulator", shape, warpsPerCta });
      const shared = chooseSwizzle({ writer, reader, elementBytes: 4, whole: true });
      expect(shared.isBijective()).toBe(true);
      const widths = [writer, reader].map((layout) => sharedVectorWidth(layout, shared, { elementBytes: 4 }));
      expect(widths).toEqual([4, 2]);
      for (const [i, layout] of [writer, reader].entries())
        expect(bankConflicts(layout, shared, { elementBytes: 4, width: widths[i]! }).conflicts).toBe(0);
    }
  });

  it("is always a bijection, and its conflict count is what a simulation says", () => {
    fc.assert(
      fc.property(
        surjectiveLayouts([16, 16]),
        surjectiveLayouts([16, 16]),
        fc.constantFrom(1, 2, 4),
        (writer, reader, elementBytes) => {
          fc.pre(writer.sizeOf("lane") <= 32 && reader.sizeOf("lane") <= 32);
          free(writer, reader, elementBytes);
          expect(chooseSwizzle({ writer, reader, elementBytes, whole: true }).isBijective()).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("serves ldmatrix as a reader", () => {
    for (const columns of [16, 64, 128]) {
      const layout = mmaLayout({ instruction: "m16n8k16", role: "a", shape: [64, columns], warpsPerCta: [4, 1] });
      const reader = ldmatrixRows(layout, 1, { elementBytes: 2 })!;
      const writer = defaultBlocked({ shape: [64, columns], contiguous: 8 });
      const shared = chooseSwizzle({ writer, reader, elementBytes: 2 });
      const plan = planLdmatrix(layout, shared, { elementBytes: 2 });
      expect(ldmatrixConflicts(plan!, 2).conflicts).toBe(0);
      const width = sharedVectorWidth(writer, shared, { elementBytes: 2 });
      expect(width).toBe(8);
      expect(bankConflicts(writer, shared, { elementBytes: 2, width }).conflicts).toBe(0);
    }
  });
});
