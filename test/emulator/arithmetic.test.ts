/** Bits, conversions, special functions and atomics in kernels that nvcc compiled, against TypeScript. */
import { expect, it } from "vitest";
import { f32ToBf16Bits, f32ToF16Bits } from "../../src/support/index.ts";
import { launchFixture } from "./fixture.ts";

const LANES = 32;
const lanes = Array.from({ length: LANES }, (_, i) => i);
/** Words that are all sorts, from a linear congruential generator. */
const words = Uint32Array.from(lanes, (i) => [0, 1, 0x80000000, 0xffffffff][i] ?? Math.imul(i * i, 2654435761));
const special = [0, -0, 1, -1, 0.5, 65504, 65520, 1e-7, 3e38, 1e-40, Infinity, -Infinity, NaN, 1 / 3, -2.5, 1e10];
const floats = Float32Array.from(lanes, (i) => special[i] ?? Math.sin(i) * 10 ** (i - 22));
const partner = <T>(values: ArrayLike<T>, i: number): T => values[i ^ 1]!;
const u32 = (value: bigint): number => Number(BigInt.asUintN(32, value));

it("bits", () => {
  const out = new Uint32Array(LANES * 12);
  launchFixture("arithmetic", "bits", { threads: LANES }, out, words);
  const ones = (x: number): number => x.toString(2).replaceAll("0", "").length;
  for (const i of lanes) {
    const [x, y] = [words[i]!, partner(words, i)];
    const n = BigInt(x & 31);
    const [signedX, signedY] = [BigInt(x | 0), BigInt(y | 0)];
    const pair = (BigInt(y) << 32n) | BigInt(x);
    const bytes = [...new Uint8Array(Uint32Array.of(x, y).buffer)];
    const chosen = [y & 7, 4, 1, 5].map((at) => bytes[at]!);
    expect([...out.slice(i * 12, i * 12 + 12)]).toEqual([
      ones(x),
      Math.clz32(x),
      x === 0 ? 0 : 32 - Math.clz32(x & -x),
      Number.parseInt([...x.toString(2).padStart(32, "0")].reverse().join(""), 2),
      new Uint32Array(Uint8Array.from(chosen).buffer)[0],
      u32((pair << n) >> 32n),
      u32(pair >> n),
      u32((BigInt(x) * BigInt(y)) >> 32n),
      u32((signedX * signedY) >> 32n),
      ones(x) + ones(y),
      Number((BigInt(x) >> n) & 0x7ffn),
      u32(BigInt.asIntN(11, signedX >> n)),
    ]);
  }
});

it("packed conversions and signs", () => {
  const out = new Uint32Array(LANES * 4);
  launchFixture("arithmetic", "packed", { threads: LANES }, out, floats);
  const bits = new Uint32Array(floats.buffer);
  for (const i of lanes) {
    const [x, y] = [floats[i]!, partner(floats, i)];
    const pairOf = (encode: (value: number) => number, nan: number) =>
      [x, y].map((value) => (Number.isNaN(value) ? nan : encode(value))).reduce((low, high) => low + high * 65536);
    expect(out[i * 4]).toBe(pairOf(f32ToF16Bits, 0x7fff));
    expect(out[i * 4 + 1]).toBe(pairOf(f32ToBf16Bits, 0x7fff));
    // The nearest value with 10 bits of fraction, halves away from zero.
    if (Number.isFinite(x)) expect(out[i * 4 + 2]).toBe(((bits[i]! + 0x1000) & 0xffffe000) >>> 0);
    expect(out[i * 4 + 3]).toBe(((bits[i]! & 0x7fffffff) | (partner(bits, i) & 0x80000000)) >>> 0);
  }
});

it("rounded arithmetic", () => {
  const integers = Int32Array.from(words);
  const out = new Float32Array(LANES * 12);
  launchFixture("arithmetic", "rounded", { threads: LANES }, out, floats, integers);
  const number = (a: number, b: number, of: (a: number, b: number) => number): number =>
    Number.isNaN(a) ? b : Number.isNaN(b) ? a : of(a, b);
  for (const i of lanes) {
    const [x, y, n] = [floats[i]!, partner(floats, i), integers[i]!];
    const nearest = Math.fround(n);
    const towardsZero = Math.abs(nearest) > Math.abs(n) ? nearest * (1 - 2 ** -24) : nearest;
    const expected = [
      x / y,
      1 / x,
      Math.sqrt(Math.abs(x)),
      x + y,
      x * y,
      number(x, y, Math.min),
      number(x, y, Math.max),
    ];
    expect([...out.slice(i * 12, i * 12 + 12)]).toEqual(
      // The double x · y is exact.
      [...expected, n, words[i]!, towardsZero, x / y, x * y + x].map(Math.fround),
    );
  }
});

it("approximate functions, within two units in the last place", () => {
  const out = new Float32Array(LANES * 4);
  launchFixture("arithmetic", "approximate", { threads: LANES }, out, floats);
  for (const i of lanes) {
    const x = floats[i]!;
    const size = Math.abs(x);
    // Subnormal numbers count as zeros where .ftz says so.
    const flushed = size < 2 ** -126 ? Math.sign(x) * 0 : x;
    const exact = [2 ** flushed, Math.log2(size), 1 / Math.sqrt(size), 1 / flushed];
    exact.forEach((value, at) => {
      const found = out[i * 4 + at]!;
      if (Number.isFinite(Math.fround(value)) && Math.abs(value) > 2 ** -126)
        expect(Math.abs(found - value)).toBeLessThanOrEqual(2 * 2 ** -23 * Math.abs(value));
      else if (!Number.isFinite(value)) expect(found).toBe(value);
    });
  }
});

it("atomics, one lane after the other", () => {
  const values = Int32Array.from(words);
  const places = Int32Array.of(7, 100, -100, -1, 0, -1, 0, 0, 0, -1, 0);
  const before = new Int32Array(96);
  launchFixture("arithmetic", "atomics", { threads: LANES }, places, before, values);
  const fold = (of: (a: number, b: number) => number, start: number): number =>
    values.reduce((a, b) => of(a, b), start) | 0;
  const unsigned = (of: (a: number, b: number) => number) => (a: number, b: number) => of(a >>> 0, b >>> 0);
  expect([...places]).toEqual([
    fold((a, b) => (a + b) | 0, 7),
    fold(Math.min, 100),
    fold(Math.max, -100),
    fold(unsigned(Math.min), -1),
    fold(unsigned(Math.max), 0),
    fold((a, b) => a & b, -1),
    fold((a, b) => a | b, 0),
    fold((a, b) => a ^ b, 0),
    32,
    31,
    32,
  ]);
  expect([...before]).toEqual([...lanes, -1, ...lanes.slice(0, 31), ...lanes]);
});
