/** Plain CUDA kernels that nvcc compiled, against the same computed in TypeScript. */
import { describe, expect, it } from "vitest";
import { bf16BitsToF32, f16BitsToF32, f32ToBf16Bits, f32ToF16Bits } from "../../src/support/index.ts";
import { launchFixture } from "./fixture.ts";

describe("kernels of nvcc", () => {
  it("divergent loops and switches, threads that exit early", () => {
    const steps = new Int32Array(100);
    launchFixture("general", "collatz", { threads: 64, blocks: 2 }, steps, 100);
    const expected = Int32Array.from({ length: 100 }, (_, i) => {
      let count = 0;
      for (let x = i + 1; x !== 1; count++) x = x % 2 === 1 ? 3 * x + 1 : x / 2;
      return [count + 1000, count * 3, count - 7, count ^ 85, -count][count % 5]!;
    });
    expect(steps).toEqual(expected);
  });

  it("atomics in shared and global memory", () => {
    const values = Uint32Array.from({ length: 500 }, (_, i) => (i * i * 2654435761) >>> 3);
    const [bins, most, total] = [new Uint32Array(16), new Uint32Array(1), new Float32Array(1)];
    launchFixture("general", "histogram", { threads: 96 }, bins, most, total, values, 500);
    const expected = new Uint32Array(16);
    for (const value of values) expected[value & 15]!++;
    expect(bins).toEqual(expected);
    expect(most[0]).toBe(Math.max(...values));
    expect(total[0]).toBe(250);
  });

  it("64-bit integers", () => {
    const a = BigInt64Array.from({ length: 32 }, (_, i) => BigInt.asIntN(64, 0x9e3779b97f4a7c15n * BigInt(i * i + 1)));
    const b = BigInt64Array.from(
      { length: 32 },
      (_, i) => BigInt.asIntN(64, (0xd1342543de82ef95n * BigInt(i + 3)) >> BigInt(i)) || 7n,
    );
    const out = new BigInt64Array(32 * 12);
    launchFixture("general", "wide", { threads: 32 }, out, a, b);
    const u = (value: bigint): bigint => BigInt.asUintN(64, value);
    const expected = [...a].flatMap((x, i) => {
      const y = b[i]!;
      const by = y & 63n;
      return [
        x + y,
        x - y,
        x * y,
        x / y,
        x % y,
        u(x) / u(y),
        (x * y) >> 64n,
        (u(x) * u(y)) >> 64n,
        x << by,
        x >> by,
        u(x) >> by,
        // biome-ignore lint/complexity/useMathMinMax: Math.min takes no bigint
        x < y ? x : y,
      ];
    });
    expect([...out]).toEqual(expected.map((value) => BigInt.asIntN(64, value)));
  });

  it("arrays in local memory", () => {
    const values = Int32Array.from({ length: 32 * 8 }, (_, i) => Math.imul(i + 1, 2654435761));
    const out = new Int32Array(values.length);
    launchFixture("general", "local_array", { threads: 32 }, out, values);
    for (let at = 0; at < values.length; at += 8)
      expect(out.slice(at, at + 8)).toEqual(values.slice(at, at + 8).sort());
  });

  it("shuffles, votes, a reduction and dynamic shared memory", () => {
    const values = Int32Array.from({ length: 32 }, (_, i) => ((i * 13) % 17) - 5);
    const out = new Int32Array(320);
    launchFixture("general", "shuffles", { threads: 32, dynamicSharedMemory: 128 }, out, values);
    const at = (lane: number): number => values[lane]!;
    const ballot = values.reduce((bits, value, lane) => (value > 0 ? bits | (1 << lane) : bits), 0);
    const sum = values.reduce((a, b) => a + b);
    for (let lane = 0; lane < 32; lane++)
      expect([...out.slice(lane * 10, lane * 10 + 10)]).toEqual([
        at((lane * 7) & 31),
        at(lane < 3 ? lane : lane - 3),
        at(lane > 26 ? lane : lane + 5),
        at(lane ^ 9),
        at((lane & 7) > 5 ? lane : lane + 2),
        ballot,
        values.includes(5) ? 1 : 0,
        1,
        at(lane ^ 31),
        sum,
      ]);
  });

  it("conversions and roundings", () => {
    const special = [0, -0, 0.5, 1.5, 2.5, -2.5, 65504, 65519, 65520, 1e-7, 6e-8, 1e-40, 3e9, -3e9, 1e20, Number.NaN];
    const values = Float32Array.from({ length: 32 }, (_, i) => special[i] ?? Math.sin(i) * 10 ** (i - 22));
    const [out, ints] = [new Float32Array(32 * 12), new Int32Array(32 * 6)];
    launchFixture("general", "conversions", { threads: 32 }, out, values, ints);
    const even = (x: number): number => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
    const clamp = (x: number, low: number, high: number): number =>
      Number.isNaN(x) ? 0 : Math.min(high, Math.max(low, x));
    const half = (x: number): number => f16BitsToF32(f32ToF16Bits(x));
    const words = new Int32Array(values.buffer);
    values.forEach((x, i) => {
      const [, , bfloat, double, rounded, truncated, floor, ceiling, long] = out.slice(i * 12, i * 12 + 9);
      expect(out[i * 12]).toEqual(half(x));
      const toZero = out[i * 12 + 1]!;
      if (Number.isFinite(x)) expect(Math.abs(toZero)).toBeLessThanOrEqual(Math.abs(x));
      expect(bfloat).toEqual(bf16BitsToF32(f32ToBf16Bits(x)));
      expect(double).toEqual(x);
      // The sign of a zero is judged below, by the bits of neighbours: here −0 and 0 are one.
      expect(rounded! + 0).toEqual(even(x) + 0);
      expect(truncated).toEqual(Math.trunc(x));
      expect(floor).toEqual(Math.floor(x));
      expect(ceiling).toEqual(Math.ceil(x));
      if (Math.abs(x) < 2 ** 53) expect(long! + 0).toEqual(Math.trunc(x) + 0);
      const whole = (value: number): number => Number(BigInt.asIntN(32, BigInt(value)));
      const int = clamp(Math.trunc(x), -(2 ** 31), 2 ** 31 - 1);
      expect([...ints.slice(i * 6, i * 6 + 5)]).toEqual(
        [
          int,
          clamp(even(x), -(2 ** 31), 2 ** 31 - 1),
          whole(clamp(Math.trunc(x), 0, 2 ** 32 - 1)),
          (int << 24) >> 24,
          (int << 16) >> 16,
        ].map((n) => n + 0),
      );
      expect(new Float32Array(ints.buffer)[i * 6 + 5]).toBe(Math.fround(words[i]!));
    });
  });

  it("printf", () => {
    const { prints } = launchFixture("general", "say", { threads: 32 }, 7);
    expect(prints).toEqual(["n = 7, half = 3.50, text, 123456789abcdef\n"]);
  });
});
