/**
 * Loops that load, compute, multiply and store in random combinations, as PTX in the emulator, which looks for races and missing waits: what is copied ahead,
 * read back, read twice, transposed, or stored beside. Small integers, so that every order of sums gives the same.
 */
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { kernel, type Tile, tl } from "../../src/dsl/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { runBoth } from "../ptx/emulator.ts";
import { randomData } from "../support/random-data.ts";

type Matrix = Tile<"f16", readonly [number, number]>;
type State = { readonly sums: Tile<"f32", readonly [number, number]>; readonly rows: Tile<"f32", readonly [number]> };

/** What the loop's body does. */
interface Body {
  readonly weights: "i8" | "columns" | "rows, doubled";
  readonly left: "as it is" | "scaled" | "negated";
  /** Also adds up the rows of the left operand, stores it, and multiplies it again after a choice. */
  readonly added: boolean;
  readonly stored: boolean;
  readonly twice: boolean;
  readonly around: "nothing" | "a loop" | "a branch";
}

const stressed = (body: Body) =>
  kernel({
    name: "pipeline",
    constants: { M: 32, N: 32, K: 32 },
    params: {
      a: tl.tensor("f16", 2),
      b: tl.tensor("f16", 2),
      q: tl.tensor("i8", 2),
      scale: tl.tensor("f16", 1),
      out: tl.tensor("f32", 2),
      side: tl.tensor("f16", 2),
      rows: tl.tensor("f32", 1),
    },
    grid: (p, { M, N }) => [tl.cdiv(p.out.shape(0), M), tl.cdiv(p.out.shape(1), N)],
    body(p, constants) {
      const { M, N, K }: Record<string, number> = constants;
      const [row, column] = [tl.programId(0).mul(M!), tl.programId(1).mul(N!)];
      const loadWeights = (k: Parameters<typeof p.b.load>[0][0]): Matrix => {
        if (body.weights === "i8") return p.q.load([k, column], [K!, N!]).to("f16");
        const b: Matrix = p.b.load([column, k], [N!, K!]);
        return (body.weights === "columns" ? b : b.mul(2)).trans();
      };
      const start: State = { sums: tl.zeros([M!, N!], "f32"), rows: tl.zeros([M!], "f32") };
      const inner = (from: State): State =>
        tl.loop({ to: p.a.shape(1), step: K! }, from, (k, { sums, rows }) => {
          const loaded: Matrix = p.a.load([row, k], [M!, K!]);
          const a: Matrix =
            body.left === "scaled"
              ? loaded.mul(p.scale.load([k], [K!]).perColumn())
              : body.left === "negated"
                ? loaded.neg()
                : loaded;
          const weights = loadWeights(k);
          if (body.stored) p.side.store([row, k], a);
          const product = tl.dot(a, weights, sums);
          const seen = tl.arange(0, M!).perRow().ge(3);
          return {
            sums: body.twice ? tl.dot(tl.where(seen, a, 0), weights, product) : product,
            rows: body.added ? rows.add(tl.sum(loaded.to("f32"), 1)) : rows,
          };
        });
      const { sums, rows } =
        body.around === "a loop"
          ? tl.loop({ to: 2 }, start, (_, state) => inner(state))
          : body.around === "a branch"
            ? tl.if(
                tl.programId(0).ge(0),
                () => inner(start),
                () => start,
              )
            : inner(start);
      p.out.store([row, column], sums);
      p.rows.store([row], rows);
    },
  });

/** f16 patterns of 0, 1 and -1. */
const signs = [0, 0x3c00, 0xbc00];
const halves = (count: number, seed: number) => {
  const data = randomData("f16", count, seed, true);
  for (let i = 0; i < data.length; i++) data[i] = signs[Math.abs(Number(data[i])) % 3]!;
  return data as Uint16Array;
};

const cases: readonly (readonly [Body, M: number, N: number, K: number, depth: number, stages: number])[] = [
  [{ weights: "i8", left: "as it is", added: true, stored: false, twice: false, around: "nothing" }, 32, 32, 32, 96, 3],
  [
    { weights: "columns", left: "scaled", added: true, stored: true, twice: true, around: "nothing" },
    64,
    16,
    16,
    72,
    2,
  ],
  [
    { weights: "rows, doubled", left: "negated", added: false, stored: true, twice: false, around: "a loop" },
    16,
    64,
    64,
    136,
    4,
  ],
  [{ weights: "i8", left: "scaled", added: false, stored: true, twice: true, around: "a branch" }, 32, 16, 64, 40, 3],
  [
    { weights: "columns", left: "negated", added: true, stored: false, twice: true, around: "a loop" },
    16,
    16,
    32,
    200,
    3,
  ],
  [
    { weights: "rows, doubled", left: "as it is", added: true, stored: true, twice: true, around: "a branch" },
    64,
    32,
    16,
    16,
    2,
  ],
  [{ weights: "i8", left: "negated", added: true, stored: true, twice: true, around: "a loop" }, 32, 64, 16, 0, 3],
];

describe("pipelines of loops that do more than multiply", () => {
  it.each(cases)("%o, tiles of %i x %i x %i, %i in all, %i stages", (body, M, N, K, depth, numStages) => {
    const [rows, columns] = [M + 9, N + 8];
    const alignment = depth % 8 === 0 ? 16 : 4;
    const along = { alignment, unitStride: true };
    const facts = { a: along, b: along, side: along, q: { alignment: columns % 16 === 0 ? 16 : 8, unitStride: true } };
    const traced = optimize(stressed(body).trace({ constants: { M, N, K }, facts }));
    expect(compilePtx(traced, { target: "sm_80", numStages }).source).toMatch(/cp\.async\.c[ag]/);
    const q = Int8Array.from({ length: depth * columns }, (_, i) => ((i * 7) % 5) - 2);
    const launch = {
      arguments: {
        a: { data: halves(rows * depth, 1), shape: [rows, depth] },
        b: { data: halves(columns * depth, 2), shape: [columns, depth] },
        q: { data: q, shape: [depth, columns] },
        scale: { data: halves(depth, 3), shape: [depth] },
        out: { data: new Float32Array(rows * columns), shape: [rows, columns] },
        side: { data: new Uint16Array(rows * depth), shape: [rows, depth] },
        rows: { data: new Float32Array(rows), shape: [rows] },
      },
      grid: [2, 2, 1] as const,
    };
    const { expected, actual } = runBoth(traced, launch, { numStages, checks: { races: false, nan: false } });
    expect(actual).toEqual(expected);
  });
});
