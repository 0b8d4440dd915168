/** Counting: of grey values, a tile at a time, and of digits, which is what a radix sort begins with. */
import { describe, expect, it } from "vitest";
import { compile } from "../../src/codegen/index.ts";
import { kernel, tl } from "../../src/dsl/index.ts";
import { onEveryTarget, ptxOf } from "./trial.ts";

/** Each program counts rows of tiles, and adds what it has to memory once. */
const greyValues = kernel({
  name: "grey_values",
  constants: { BLOCK: 256, BINS: 64 },
  params: { image: tl.tensor("i32", 1), counts: tl.pointer("i32") },
  body(p, { BLOCK, BINS }) {
    const bins = tl.arange(0, BINS);
    const range = { from: tl.programId(0).mul(BLOCK), to: p.image.shape(0), step: tl.numPrograms(0).mul(BLOCK) };
    const { counts } = tl.loop(range, { counts: tl.zeros([BINS], "i32") }, (start, { counts }) => {
      const inside = tl.arange(0, BLOCK).add(start).lt(p.image.shape(0));
      const grey = tl.where(inside, p.image.load([start], [BLOCK]), -1);
      return { counts: counts.add(tl.histogram(grey, BINS)) };
    });
    tl.atomicAdd(p.counts.add(bins), counts, { mask: counts.gt(0) });
  },
});

/** A pass of a radix sort of one tile by two bits: where each number goes is how many come before. */
const radixPass = kernel({
  name: "radix_pass",
  constants: { N: 128, SHIFT: 0 },
  params: { x: tl.tensor("i32", 1), out: tl.tensor("i32", 1) },
  grid: () => [1],
  body(p, { N, SHIFT }) {
    const x = p.x.load([0], [N]);
    const digit = x.shr(SHIFT).and(3);
    const counts = tl.histogram(digit, 4);
    const before = tl.gather(counts.cumsum(0).sub(counts), digit, 0);
    const own = digit.perRow().eq(tl.arange(0, 4).perColumn()).to("i32");
    const among = tl.sum(tl.where(own.eq(1), own.cumsum(0), 0), 1).sub(1);
    tl.store(p.out.pointer.add(before.add(among)), x);
  },
});

/** Of numbers that are known while compiling, one beyond the bins. */
const known = kernel({
  name: "known",
  params: { out: tl.tensor("i32", 1) },
  grid: () => [1],
  body(p) {
    const inside = tl.histogram(tl.full([8], 2, "i32"), 4);
    p.out.store([0], inside.add(tl.histogram(tl.full([16], 7, "i32"), 4)));
  },
});

onEveryTarget((device) => {
  const integers = (values: readonly number[]) =>
    device.tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" });

  it("grey values, some out of range", async () => {
    const image = Array.from({ length: 1500 }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 25) - 20);
    const expected = Array.from({ length: 64 }, (_, bin) => image.filter((grey) => grey === bin).length);
    const counts = integers(new Array(64).fill(0));
    device.launch(greyValues, { image: integers(image), counts }, { grid: [3] });
    expect([...(await counts.read())].map(Number)).toEqual(expected);
  });

  it("numbers known while compiling", async () => {
    const out = device.empty([4], "i32");
    device.launch(known, { out });
    expect([...(await out.read())].map(Number)).toEqual([0, 0, 8, 0]);
  });

  it("passes of a radix sort", async () => {
    const x = Array.from({ length: 128 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 26);
    let tensor = integers(x);
    for (const SHIFT of [0, 2, 4]) {
      const out = device.empty([128], "i32");
      device.launch(radixPass, { x: tensor, out }, { constants: { SHIFT } });
      tensor = out;
    }
    expect([...(await tensor.read())].map(Number)).toEqual(x.sort((a, b) => a - b));
  });
});

it("adds to shared memory once an element", () => {
  // 256 elements over 128 threads.
  expect(ptxOf(greyValues).loops[0]!(/^red\.\S*shared/)).toBe(2);
});

describe("mistakes", () => {
  const traced = (body: () => void) => () => kernel({ name: "mistake", params: {}, body }).trace();
  it("are named, with what to do", () => {
    const histogram: (...given: unknown[]) => unknown = tl.histogram as never;
    expect(traced(() => void histogram(tl.zeros([8], "f32"), 4))).toThrow(/histogram counts i32/);
    expect(traced(() => void histogram(tl.zeros([8], "i32"), 10))).toThrow(/powers of two/);
    expect(() => compile(greyValues, "wgsl", { constants: { BINS: 4096 } })).toThrow(/counts in 4096 bins.*2048/);
  });
});
