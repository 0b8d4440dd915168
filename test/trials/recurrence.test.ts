/** What is computed across elements by a function of the author's: linear recurrences (as in Mamba, arXiv 2312.00752), Welford's variance, sorting. */
import { describe, expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { exact, expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const recurrence = kernel({
  name: "recurrence",
  constants: { STEPS: 32, CHANNELS: 16, REVERSE: false },
  params: { decay: tl.tensor("f32", 2), x: tl.tensor("f32", 2), out: tl.tensor("f32", 2) },
  grid: (p, { CHANNELS }) => [tl.cdiv(p.x.shape(1), CHANNELS)],
  body(p, { STEPS, CHANNELS, REVERSE }) {
    const channel = tl.programId(0).mul(CHANNELS);
    const decay = p.decay.load([0, channel], [STEPS, CHANNELS]);
    const value = p.x.load([0, channel], [STEPS, CHANNELS]);
    const h = tl.associativeScan(
      { decay, value },
      0,
      (left, right) => ({
        decay: left.decay.mul(right.decay),
        value: right.decay.mul(left.value).add(right.value),
      }),
      { reverse: REVERSE },
    );
    p.out.store([0, channel], h.value);
  },
});

const variance = kernel({
  name: "variance",
  constants: { ROWS: 4, COLUMNS: 64 },
  params: { x: tl.tensor("f32", 2), mean: tl.tensor("f32", 1), variance: tl.tensor("f32", 1) },
  grid: (p, { ROWS }) => [tl.cdiv(p.x.shape(0), ROWS)],
  body(p, { ROWS, COLUMNS }) {
    const row = tl.programId(0).mul(ROWS);
    const mean = p.x.load([row, 0], [ROWS, COLUMNS]);
    const inside = tl.arange(0, COLUMNS).lt(p.x.shape(1)).perColumn().broadcastTo([ROWS, COLUMNS]);
    const count = tl.where(inside, tl.full([], 1, "f32"), 0);
    const all = tl.reduce({ mean, squares: tl.zerosLike(mean), count }, 1, (a, b) => {
      const count = a.count.add(b.count);
      const share = b.count.div(count.maximum(1));
      const apart = b.mean.sub(a.mean);
      return {
        mean: a.mean.add(apart.mul(share)),
        squares: a.squares.add(b.squares).add(apart.mul(apart).mul(a.count).mul(share)),
        count,
      };
    });
    p.mean.store([row], all.mean);
    p.variance.store([row], all.squares.div(all.count));
  },
});

const sortRows = kernel({
  name: "sort_rows",
  constants: { COLUMNS: 64, DESCENDING: false },
  params: { x: tl.tensor("f32", 2), out: tl.tensor("f32", 2) },
  grid: (p) => [p.x.shape(0)],
  body(p, { COLUMNS, DESCENDING }) {
    const row = tl.programId(0);
    const beyond = DESCENDING ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    const x = tl.where(tl.arange(0, COLUMNS).lt(p.x.shape(1)), p.x.load([row, 0], [COLUMNS]), beyond);
    p.out.store([row, 0], tl.sort(x, 0, { descending: DESCENDING }));
  },
});

const errorFunction = kernel({
  name: "error_function",
  constants: { BLOCK: 128 },
  params: { x: tl.tensor("f32", 1), out: tl.tensor("f32", 1) },
  grid: (p, { BLOCK }) => [tl.cdiv(p.x.shape(0), BLOCK)],
  body(p, { BLOCK }) {
    const start = tl.programId(0).mul(BLOCK);
    p.out.store([start], tl.erf(p.x.load([start], [BLOCK])));
  },
});

/** By its series, and by its continued fraction where that would cancel. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 3) {
    let fraction = 0;
    for (let k = 60; k > 0; k--) fraction = k / 2 / (size + fraction);
    return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (size + fraction));
  }
  let [sum, term] = [0, x];
  for (let k = 0; k < 120; k++) {
    sum += term / (2 * k + 1);
    term *= (-x * x) / (k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

onEveryTarget((device) => {
  it.each([false, true])("a linear recurrence, reverse: %s", async (REVERSE) => {
    const [STEPS, CHANNELS] = [32, 20];
    const [decay, x] = [numbers("f32", [STEPS, CHANNELS], 1, 0.7), numbers("f32", [STEPS, CHANNELS], 2)];
    const expected = new Terms(STEPS * CHANNELS);
    for (let channel = 0; channel < CHANNELS; channel++) {
      let [h, size] = [0, 0];
      for (let step = 0; step < STEPS; step++) {
        const at = (REVERSE ? STEPS - 1 - step : step) * CHANNELS + channel;
        h = decay.values[at]! * h + x.values[at]!;
        size = Math.abs(decay.values[at]!) * size + Math.abs(x.values[at]!);
        expected.set(at, h, size);
      }
    }
    const out = device.empty([STEPS, CHANNELS], "f32");
    device.launch(recurrence, { decay: decay.on(device), x: x.on(device), out }, { constants: { REVERSE } });
    await expectClose(out, expected, STEPS);
  });

  it("mean and variance in one pass", async () => {
    const [ROWS, COLUMNS] = [6, 50];
    const x = numbers("f32", [ROWS, COLUMNS], 3);
    const [mean, squares] = [new Terms(ROWS), new Terms(ROWS)];
    for (let row = 0; row < ROWS; row++) {
      const own = x.values.subarray(row * COLUMNS, (row + 1) * COLUMNS);
      for (const value of own) mean.add(row, value / COLUMNS);
      for (const value of own) squares.add(row, (value - mean.values[row]!) ** 2 / COLUMNS);
    }
    const results = { mean: device.empty([ROWS], "f32"), variance: device.empty([ROWS], "f32") };
    device.launch(variance, { x: x.on(device), ...results });
    // 6 levels of a few operations; the divisions may be off by 2.5 units.
    await expectClose(results.mean, mean, 30);
    await expectClose(results.variance, squares, 60);
  });

  it.each([false, true])("rows in order, descending: %s", async (DESCENDING) => {
    const [ROWS, COLUMNS] = [3, 50];
    const x = numbers("f32", [ROWS, COLUMNS], 4);
    const expected = Array.from({ length: ROWS }, (_, row) =>
      [...x.values.subarray(row * COLUMNS, (row + 1) * COLUMNS)].sort((a, b) => (DESCENDING ? b - a : a - b)),
    );
    const out = device.empty([ROWS, COLUMNS], "f32");
    device.launch(sortRows, { x: x.on(device), out }, { constants: { DESCENDING } });
    expect([...(await out.read())]).toEqual(expected.flat());
  });

  it("the error function", async () => {
    const x = numbers("f32", [300], 5, 2);
    const out = device.empty([300], "f32");
    device.launch(errorFunction, { x: x.on(device), out });
    await expectClose(out, exact(Float64Array.from(x.values, erf)), 8);
  });

  it("the error function of NaN, of infinities and of zero", async () => {
    const x = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
    const out = device.empty([x.length], "f32");
    device.launch(errorFunction, { x: device.tensor(Float32Array.from(x), { shape: [x.length], dtype: "f32" }), out });
    expect([...((await out.read()) as Float32Array)]).toEqual([Number.NaN, 1, -1, 0]);
  });
});

it("combines and sorts what lies within a warp without shared memory", () => {
  // A row of 128 is four elements of each lane of a warp; so are the eight rows of 64 of two warps.
  const rows = kernel({
    name: "rows",
    constants: { ROWS: 4, COLUMNS: 128 },
    params: { x: tl.tensor("f32", 2), out: tl.tensor("f32", 2) },
    body(p, { ROWS, COLUMNS }) {
      p.out.store([0, 0], tl.sort(p.x.load([0, 0], [ROWS, COLUMNS])));
    },
  });
  expect(ptxOf(rows).all(/shared|^bar/)).toBe(0);
  // Three numbers of each of four rows pass from warp to warp, if the row does.
  expect(ptxOf(variance, { constants: { ROWS: 4, COLUMNS: 128 } }).all(/shared\.v4|^bar/)).toBeLessThanOrEqual(3);
});

describe("mistakes", () => {
  const traced = (body: () => void): string => {
    try {
      kernel({ name: "mistake", params: {}, body }).trace();
    } catch (error) {
      return String(error);
    }
    return "none";
  };
  const tile = () => tl.zeros([8], "f32");

  it("are named, with what to do", () => {
    expect(traced(() => void tl.reduce({ a: tile(), b: tl.zeros([4], "f32") }, 0, (a) => a as never))).toMatch(
      /SHAPE_MISMATCH|"b" has shape \[4\], "a" \[8\]/,
    );
    expect(traced(() => void tl.reduce({ a: tile() }, 1, (a) => a))).toMatch(/axis 1 does not exist in shape \[8\]/);
    expect(traced(() => void tl.reduce({ a: tile(), b: tile() }, 0, (a) => ({ a: a.a }) as never))).toMatch(
      /lacks "b"/,
    );
    expect(traced(() => void tl.associativeScan({ a: tile() }, 0, (a) => ({ a: a.a.to("i32") }) as never))).toMatch(
      /"a" is i32 .* but must be f32/,
    );
    expect(traced(() => void tl.associativeScan({} as never, 0, (a) => a))).toMatch(/a record of tiles/);
    expect(traced(() => void tl.erf(tl.zeros([8], "f16") as never))).toMatch(/erf is computed in f32/);
  });
});
