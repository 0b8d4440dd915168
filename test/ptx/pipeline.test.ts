/**
 * Loads that feed dots in loops are copied ahead (cp.async): the results are those of the interpreter, for every depth, number of turns and edge,
 * without a race, a missing wait or a bank conflict; and the loop holds one barrier and no load. Operands are small integers: all
 * sums are exact, so results are equal.
 */
import { describe, expect, it } from "vitest";
import { compilePtx, type PtxOptions } from "../../src/codegen/ptx/index.ts";
import { kernel, type Scalar, type Tile, tl } from "../../src/dsl/index.ts";
import type { DType } from "../../src/ir/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { f32ToF16Bits } from "../../src/support/index.ts";
import { randomData } from "../support/random-data.ts";
import { runBoth, withoutConflicts } from "./emulator.ts";
import { instructionsOfLoops } from "./loops.ts";

const matmul = kernel({
  name: "matmul",
  constants: { M: 64, N: 32, K: 32, TRANSPOSED: false },
  params: { a: tl.tensor("T", 2), b: tl.tensor("T", 2), out: tl.tensor("f32", 2) },
  grid: () => [1],
  body(p, { M, N, K, TRANSPOSED }) {
    const { acc } = tl.loop({ to: p.a.shape(1), step: K }, { acc: tl.zeros([M, N], "f32") }, (k, s) => {
      const b = TRANSPOSED ? p.b.load([0, k], [N, K]).trans() : p.b.load([k, 0], [K, N]);
      return { acc: tl.dot(p.a.load([0, k], [M, K]), b, s.acc) };
    });
    p.out.store([0, 0], acc);
  },
});

/** The sum of aᵀa over tiles of 64 rows, whose blocks of BLOCK rows lie where the table says. */
const gathered = kernel({
  name: "gathered",
  constants: { BLOCK: 16 },
  params: { table: tl.tensor("i32", 1), a: tl.tensor("f16", 3), turns: tl.scalar("i32"), out: tl.tensor("f32", 2) },
  grid: () => [1],
  body(p, { BLOCK }) {
    const tile = (turn: Scalar<"i32">) => {
      if (BLOCK === 64) return p.a.at(p.table.load([turn], [])).load([0, 0], [64, 64], { inBounds: [true, true] });
      const block = tl.load(p.table.pointer.add(tl.arange(0, 64 / BLOCK).add(turn.mul(64 / BLOCK))));
      const row = block.mul(BLOCK).perRow().add(tl.arange(0, BLOCK).perColumn()).reshape([64]);
      const offsets = row.to("i64").mul(p.a.stride(1)).perRow();
      return tl.load(p.a.pointer.add(offsets).add(tl.arange(0, 64).perColumn()));
    };
    const { acc } = tl.loop({ to: p.turns }, { acc: tl.zeros([64, 64], "f32") }, (turn, s) => {
      const a = tile(turn) as Tile<"f16", readonly [64, 64]>;
      return { acc: tl.dot(a.trans(), a, s.acc) };
    });
    p.out.store([0, 0], acc);
  },
});

const trace = (constants: Record<string, number | boolean>, T: DType) =>
  optimize(matmul.trace({ constants: constants as never, dtypes: { T } }));

function problem(T: DType, [m, n, k]: readonly [number, number, number], transposed = false) {
  return {
    a: { data: randomData(T, m * k, 1, true), shape: [m, k] },
    b: { data: randomData(T, k * n, 2, true), shape: transposed ? [n, k] : [k, n] },
    out: { data: new Float32Array(m * n), shape: [m, n] },
  };
}

describe("copies ahead in the emulator", () => {
  for (const numStages of [1, 2, 3, 4])
    it(`loops of 0, 1, 2 and 5 turns, ${numStages} stages`, () => {
      for (const turns of [0, 1, 2, 5])
        for (const transposed of [false, true]) {
          const launch = { arguments: problem("f16", [64, 32, 32 * turns], transposed) };
          const { expected, actual } = runBoth(trace({ TRANSPOSED: transposed }, "f16"), launch, { numStages });
          expect(actual.out).toEqual(expected.out);
        }
    });

  it("edges: what lies outside becomes 0, whatever part of a vector exists", () => {
    // Rows stay aligned: strides are multiples of 8 elements, as the kernel's facts promise.
    for (const [m, n, k] of [
      [50, 30, 70],
      [64, 32, 65],
      [1, 1, 7],
      [63, 25, 96],
    ] as const)
      for (const numWarps of [1, 4]) {
        const stride = (length: number) => Math.ceil(length / 8) * 8;
        const view = (rows: number, columns: number, seed: number) => ({
          data: randomData("bf16", rows * stride(columns), seed, true),
          shape: [rows, columns],
          strides: [stride(columns), 1],
        });
        const out = { data: new Float32Array(m * stride(n)), shape: [m, n], strides: [stride(n), 1] };
        const launch = { arguments: { a: view(m, k, 3), b: view(k, n, 4), out } };
        const { expected, actual } = runBoth(trace({}, "bf16"), launch, { numWarps });
        expect(actual.out).toEqual(expected.out);
      }
  });

  it("a loop in a loop: a tile is not overwritten before all have read it", () => {
    const nested = kernel({
      name: "nested",
      params: { a: tl.tensor("f16", 3), out: tl.tensor("f32", 2) },
      grid: () => [1],
      body(p) {
        const zero = { acc: tl.zeros([64, 64], "f32") };
        const { acc } = tl.loop({ to: p.a.shape(0) }, zero, (page, outer) =>
          tl.loop({ to: p.a.shape(1), step: 16 }, outer, (row, s) => {
            const a = p.a.at(page).load([row, 0], [16, 64]);
            return { acc: tl.dot(a.trans(), a, s.acc) };
          }),
        );
        p.out.store([0, 0], acc);
      },
    });
    // With warps in any order, for numbers of turns that end in every place of the ring.
    for (const [turns, seed] of [
      [1, 1],
      [2, 2],
      [4, 3],
      [5, 4],
      [5, 5],
    ] as const) {
      const a = { data: randomData("f16", 3 * 16 * turns * 64, 7, true), shape: [3, 16 * turns, 64] };
      const launch = { arguments: { a, out: { data: new Float32Array(64 * 64), shape: [64, 64] } } };
      const { expected, actual } = runBoth(optimize(nested.trace({})), launch, { seed });
      expect(actual.out).toEqual(expected.out);
    }
  });

  it("tiles that a table tells of, read no further than the loop runs", () => {
    for (const TURNS of [0, 1, 2, 3, 5])
      for (const BLOCK of [16, 64])
        for (const numStages of [2, 3]) {
          const pages = Math.max(1, (TURNS * 64) / BLOCK);
          const launch = {
            arguments: {
              // One entry more would lie outside.
              table: { data: Int32Array.from({ length: pages }, (_, i) => (i * 7 + 3) % 20), shape: [pages] },
              a: { data: randomData("f16", 20 * BLOCK * 64, 9, true), shape: [20, BLOCK, 64] },
              turns: TURNS,
              out: { data: new Float32Array(64 * 64), shape: [64, 64] },
            },
          };
          const { expected, actual } = runBoth(optimize(gathered.trace({ constants: { BLOCK } })), launch, {
            numStages,
          });
          expect(actual.out).toEqual(expected.out);
        }
  });

  it("tf32 operands, which are rounded when they are read", () => {
    const kernel32 = kernel({
      name: "matmul_tf32",
      params: { a: tl.tensor("f32", 2), b: tl.tensor("f32", 2), out: tl.tensor("f32", 2) },
      grid: () => [1],
      body(p) {
        const { acc } = tl.loop({ to: p.a.shape(1), step: 32 }, { acc: tl.zeros([32, 32], "f32") }, (k, s) => ({
          acc: tl.dot(p.a.load([0, k], [32, 32]), p.b.load([k, 0], [32, 32]), s.acc, { precision: "tf32" }),
        }));
        p.out.store([0, 0], acc);
      },
    });
    const launch = { arguments: problem("f32", [32, 32, 96]) };
    const { expected, actual } = runBoth(optimize(kernel32.trace({})), launch);
    expect(actual.out).toEqual(expected.out);
    expect(compilePtx(optimize(kernel32.trace({})), { target: "sm_80" }).source).toContain("cp.async.ca");
  });

  it("masked loads through pointers", () => {
    const gathered = kernel({
      name: "pointers",
      params: { a: tl.pointer("f16"), out: tl.tensor("f32", 2), length: tl.scalar("i32") },
      grid: () => [1],
      body(p) {
        const row = tl.arange(0, 32).perRow();
        const column = tl.arange(0, 32).perColumn();
        const { acc } = tl.loop({ to: p.length, step: 32 }, { acc: tl.zeros([32, 32], "f32") }, (k, s) => {
          const at = row.mul(128).add(column.add(k));
          const tile = tl.load(p.a.add(at), { mask: row.lt(20) });
          return { acc: tl.dot(tile, tile.trans(), s.acc) };
        });
        p.out.store([0, 0], acc);
      },
    });
    const traced = optimize(gathered.trace({ facts: { a: { alignment: 16 } } }));
    const launch = {
      arguments: {
        a: { data: randomData("f16", 32 * 128, 5, true) },
        out: { data: new Float32Array(1024), shape: [32, 32] },
        length: 128,
      },
    };
    const { expected, actual } = runBoth(traced, launch);
    expect(actual.out).toEqual(expected.out);
    expect(compilePtx(traced, { target: "sm_80" }).source).toContain("cp.async.cg");
  });

  it("tiles that are multiplied and carried, to the next turn or into a loop of this one", () => {
    const carrying = kernel({
      name: "carrying",
      params: { a: tl.tensor("f16", 2), out: tl.tensor("f32", 2) },
      constants: { INTO_LOOP: false },
      grid: () => [1],
      body(p, { INTO_LOOP }) {
        const zeros = { sums: tl.zeros([32, 32], "f32"), before: tl.zeros([32, 32], "f16") };
        const { sums } = tl.loop({ to: p.a.shape(0), step: 32 }, zeros, (row, s) => {
          const tile: Tile<"f16", readonly [32, 32]> = p.a.load([row, 0], [32, 32]);
          const product = tl.dot(tile, s.before.trans(), s.sums);
          if (!INTO_LOOP) return { sums: product, before: tile };
          return tl.loop({ to: 2 }, { sums: product, before: tile }, (_, t) => ({
            sums: tl.dot(t.before, t.before, t.sums),
            before: t.before.neg(),
          }));
        });
        p.out.store([0, 0], sums);
      },
    });
    const a = Uint16Array.from({ length: 96 * 32 }, (_, i) => f32ToF16Bits(((i * 7919) % 7) - 3));
    for (const INTO_LOOP of [false, true]) {
      const traced = optimize(carrying.trace({ constants: { INTO_LOOP } }));
      const launch = {
        arguments: {
          a: { data: a, shape: [96, 32] },
          out: { data: new Float32Array(1024), shape: [32, 32] },
        },
      };
      const { expected, actual } = runBoth(traced, launch);
      expect(actual.out).toEqual(expected.out);
      expect(compilePtx(traced, { target: "sm_80" }).source).toContain("cp.async");
    }
  });

  it("tiles that the program has written in an earlier turn of an outer loop: all threads have done so before the first copy", () => {
    const rewritten = kernel({
      name: "rewritten",
      params: { a: tl.tensor("f16", 2), out: tl.tensor("f32", 2) },
      grid: () => [1],
      body(p) {
        const { sums } = tl.loop({ to: 3 }, { sums: tl.zeros([32, 32], "f32") }, (_, outer) => {
          const next = tl.loop({ to: p.a.shape(0), step: 32 }, outer, (row, s) => {
            const tile = p.a.load([row, 0], [32, 32]);
            return { sums: tl.dot(tile, tile.trans(), s.sums) };
          });
          // The threads exchange what they store, so there is a barrier before the store already.
          p.a.store([0, 0], next.sums.minimum(3).to("f16").trans());
          return next;
        });
        p.out.store([0, 0], sums);
      },
    });
    const traced = optimize(rewritten.trace());
    const launch = {
      arguments: {
        a: { data: new Uint16Array(96 * 32).fill(f32ToF16Bits(1)), shape: [96, 32] },
        out: { data: new Float32Array(1024), shape: [32, 32] },
      },
    };
    const { source } = compilePtx(traced, { target: "sm_80" });
    const turn = source.slice(source.search(/^\$loop_\d+:/m));
    expect(turn.indexOf("cp.async")).toBeGreaterThan(turn.indexOf("bar.sync"));
    const { expected, actual } = runBoth(traced, launch);
    expect(actual.out).toEqual(expected.out);
  });

  it("copies of the last turn, which bring zeros, have come before others use their memory", () => {
    const summing = kernel({
      name: "summing",
      params: { a: tl.tensor("f16", 2), b: tl.tensor("f16", 2), out: tl.tensor("f32", 2) },
      grid: () => [1],
      body(p) {
        const zeros = { product: tl.zeros([128, 128], "f32"), sums: tl.zeros([128], "f32") };
        // The sums of columns are exchanged after the copies were issued, and the whole once more after the loop.
        const { product, sums } = tl.loop({ to: 256, step: 128 }, zeros, (row, s) => {
          const [a, b] = [p.a.load([row, 0], [128, 128]), p.b.load([row, 0], [128, 128])];
          const rows = s.sums.add(tl.sum(b.to("f32").mul(2), 1));
          const product = tl.dot(b, a, tl.dot(a, b.trans(), s.product));
          return { product, sums: rows.add(tl.sum(a.to("f32"), 0)) };
        });
        p.out.store([0, 0], product.add(sums.perRow()));
      },
    });
    const data = Uint16Array.from({ length: 256 * 128 }, (_, i) => f32ToF16Bits((i % 3) - 1));
    const launch = {
      arguments: {
        a: { data, shape: [256, 128] },
        b: { data, shape: [256, 128] },
        out: { data: new Float32Array(128 * 128), shape: [128, 128] },
      },
    };
    const { expected, actual } = runBoth(optimize(summing.trace()), launch);
    expect(actual.out).toEqual(expected.out);
  });

  it("loads with any bound in the mask: the elements that exist are counted without passing the largest integer", () => {
    const limited = kernel({
      name: "limited",
      params: { a: tl.pointer("f16"), out: tl.tensor("f32", 2), start: tl.scalar("i32"), limit: tl.scalar("i32") },
      grid: () => [1],
      body(p) {
        const row = tl.arange(0, 32).perRow();
        const column = tl.arange(0, 32).perColumn();
        const { acc } = tl.loop({ to: 128, step: 32 }, { acc: tl.zeros([32, 32], "f32") }, (k, s) => {
          const at = column.add(k);
          const tile = tl.load(p.a.add(row.mul(128).add(at)), { mask: at.add(p.start).lt(p.limit) });
          return { acc: tl.dot(tile, tile.trans(), s.acc) };
        });
        p.out.store([0, 0], acc);
      },
    });
    const traced = optimize(limited.trace({ facts: { a: { alignment: 16 } } }));
    expect(compilePtx(traced, { target: "sm_80" }).source).toMatch(/cp\.async\.cg[^;]*, 16, %/);
    const [least, most] = [-(2 ** 31), 2 ** 31 - 1];
    for (const [start, limit] of [
      [0, 37],
      [0, most],
      [0, least],
      [-64, 2 ** 30],
      [-64, most],
      [most - 127, most - 30],
      [least, -5],
      [least, least + 77],
    ] as const) {
      const launch = {
        arguments: {
          a: { data: randomData("f16", 32 * 128, 5, true) },
          out: { data: new Float32Array(1024), shape: [32, 32] },
          start,
          limit,
        },
      };
      const { expected, actual } = runBoth(traced, launch);
      expect(actual.out).toEqual(expected.out);
    }
  });

  it("two dots with room for one place of each tile: copies in the middle of the turn", () => {
    const chained = kernel({
      name: "chained",
      params: { q: tl.tensor("f16", 2), k: tl.tensor("f16", 2), v: tl.tensor("f16", 2), out: tl.tensor("f32", 2) },
      grid: () => [1],
      body(p) {
        const q = p.q.load([0, 0], [64, 128]);
        const { acc } = tl.loop({ to: p.k.shape(0), step: 64 }, { acc: tl.zeros([64, 128], "f32") }, (n, s) => {
          const scores = tl.dot(q, p.k.load([n, 0], [64, 128]).trans()).mul(2 ** -6);
          return { acc: tl.dot(scores.to("f16"), p.v.load([n, 0], [64, 128]), s.acc) };
        });
        p.out.store([0, 0], acc);
      },
    });
    const ones = (rows: number, seed: number) => {
      const data = randomData("f16", rows * 128, seed, true);
      // 0 and ±1, so that scores of 128 products are integers that f16 holds.
      for (let i = 0; i < data.length; i++) data[i] = [0, 0x3c00, 0xbc00][Number(data[i]) % 3]!;
      return { data, shape: [rows, 128] };
    };
    const launch = {
      arguments: {
        q: ones(64, 1),
        k: ones(192, 2),
        v: ones(192, 3),
        out: { data: new Float32Array(64 * 128), shape: [64, 128] },
      },
    };
    // 2 warps: room for four blocks a multiprocessor leaves 41 KiB for tiles of 16 KiB.
    const { expected, actual, report } = runBoth(optimize(chained.trace({})), launch, { numWarps: 2 });
    expect(actual.out).toEqual(expected.out);
    expect(withoutConflicts(report)).toBe(true);
  });
});

describe("the loop of a pipeline", () => {
  const loopOf = (options: Partial<PtxOptions> = {}) =>
    instructionsOfLoops(compilePtx(trace({}, "f16"), { target: "sm_80", ...options }).source)[0]!;

  it("has one barrier and one wait, and loads nothing to registers", () => {
    const loop = loopOf();
    const count = (prefix: string) => loop.filter((opcode) => opcode.startsWith(prefix)).length;
    expect(count("bar.")).toBe(1);
    expect(count("cp.async.wait_group")).toBe(1);
    expect(count("cp.async.commit_group")).toBe(1);
    // 64 x 32 and 32 x 32 halves by 128 threads, 16 bytes each.
    expect(count("cp.async.cg")).toBe(2 + 1);
    expect(count("ld.global") + count("st.shared")).toBe(0);
  });

  it("looks up where the next tile lies once a turn, after the copies of this one", () => {
    for (const [BLOCK, lookup] of [
      [64, "ld.global.b32"],
      [16, "ld.global.v4.b32"],
    ] as const) {
      const { source } = compilePtx(optimize(gathered.trace({ constants: { BLOCK } })), { target: "sm_80" });
      const loop = instructionsOfLoops(source)[0]!;
      expect(loop.filter((opcode) => opcode.startsWith("ld.global"))).toEqual([lookup]);
      expect(loop.indexOf(lookup)).toBeGreaterThan(loop.indexOf("cp.async.commit_group"));
      expect(loop.filter((opcode) => opcode.startsWith("bar."))).toHaveLength(1);
    }
  });

  it("keeps as many turns in shared memory as asked for, and none ahead for 1", () => {
    for (const numStages of [2, 3, 4]) {
      const { metadata } = compilePtx(trace({}, "f16"), { target: "sm_80", numStages });
      expect(metadata.sharedMemory.static).toBe(numStages * (64 + 32) * 32 * 2);
    }
    expect(loopOf({ numStages: 1 }).some((opcode) => opcode.startsWith("cp.async"))).toBe(false);
  });

  it("takes all of shared memory for tiles that two warps cannot hold in registers", () => {
    const wide = trace({ M: 16, N: 256, K: 128 }, "f16");
    const { metadata, source } = compilePtx(wide, { target: "sm_80", numWarps: 2, numStages: 2 });
    // Four blocks of two warps fill the registers, so each would have a fourth of 163 KiB; one turn's tiles are 68 KiB.
    expect(metadata.sharedMemory.dynamic).toBe(2 * (16 + 256) * 128 * 2);
    expect(instructionsOfLoops(source)[0]!.filter((opcode) => opcode.startsWith("ld.global"))).toEqual([]);
  });

  it("is made where the loop writes something else than what it loads, and not where it may write that", () => {
    const writing = (target: "a" | "out") =>
      kernel({
        name: "writing",
        params: { a: tl.tensor("f32", 2), b: tl.tensor("f16", 2), out: tl.tensor("f32", 2), lock: tl.pointer("i32") },
        constants: { ORDERED: false },
        grid: () => [1],
        body(p, { ORDERED }) {
          tl.loop({ to: p.b.shape(0), step: 16 }, {}, (row) => {
            const b = p.b.load([row, 0], [16, 16]);
            const a = p.a.load([row, 0], [16, 16]).to("f16");
            p[target].store([row, 0], tl.dot(a, b));
            // Whoever waits for another program must see what that wrote.
            if (ORDERED) tl.atomicAdd(p.lock, 1);
            return {};
          });
        },
      });
    const copies = (target: "a" | "out", ORDERED = false): number => {
      const kernel = optimize(writing(target).trace({ constants: { ORDERED } }));
      const [loop] = instructionsOfLoops(compilePtx(kernel, { target: "sm_80" }).source);
      return loop!.filter((opcode) => opcode.startsWith("cp.async.c") && !opcode.includes("commit")).length;
    };
    // 128 threads: 16 x 16 of f16 are 4 bytes a thread, of f32 8.
    expect([copies("out"), copies("a"), copies("out", true)]).toEqual([2, 1, 0]);
  });
});
