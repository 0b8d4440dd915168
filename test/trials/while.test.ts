/** Loops whose number of turns the data decides: iteration until a tile has converged, walks along links, and searches. */
import { describe, expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { exact, expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

/** Kepler's equation E - e sin E = M by Newton's method, until no element of the tile moves. */
const kepler = kernel({
  name: "kepler",
  constants: { BLOCK: 128 },
  params: {
    anomaly: tl.tensor("f32", 1),
    out: tl.tensor("f32", 1),
    turns: tl.tensor("i32", 1),
    most: tl.scalar("i32"),
  },
  grid: (p, { BLOCK }) => [tl.cdiv(p.out.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const start = tl.programId(0).mul(BLOCK);
    const anomaly = p.anomaly.load([start], [BLOCK]);
    const from = { angle: anomaly, moved: tl.full([], 1, "f32"), turns: tl.full([], 0, "i32") };
    const { angle, turns } = tl.while(
      from,
      ({ moved }) => moved.gt(1e-6),
      ({ angle }, turn) => {
        const off = angle.sub(angle.sin().mul(0.5)).sub(anomaly);
        const step = off.div(tl.sub(1, angle.cos().mul(0.5)));
        return { angle: angle.sub(step), moved: tl.max(step.abs()), turns: turn.add(1) };
      },
      { most: p.most },
    );
    p.out.store([start], angle);
    p.turns.store([tl.programId(0)], turns);
  },
});

/** The sum along a linked list: each program walks its own, a pointer as state. */
const walk = kernel({
  name: "walk",
  constants: {},
  params: { next: tl.pointer("i32"), value: tl.pointer("i32"), heads: tl.tensor("i32", 1), sums: tl.tensor("i32", 1) },
  grid: (p) => [p.heads.shape(0)],
  body(p) {
    const start = { at: p.heads.load([tl.programId(0)], []), sum: tl.full([], 0, "i32") };
    const { sum } = tl.while(
      start,
      ({ at }) => at.ge(0),
      ({ at, sum }) => ({ at: tl.load(p.next.add(at)), sum: sum.add(tl.load(p.value.add(at))) }),
    );
    p.sums.store([tl.programId(0)], sum);
  },
});

/** How many numbers of a sorted row lie below each one asked for, by bisection of all at once; rows of several lengths in a loop. */
const search = kernel({
  name: "search",
  constants: { BLOCK: 64 },
  params: {
    sorted: tl.tensor("f32", 2),
    lengths: tl.tensor("i32", 1),
    asked: tl.tensor("f32", 1),
    out: tl.tensor("i32", 2),
  },
  grid: (p, { BLOCK }) => [tl.cdiv(p.asked.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const start = tl.programId(0).mul(BLOCK);
    const asked = p.asked.load([start], [BLOCK]);
    tl.loop({ to: p.lengths.shape(0) }, {}, (row) => {
      const zero = tl.zeros([BLOCK], "i32");
      const high = zero.add(p.lengths.load([row], []));
      const { low } = tl.while(
        { low: zero, high },
        ({ low, high }) => tl.any(low.lt(high)),
        ({ low, high }) => {
          const middle = low.add(high).shr(1);
          const open = low.lt(high);
          const value = tl.load(p.sorted.at(row).pointer.add(middle), { mask: open });
          const right = value.lt(asked);
          return {
            low: tl.where(open.and(right), middle.add(1), low),
            high: tl.where(open.and(right.not()), middle, high),
          };
        },
      );
      p.out.store([row, start], low);
    });
  },
});

/** A matrix product by few programs, each of which takes the next tile that nobody has taken, until there is none. */
const queue = kernel({
  name: "queue",
  constants: { M: 32, N: 32, K: 32 },
  params: { a: tl.tensor("f16", 2), b: tl.tensor("f16", 2), out: tl.tensor("f32", 2), next: tl.pointer("i32") },
  body(p, { M, N, K }) {
    const columns = tl.cdiv(p.out.shape(1), N);
    const tiles = tl.cdiv(p.out.shape(0), M).mul(columns);
    const take = () => ({ tile: tl.atomicAdd(p.next, 1) });
    tl.while(
      take(),
      ({ tile }) => tile.lt(tiles),
      ({ tile }) => {
        const [row, column] = [tile.div(columns).mul(M), tile.rem(columns).mul(N)];
        const start = { sums: tl.zeros([M, N], "f32") };
        const { sums } = tl.loop({ to: p.a.shape(1), step: K }, start, (k, { sums }) => ({
          sums: tl.dot(p.a.load([row, k], [M, K]), p.b.load([k, column], [K, N]), sums),
        }));
        p.out.store([row, column], sums);
        return take();
      },
    );
  },
});

onEveryTarget((device) => {
  const integers = (values: readonly number[]) =>
    device.tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });

  it("Newton's method, until a tile has converged", async () => {
    const anomaly = numbers("f32", [200], 1, 3);
    const solve = (mean: number): number => {
      let angle = mean;
      for (let i = 0; i < 60; i++) angle -= (angle - 0.5 * Math.sin(angle) - mean) / (1 - 0.5 * Math.cos(angle));
      return angle;
    };
    const [out, turns] = [device.empty([200], "f32"), device.empty([2], "i32")];
    device.launch(kepler, { anomaly: anomaly.on(device), out, turns, most: 50 });
    // The last step is at most 1e-6 before it is made; then roundings of the angle and of its sine count, over a derivative of at least a half.
    await expectClose(out, exact(Float64Array.from(anomaly.values, solve)), 32);
    for (const count of await turns.read()) expect(Number(count)).toSatisfy((n: number) => n >= 3 && n <= 12);
    device.launch(kepler, { anomaly: anomaly.on(device), out, turns, most: 2 });
    expect([...(await turns.read())]).toEqual([2, 2]);
    device.launch(kepler, { anomaly: anomaly.on(device), out, turns, most: 0 });
    expect([...(await turns.read())]).toEqual([0, 0]);
    expect([...((await out.read()) as Float32Array)]).toEqual([...anomaly.values]);
  });

  it("tiles of a product, by three programs", async () => {
    const [M, N, K] = [70, 40, 72];
    const [a, b] = [numbers("f16", [M, K], 1), numbers("f16", [K, N], 2)];
    const expected = new Terms(M * N);
    for (let row = 0; row < M; row++)
      for (let column = 0; column < N; column++)
        for (let k = 0; k < K; k++) expected.add(row * N + column, a.values[row * K + k]! * b.values[k * N + column]!);
    const [out, next] = [device.empty([M, N], "f32"), integers([0])];
    device.launch(queue, { a: a.on(device), b: b.on(device), out, next }, { grid: [3] });
    await expectClose(out, expected, K);
    // Each program has been told once that there is no more.
    expect([...(await next.read())].map(Number)).toEqual([6 + 3]);
  });

  it("linked lists, one of them empty", async () => {
    const next = [3, -1, 1, 5, 2, -1, 4];
    const value = [1, 20, 300, 4000, 50000, 600000, 7000000];
    const sums = device.empty([4], "i32");
    device.launch(walk, { next: integers(next), value: integers(value), heads: integers([0, 6, -1, 1]), sums });
    expect([...(await sums.read())]).toEqual([604001, 7050320, 0, 20]);
  });

  it("bisection in rows of several lengths", async () => {
    const lengths = [40, 0, 7, 33];
    const sorted = numbers("f32", [lengths.length, 40], 2);
    const rows = lengths.map((length, row) => sorted.values.subarray(row * 40, row * 40 + length).sort());
    const asked = numbers("f32", [100], 3);
    const out = device.empty([lengths.length, 100], "i32");
    device.launch(search, { sorted: sorted.on(device), lengths: integers(lengths), asked: asked.on(device), out });
    const expected = rows.flatMap((row) => Array.from(asked.values, (x) => row.filter((value) => value < x).length));
    expect([...(await out.read())].map(Number)).toEqual(expected);
  });
});

it("leaves loops inside as they are: copied ahead", () => {
  expect(ptxOf(queue).loops[0]!(/^cp\.async\.cg/)).toBe(2);
});

it("is one loop with one branch in PTX, that asks for the condition and for the number of turns", () => {
  const [loop] = ptxOf(walk).loops;
  expect([loop!(/^ld\.global/), loop!(/^setp/), loop!(/^and\.pred/)]).toEqual([2, 2, 1]);
});

describe("mistakes", () => {
  const trace = (body: () => void) => kernel({ name: "mistake", params: {}, body }).trace();
  const state = () => ({ n: tl.full([], 3, "i32") });
  const whileOf: (...given: unknown[]) => unknown = tl.while as never;

  it("are named, with what to do", () => {
    const positive = (s: ReturnType<typeof state>) => s.n.gt(0);
    expect(() => trace(() => void whileOf({ n: tl.zeros([8], "i32") }, positive, (s: unknown) => s))).toThrow(
      /tl\.any/,
    );
    expect(() =>
      trace(
        () =>
          void whileOf(
            state(),
            () => true,
            (s: unknown) => s,
          ),
      ),
    ).toThrow(/known while tracing/);
    expect(() => trace(() => void whileOf(state(), positive, () => ({})))).toThrow(/lacks "n"/);
    expect(() => trace(() => void whileOf({ n: 3 }, positive, (s: unknown) => s))).toThrow(/tl\.full/);
    expect(() => trace(() => void whileOf(state(), positive, (s: unknown) => s, { most: 1.5 }))).toThrow(/1\.5/);
  });
});
