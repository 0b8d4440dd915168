/**
 * Over paged caches, tiles in which no query sees a key are never visited, whatever the splits: every query-key product that the split kernel makes is
 * counted in the interpreter and compared with the tiles that the definition says hold something. And splits share the work evenly.
 */
import { describe, expect, it } from "vitest";
import { prepare } from "../../src/interpreter/index.ts";
import { attentionSplit, dense, paged, withPackedQueries, withWindow } from "../../src/kernels/index.ts";
import { sizeOf } from "./attention-errors.ts";
import { cumulative } from "./attention-variants-cases.ts";

const [BLOCK_M, BLOCK_N, DIM, PAGE] = [16, 32, 16, 16];

interface Case {
  readonly contexts: readonly number[];
  /** Of each sequence: packed, or as many of each. */
  readonly queries: readonly number[] | number;
  readonly group: number;
  readonly splits: number;
  readonly left: number;
  readonly sinkTokens: number;
}

/** Runs the split kernel: how many dots it executes, two for each tile that it visits, and which splits of the first row have seen a key. */
function run({ contexts, queries, group, splits, left, sinkTokens }: Case): { dots: number; busy: boolean[] } {
  const variant = withWindow(paged(dense));
  const blocks = { BLOCK_M, BLOCK_N, HEAD_DIM: DIM, VALUE_DIM: DIM, PAGE_SIZE: PAGE, PACK_HEADS: true };
  const constants = { ...blocks, CAUSAL: true, SINK_TOKENS: sinkTokens > 0 };
  const packed = typeof queries !== "number";
  const kernel = attentionSplit<typeof constants>(packed ? withPackedQueries(variant) : variant).trace({
    constants,
    dtypes: { T: "f32" },
  });
  // A multiple of 4: by default, rows are taken to be aligned.
  const columns = 4 * Math.ceil(Math.max(...contexts) / PAGE / 4);
  const [batch, count] = packed ? [1, queries.reduce((a, b) => a + b)] : [contexts.length, queries];
  const zeros = (...shape: readonly number[]) => ({ data: new Float32Array(sizeOf(shape)), shape });
  const integers = (values: readonly number[], shape: readonly number[] = [values.length]) => ({
    data: Int32Array.from(values),
    shape,
  });
  const cache = zeros(1, 1, PAGE, DIM);
  const partial = zeros(splits, batch, 1, count * group, DIM + 4);
  const given = {
    q: zeros(batch, group, count, DIM),
    k: cache,
    v: cache,
    contextLengths: integers(contexts),
    blockTables: integers(new Array(contexts.length * columns).fill(0), [contexts.length, columns]),
    partial,
    ...(packed && { queryStarts: integers(cumulative(queries)) }),
    scale: 1,
    windowLeft: left,
    windowRight: 0,
    sinkTokens,
  };
  const { counts } = prepare(kernel, { nan: false, undefinedValues: false }).run({ arguments: given });
  const lse = (split: number) => partial.data[(partial.data.length / splits) * split + DIM]!;
  return { dots: counts.dot ?? 0, busy: Array.from({ length: splits }, (_, split) => lse(split) > -Infinity) };
}

/** Tiles of BLOCK_M rows, which are the queries of a sequence in all heads of the group, by BLOCK_N keys, for each run of keys in which one is seen. */
function tiles({ contexts, queries, group, left, sinkTokens }: Case): number {
  let visited = 0;
  for (const [b, keys] of contexts.entries()) {
    const count = typeof queries === "number" ? queries : queries[b]!;
    const distance = (row: number, n: number) => keys - count + Math.floor(row / group) - n;
    const runs = [
      (row: number, n: number) => distance(row, n) >= 0 && n < sinkTokens,
      (row: number, n: number) => distance(row, n) >= 0 && distance(row, n) <= left && n >= sinkTokens,
    ];
    for (let row = 0; row < count * group; row += BLOCK_M)
      for (let n = 0; n < keys; n += BLOCK_N)
        for (const sees of runs) {
          let seen = false;
          for (let r = row; r < Math.min(row + BLOCK_M, count * group); r++)
            for (let key = n; key < Math.min(n + BLOCK_N, keys); key++) seen ||= sees(r, key);
          if (seen) visited++;
        }
  }
  return visited;
}

describe("paged attention with a window", () => {
  it.each<[string, Omit<Case, "splits">]>([
    ["one query a sequence", { contexts: [500, 90, 30], queries: 1, group: 6, left: 70, sinkTokens: 0 }],
    ["a chunk of queries", { contexts: [300, 41], queries: 40, group: 2, left: 50, sinkTokens: 0 }],
    ["sink tokens", { contexts: [400, 20], queries: 3, group: 6, left: 33, sinkTokens: 5 }],
    ["packed queries", { contexts: [300, 80, 40, 9], queries: [1, 30, 0, 9], group: 3, left: 60, sinkTokens: 0 }],
  ])("%s: every tile that is seen, once, and no other", (_, problem) => {
    const all = { ...problem, splits: 1, left: 10_000 };
    expect(tiles(all)).toBeGreaterThan(tiles({ ...problem, splits: 1 }));
    expect(run(all).dots).toBe(2 * tiles(all));
    for (const splits of [1, 2, 5]) expect(run({ ...problem, splits }).dots).toBe(2 * tiles({ ...problem, splits }));
  });

  it("shares out what the window shows, not the whole context", () => {
    const problem = { contexts: [3000], queries: 1, group: 6, left: 223, sinkTokens: 0, splits: 4 };
    expect(run(problem).busy).toEqual([true, true, true, true]);
  });
});
