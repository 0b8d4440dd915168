/** Exchange within warps and barriers that reduce, in kernels that nvcc compiled, against the same over arrays of lanes. */
import { describe, expect, it } from "vitest";
import { launchFixture } from "./fixture.ts";
import { formsOf } from "./forms.ts";

const lanes = Array.from({ length: 32 }, (_, lane) => lane);
/** Repeats, both signs, both parities and no order. */
const given = Int32Array.from(lanes, (lane) => ((lane * lane * 7) % 13) * 16 - 95 + (lane & 1));
const at = (lane: number): number => given[lane]!;
/** The lanes that satisfy it, as a mask. */
const mask = (holds: (lane: number) => boolean): number =>
  lanes.reduce((bits, lane) => (holds(lane) ? bits | (1 << lane) : bits), 0) >>> 0;
const rows = (values: Int32Array | Uint32Array, width: number): number[][] =>
  lanes.map((lane) => [...values.subarray(lane * width, (lane + 1) * width)]);

describe("warps of nvcc", () => {
  it("shuffles within segments, of some lanes only, of 64 bits", () => {
    const out = new Int32Array(320);
    launchFixture("warps", "segments", { threads: 32 }, out, given);
    const expected = lanes.map((lane) => {
      const odd = lane % 2 === 1;
      return [
        at((lane & ~7) + 3),
        at((lane & 15) < 2 ? lane : lane - 2),
        at((lane & 3) > 2 ? lane : lane + 1),
        // An exchange by 24 leaves a segment of 16: it reads an earlier segment, never a later one.
        at((lane ^ 24) > (lane | 15) ? lane : lane ^ 24),
        odd ? at(lane ^ 2) : at(lane + 2 > 31 ? lane : lane + 2),
        odd ? mask((other) => other % 2 === 1 && (at(other) & 1) === 1) | 0 : 0,
        !odd && lanes.some((other) => other % 2 === 0 && at(other) > 90) ? 1 : 0,
        !odd && lanes.every((other) => other % 2 === 1 || at(other) < 101) ? 1 : 0,
        at(31 - lane),
        lane + 5 <= 31 ? 1 : 0,
      ];
    });
    expect(rows(out, 10)).toEqual(expected);
  });

  it("matches and the mask of active lanes", () => {
    for (const values of [given, new Int32Array(32).fill(77)]) {
      const out = new Uint32Array(192);
      launchFixture("warps", "matches", { threads: 32 }, out, values);
      const same = (key: (lane: number) => number): number =>
        lanes.every((lane) => key(lane) === key(0)) ? 0xffffffff : 0;
      const value = (lane: number): number => values[lane]!;
      const expected = lanes.map((lane) => {
        const [top, whole] = [same((other) => value(other) >> 30), same(value)];
        return [
          mask((other) => value(other) === value(lane)),
          mask((other) => value(other) << 1 === value(lane) << 1),
          (top + (top ? 1 : 0)) >>> 0,
          (whole + (whole ? 256 : 0)) >>> 0,
          (value(lane) & 1) === 1 ? mask((other) => (value(other) & 1) === 1) : 0,
          mask((other) => other < 20 === lane < 20 && (value(other) & 1) === (value(lane) & 1)),
        ];
      });
      expect(rows(out, 6)).toEqual(expected);
    }
  });

  it("redux of all lanes, and of odd and even ones apart", () => {
    const forms = formsOf("warps", "redux");
    expect(forms.length).toBe(9);
    const out = new Uint32Array(forms.length * 64);
    launchFixture("warps", "redux", { threads: 32 }, out, given);
    const operations: Readonly<Record<string, (a: number, b: number) => number>> = {
      add: (a, b) => a + b,
      min: (a, b) => Math.min(a, b),
      max: (a, b) => Math.max(a, b),
      and: (a, b) => a & b,
      or: (a, b) => a | b,
      xor: (a, b) => a ^ b,
    };
    forms.forEach((form, row) => {
      const [operation, type] = form.split(".").slice(-2) as [string, string];
      const values = lanes.map((lane) => (type === "u32" ? at(lane) >>> 0 : at(lane)));
      const over = (some: (lane: number) => boolean): number =>
        values.filter((_, lane) => some(lane)).reduce(operations[operation]!) >>> 0;
      expect([form, ...out.subarray(row * 64, row * 64 + 64)]).toEqual([
        form,
        ...lanes.map(() => over(() => true)),
        ...lanes.map((lane) => over((other) => other % 2 === lane % 2)),
      ]);
    });
  });

  it("reductions and tiles of cooperative groups", () => {
    const out = new Int32Array(384);
    launchFixture("warps", "reductions", { threads: 32 }, out, given);
    const unsigned = [...given].map((x) => x >>> 0);
    const whole = [
      given.reduce((a, b) => a + b),
      Math.min(...given),
      Math.max(...given),
      Math.min(...unsigned) | 0,
      Math.max(...unsigned) | 0,
      given.reduce((a, b) => a & b),
      given.reduce((a, b) => a | b),
      given.reduce((a, b) => a ^ b),
    ];
    const expected = lanes.map((lane) => {
      const tile = [...given.subarray(lane & ~7, (lane & ~7) + 8)];
      return [
        ...whole,
        tile.reduce((a, b) => a + b),
        lane,
        tile.reduce((bits, x, bit) => (x > 0 ? bits | (1 << bit) : bits), 0),
        tile.includes(at(0)) ? 1 : 0,
      ];
    });
    expect(rows(out, 12)).toEqual(expected);
  });

  it("barriers that reduce, and one warp that waits for two", () => {
    const values = Int32Array.from({ length: 96 }, (_, i) => ((i * 53) % 199) - 99);
    for (const least of [-99, -100]) {
      values[40] = least;
      const out = new Int32Array(384);
      launchFixture("warps", "barriers", { threads: 96 }, out, values);
      const positive = values.filter((x) => x > 0).length;
      const expected = [...values].flatMap((_, i) => [
        positive,
        least > -100 ? 1 : 0,
        1,
        i < 64 ? values[i ^ 32]! : values[i - 64]! + values[i - 32]!,
      ]);
      expect([...out]).toEqual(expected);
    }
  });
});
