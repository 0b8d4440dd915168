/** Conditional updates, `where(changes, f(x), x)`: warps that change nothing skip them, and what comes out is the same. */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { kernel, tl } from "../../src/dsl/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { randomData } from "../support/random-data.ts";
import { sameData } from "../support/random-kernel.ts";
import { runBoth } from "./emulator.ts";

/**
 * In turn i, rows whose limit is above i are multiplied by it and the others kept; every row then gets 1. "again": what was kept is read once more.
 * "outer": a loop within the turn makes the same update twice, of what the outer one carries.
 */
const updating = (rows: number, columns: number, kind: "once" | "again" | "outer") =>
  optimize(
    kernel({
      name: "updating",
      params: {
        x: tl.tensor("f32", 2),
        limits: tl.tensor("f32", 1),
        out: tl.tensor("f32", 2),
        turns: tl.scalar("i32"),
      },
      body(p) {
        const limits = p.limits.load([0], [rows]);
        const { x } = tl.loop({ to: p.turns }, { x: p.x.load([0, 0], [rows, columns]) }, (i, s) => {
          const grows = limits.gt(i.to("f32")).perRow();
          const next = () => tl.where(grows, s.x.mul(limits.perRow()), s.x).add(1);
          if (kind === "outer")
            return { x: tl.loop({ to: 2 }, { y: s.x }, (_, inner) => ({ y: inner.y.add(next()) })).y };
          return { x: kind === "again" ? next().add(s.x) : next() };
        });
        p.out.store([0, 0], x);
      },
    }).trace(),
  );

const branches = (source: string): number => source.match(/vote\.sync\.any/g)?.length ?? 0;

describe("a conditional update", () => {
  it("is a branch where each condition is that of many elements of a thread", () => {
    const { source } = compilePtx(updating(8, 1024, "once"), { target: "sm_80" });
    expect(branches(source)).toBe(1);
    // Nothing is copied to be kept.
    expect(source).not.toMatch(/selp\.f32/);
  });

  it("is a selection where there are few", () => {
    const { source } = compilePtx(updating(8, 128, "once"), { target: "sm_80" });
    expect(branches(source)).toBe(0);
    expect(source).toMatch(/selp\.f32/);
  });
});

describe("conditional updates in the emulator", () => {
  for (const kind of ["once", "again", "outer"] as const)
    for (const columns of [128, 1024])
      it(`8 x ${columns}, ${kind}`, () => {
        const limits = Float32Array.from({ length: 8 }, (_, row) => [0, 1, 2, 0.5, 3][row % 5]!);
        for (const turns of [0, 1, 3]) {
          const { expected, actual } = runBoth(updating(8, columns, kind), {
            arguments: {
              x: { data: randomData("f32", 8 * columns, 5, false), shape: [8, columns] },
              limits: { data: limits, shape: [8] },
              out: { data: new Float32Array(8 * columns), shape: [8, columns] },
              turns,
            },
          });
          expect(sameData("f32", actual.out!, expected.out!)).toBe(true);
        }
      });
});

/** Each turn's tile is multiplied, on tensor cores, and added to the rows whose limit is above the turn's number; `late`: these after the product. */
const reading = (late: boolean) =>
  optimize(
    kernel({
      name: "reading",
      params: { tiles: tl.tensor("f32", 2), limits: tl.tensor("f32", 1), out: tl.tensor("f32", 2) },
      body(p) {
        const limits = p.limits.load([0], [64]);
        const ones = tl.full([64, 64], 1, "f32");
        const { sums, product } = tl.loop(
          { to: p.tiles.shape(0), step: 64 },
          { sums: tl.zeros([64, 64], "f32"), product: tl.zeros([64, 64], "f32") },
          (k, s) => {
            const tile = p.tiles.load([k, 0], [64, 64]);
            const changed = s.sums.add(tile);
            const multiply = () => tl.dot(ones, tile, s.product, { precision: "tf32" });
            const early = late ? multiply() : undefined;
            const sums = tl.where(limits.gt(k.div(64).to("f32")).perRow(), changed, s.sums);
            return { sums, product: early ?? multiply() };
          },
        );
        p.out.store([0, 0], sums.sub(product));
      },
    }).trace(),
  );

describe("a conditional update of what is copied ahead", () => {
  for (const late of [false, true])
    for (const numWarps of [1, 4])
      it(`reads it when it has come and before the next one comes: ${numWarps} warps${late ? ", after the product" : ""}`, () => {
        // Small integers, which every order of sums adds up to the same.
        const tiles = Float32Array.from({ length: 5 * 64 * 64 }, (_, i) => ((i * 7919) % 17) - 8);
        const launch = {
          arguments: {
            tiles: { data: tiles, shape: [5 * 64, 64] },
            limits: { data: Float32Array.from({ length: 64 }, (_, row) => row % 6), shape: [64] },
            out: { data: new Float32Array(64 * 64), shape: [64, 64] },
          },
        };
        expect(compilePtx(reading(late), { target: "sm_80", numWarps }).source).toMatch(/cp\.async\.wait_group/);
        const { expected, actual } = runBoth(reading(late), launch, { numWarps });
        expect(actual.out).toEqual(expected.out);
      });
});
