/** Products whose tiles or whose depth are shared out unevenly: Stream-K (arXiv 2301.03598), where programs add up parts, and experts that add rows up. */
import { expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const streamK = kernel({
  name: "stream_k",
  constants: { M: 32, N: 32, K: 32, PROGRAMS: 5 },
  params: { a: tl.tensor("T", 2), b: tl.tensor("T", 2), out: tl.tensor("f32", 2) },
  grid: (_, { PROGRAMS }) => [PROGRAMS],
  body(p, { M, N, K, PROGRAMS }) {
    const [across, deep] = [tl.cdiv(p.b.shape(1), N), tl.cdiv(p.a.shape(1), K)];
    const steps = tl.cdiv(p.a.shape(0), M).mul(across).mul(deep);
    const each = tl.cdiv(steps, PROGRAMS);
    const begin = tl.programId(0).mul(each);
    const end = begin.add(each).minimum(steps);
    tl.while(
      { at: begin },
      ({ at }) => at.lt(end),
      ({ at }) => {
        const tile = at.div(deep);
        const [first, stop] = [tile.mul(deep), tile.add(1).mul(deep).minimum(end)];
        const [row, column] = [tile.div(across).mul(M), tile.rem(across).mul(N)];
        const range = { from: at.sub(first), to: stop.sub(first) };
        const { sums } = tl.loop(range, { sums: tl.zeros([M, N], "f32") }, (step, { sums }) => {
          const k = step.mul(K);
          return { sums: tl.dot(p.a.load([row, k], [M, K]), p.b.load([k, column], [K, N]), sums) };
        });
        const [rows, columns] = [row.add(tl.arange(0, M)), column.add(tl.arange(0, N))];
        const mask = rows
          .lt(p.out.shape(0))
          .perRow()
          .and(columns.lt(p.out.shape(1)).perColumn());
        const places = p.out.pointer
          .add(rows.to("i64").mul(p.out.stride(0)))
          .perRow()
          .add(columns.perColumn());
        tl.atomicAdd(places, sums, { mask });
        return { at: stop };
      },
    );
  },
});

/** Of a block of rows, each a token (or none, -1) with a weight, all for one expert. */
const experts = kernel({
  name: "experts_add_up",
  constants: { M: 16, N: 32, K: 32 },
  params: {
    x: tl.tensor("T", 2),
    weight: tl.tensor("T", 3),
    tokens: tl.tensor("i32", 1),
    shares: tl.tensor("f32", 1),
    experts: tl.tensor("i32", 1),
    out: tl.tensor("f32", 2),
    counts: tl.pointer("i32"),
  },
  grid: (p) => [p.experts.shape(0)],
  body(p, { M, N, K }) {
    const block = tl.programId(0);
    const expert = tl.load(p.experts.pointer.add(block));
    const token = p.tokens.load([block.mul(M)], [M]);
    const used = token.ge(0);
    const from = p.x.pointer.add(token.maximum(0).to("i64").mul(p.x.stride(0)));
    const { sums } = tl.loop({ to: p.x.shape(1), step: K }, { sums: tl.zeros([M, N], "f32") }, (k, { sums }) => {
      const columns = k.add(tl.arange(0, K));
      const mask = used.perRow().and(columns.lt(p.x.shape(1)).perColumn());
      const rows = tl.load(from.perRow().add(columns.perColumn()), { mask, other: 0 });
      return { sums: tl.dot(rows, p.weight.at(expert).load([k, 0], [K, N]), sums) };
    });
    const to = p.out.pointer.add(token.maximum(0).to("i64").mul(p.out.stride(0)));
    const columns = tl.arange(0, N);
    const mask = used.perRow().and(columns.lt(p.out.shape(1)).perColumn());
    tl.atomicAdd(to.perRow().add(columns.perColumn()), sums.mul(p.shares.load([block.mul(M)], [M]).perRow()), { mask });
    tl.atomicAdd(p.counts.add(token.maximum(0)), 1, { mask: used });
    tl.atomicAdd(p.counts.add(token.maximum(0)), 1, { mask: used });
  },
});

onEveryTarget((device) => {
  it("six tiles of depth 4 by five programs", async () => {
    const [M, K, N] = [40, 128, 72];
    const [a, b] = [numbers("f16", [M, K], 1), numbers("f16", [K, N], 2)];
    const expected = new Terms(M * N);
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++)
        for (let k = 0; k < K; k++) expected.add(m * N + n, a.values[m * K + k]! * b.values[k * N + n]!);
    const out = device.zeros([M, N], "f32");
    device.launch(streamK, { a: a.on(device), b: b.on(device), out });
    await expectClose(out, expected, K + 5);
  });

  it("tokens that several experts compute", async () => {
    const [T, K, N, M] = [9, 40, 32, 16];
    const [x, weight, shares] = [numbers("f16", [T, K], 1), numbers("f16", [2, K, N], 2), numbers("f32", [3 * M], 3)];
    const chosen = [0, 1, 1];
    const tokens = Int32Array.from({ length: 3 * M }, (_, i) => (i % 3 === 2 ? -1 : (5 * i) % T));
    const expected = new Terms(T * N);
    const counts = new Array<number>(T).fill(0);
    tokens.forEach((token, i) => {
      if (token < 0) return;
      counts[token]! += 2;
      const matrix = chosen[Math.floor(i / M)]! * K;
      for (let n = 0; n < N; n++)
        for (let k = 0; k < K; k++)
          expected.add(
            token * N + n,
            x.values[token * K + k]! * weight.values[(matrix + k) * N + n]! * shares.values[i]!,
          );
    });
    const [out, counted] = [device.zeros([T, N], "f32"), device.zeros([T], "i32")];
    const given = { x: x.on(device), weight: weight.on(device), shares: shares.on(device) };
    const integers = (list: ArrayLike<number>) =>
      device.tensor(Int32Array.from(list), { shape: [list.length], dtype: "i32" });
    const lists = { tokens: integers(tokens), experts: integers(chosen) };
    device.launch(experts, { ...given, ...lists, out, counts: counted });
    await expectClose(out, expected, K + 16);
    expect([...((await counted.read()) as Int32Array)]).toEqual(counts);
  });
});

it("is a pipelined product in both, and sums into memory wait for no other", () => {
  for (const [definition, turns] of [
    [streamK, 4],
    [experts, 3],
  ] as const) {
    const { loops, all } = ptxOf(definition, { dtypes: { T: "f16" } });
    expect([loops[0]!(/^bar/), loops[0]!(/^(ld|st)\./)]).toEqual([1, 0]);
    expect(loops[0]!(/^cp\.async\.c[ag]\.shared/)).toBeLessThan(turns);
    // Besides the turn's one: before a tile's first copies in stream-K.
    expect(all(/^bar/)).toBeLessThanOrEqual(2);
  }
});
