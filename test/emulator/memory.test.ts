/** Loads, stores and copies that nvcc compiled: what each must leave in memory, computed from the bytes given. */
import { describe, expect, it } from "vitest";
import { launchFixture } from "./fixture.ts";

const threads = 32;
/** Bytes without a pattern: a wrong width, order or sign shows. */
const noise = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 2654435761) >>> 23);

describe("memory accesses of nvcc", () => {
  it("every width, alone and in vectors, through shared and local memory", () => {
    const given = noise(threads * 64);
    const out = new Uint8Array(given.length);
    launchFixture("memory", "widths", { threads }, out, given);
    expect(out).toEqual(given);
  });

  it("signs of narrow loads", () => {
    const bytes = Int8Array.from({ length: threads }, (_, i) => i * 37 - 128);
    const shorts = Int16Array.from({ length: threads }, (_, i) => i * 9973 - 32768);
    const offsets = [-3, 7, 300, -400, 5, 0, 9, -1];
    const out = new BigInt64Array(threads * 6);
    launchFixture("memory", "signs", { threads }, out, bytes, shorts);
    const expected = [...bytes].flatMap((byte, i) => {
      const short = shorts[i]!;
      return [byte, byte < 0 ? byte + 256 : byte, short, short < 0 ? short + 65536 : short, byte, offsets[i & 7]!];
    });
    expect([...out]).toEqual(expected.map(BigInt));
  });

  it("cache hints change no value", () => {
    // Small integers: every sum is exact.
    const given = Float32Array.from({ length: 6 * threads * 4 }, (_, i) => ((i * 7919) % 1009) - 500);
    const pair = Float64Array.from({ length: threads }, (_, i) => (i - 11) * 6);
    const out = new Float32Array(5 * threads * 4);
    launchFixture("memory", "hints", { threads }, out, given, pair);
    const expected = new Float32Array(out.length);
    for (let i = 0; i < threads; i++) {
      const [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map((row) => {
        const at = (row * threads + i) * 4;
        return given.subarray(at, at + 4);
      }) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
      const scaled = pair[i]! * (i % 2 === 0 ? 0.5 : -2);
      const rows = [
        [a[0]! + b[0]!, a[1]! + c[1]!, a[2]! + d[2]!, a[3]! + e[3]!],
        [f[0]!, b[1]!, c[2]!, scaled],
        d,
        e,
        [a[3]!, a[3]! + 1, b[3]!, pair[i]!],
      ];
      for (const [at, row] of rows.entries()) expected.set(row, (at * threads + i) * 4);
    }
    expect(out).toEqual(expected);
  });

  it("asynchronous copies of 4, 8 and 16 bytes in two stages, and their zero fill", () => {
    const given = Uint32Array.from({ length: 512 }, (_, i) => Math.imul(i + 1, 2654435761));
    const out = new Uint32Array(512);
    launchFixture("memory", "copies", { threads }, out, given);
    const expected = given.map((_, at) => {
      const from = at ^ 1;
      const filled = from % 256 < 128 && from % 4 === 3;
      return filled ? 0 : given[from]!;
    });
    expect(out).toEqual(expected);
  });
});
