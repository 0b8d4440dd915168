/** Conversions between all dtypes: rounding from known tables, saturation, and exactness against bigint and f64 arithmetic. */
import { describe, expect, it } from "vitest";
import { type DType, dtypes } from "../../src/ir/index.ts";
import { max32, max64, min32, min64 } from "./cases.ts";
import { type Element, evaluate, tile } from "./evaluate.ts";

const cast = (from: DType, to: DType, values: readonly Element[]): Element[] =>
  evaluate([tile(from, values)], (b, [x]) => b.value("cast", [x!], { dtype: to }))[0]!;

const inf = Number.POSITIVE_INFINITY;
const nan = Number.NaN;

describe("cast", () => {
  it("keeps small values between all numeric dtypes, and true and false", () => {
    for (const from of dtypes)
      for (const to of dtypes) {
        const values = [0, 1];
        const expected = to === "bool" ? [false, true] : to === "i64" ? [0n, 1n] : values;
        expect(cast(from, to, from === "bool" ? [false, true] : values), `${from} to ${to}`).toEqual(expected);
      }
  });

  // Wikipedia, "Half-precision floating-point format": examples and rounding of integers.
  it("f32 to f16 rounds to nearest even", () => {
    const pairs = [
      [2 ** -24, 2 ** -24], // the smallest denormal
      [2 ** -25, 0], // half of it: a tie to even
      [2 ** -25 + 2 ** -40, 2 ** -24],
      [6.1035156e-5, 2 ** -14], // the smallest normal
      [65504, 65504],
      [65519, 65504],
      [65520, inf],
      [-70000, -inf],
      [1 / 3, 0.333251953125],
      [2049, 2048],
      [2051, 2052],
      [0.1, 0.0999755859375],
      [-0, -0],
      [nan, nan],
      [inf, inf],
      [1 + 2 ** -11, 1],
    ] as const;
    const rounded = cast(
      "f32",
      "f16",
      pairs.map(([x]) => x),
    );
    expect(rounded).toEqual(pairs.map(([, y]) => y));
  });

  it("f32 to bf16 rounds to nearest even", () => {
    const pairs = [
      [Math.PI, 3.140625],
      [1 + 2 ** -8, 1],
      [1 + 3 * 2 ** -8, 1 + 2 ** -6],
      [3.4e38, inf],
      [3.3895313892515355e38, 3.3895313892515355e38], // the largest bf16
      [-(2 ** -133), -(2 ** -133)], // the smallest denormal
      [2 ** -134, 0],
      [nan, nan],
    ] as const;
    const rounded = cast(
      "f32",
      "bf16",
      pairs.map(([x]) => x),
    );
    expect(rounded).toEqual(pairs.map(([, y]) => y));
  });

  it("float to integer goes towards zero and saturates, NaN to 0", () => {
    const values = [1.9, -1.9, inf, -inf, nan, 3e9, -3e9, 200.5];
    expect(cast("f32", "i32", values)).toEqual([1, -1, max32, min32, 0, max32, min32, 200]);
    expect(cast("f32", "u32", values)).toEqual([1, 0, 2 ** 32 - 1, 0, 0, 3e9, 0, 200]);
    expect(cast("f32", "i8", values)).toEqual([1, -1, 127, -128, 0, 127, -128, 127]);
    expect(cast("f32", "i64", values)).toEqual([1n, -1n, max64, min64, 0n, 3000000000n, -3000000000n, 200n]);
    expect(cast("f32", "i64", [2 ** 63, -(2 ** 63), 2 ** 62, -0.5])).toEqual([max64, min64, 2n ** 62n, 0n]);
    expect(cast("f16", "i8", [127.9, -128.5, -127.9, 0.99])).toEqual([127, -128, -127, 0]);
    expect(cast("bf16", "i32", [-0.5, 1e10])).toEqual([0, max32]);
  });

  it("integer to integer keeps the low bits", () => {
    expect(cast("i32", "i8", [128, -129, 257, -1])).toEqual([-128, 127, 1, -1]);
    expect(cast("i32", "u32", [-1, min32])).toEqual([2 ** 32 - 1, 2 ** 31]);
    expect(cast("u32", "i32", [2 ** 32 - 1, 2 ** 31])).toEqual([-1, min32]);
    expect(cast("i8", "u32", [-1, 5])).toEqual([2 ** 32 - 1, 5]);
    expect(cast("i32", "i64", [-1, max32])).toEqual([-1n, BigInt(max32)]);
    expect(cast("u32", "i64", [2 ** 32 - 1, 1])).toEqual([2n ** 32n - 1n, 1n]);
    expect(cast("i64", "i32", [2n ** 32n + 5n, -(2n ** 31n) - 1n])).toEqual([5, max32]);
    expect(cast("i64", "u32", [-1n, 2n ** 33n + 1n])).toEqual([2 ** 32 - 1, 1]);
    expect(cast("i64", "i8", [255n, 128n])).toEqual([-1, -128]);
  });

  it("to bool is x != 0", () => {
    expect(cast("f32", "bool", [0, -0, nan, 1e-45])).toEqual([false, false, true, true]);
    expect(cast("i64", "bool", [0n, min64])).toEqual([false, true]);
    expect(cast("i8", "bool", [0, -128])).toEqual([false, true]);
  });

  it("integer to float rounds once", () => {
    // 2^24 + 1 is a tie in f32; above the middle by one unit of 2^63 must not be lost on the way through f64.
    expect(cast("i32", "f32", [2 ** 24 + 1, 2 ** 24 + 3])).toEqual([2 ** 24, 2 ** 24 + 4]);
    const middle = 2n ** 62n + 2n ** 38n;
    expect(cast("i64", "f32", [middle, middle + 1n, -middle - 1n, min64])).toEqual([
      2 ** 62,
      2 ** 62 + 2 ** 39,
      -(2 ** 62) - 2 ** 39,
      -(2 ** 63),
    ]);
    // Just above a middle of bf16 (8 bits) by less than f32 sees: 2^30 + 2^22 + 1.
    expect(cast("i32", "bf16", [2 ** 30 + 2 ** 22, 2 ** 30 + 2 ** 22 + 1])).toEqual([2 ** 30, 2 ** 30 + 2 ** 23]);
    expect(cast("i64", "bf16", [middle, 2n ** 62n + 2n ** 54n + 1n])).toEqual([2 ** 62, 2 ** 62 + 2 ** 55]);
    expect(cast("i32", "f16", [65519, 65520, 2049, -2051])).toEqual([65504, inf, 2048, -2052]);
    expect(cast("u32", "f32", [2 ** 32 - 1, 5])).toEqual([2 ** 32, 5]);
  });
});

describe("16-bit arithmetic is rounded once", () => {
  it("f16 products and quotients are the nearest f16 to the exact result", () => {
    // Every pair of 64 values; the reference picks the nearest of all 63488 finite f16, ties to the even pattern.
    const bitsToValue = (bits: number): number => {
      const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
      return exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
    };
    const positive = Array.from({ length: 0x7c00 }, (_, bits) => bitsToValue(bits));
    const nearest = (x: number): number => {
      if (x >= 65520) return inf;
      let [low, high] = [0, positive.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (positive[middle]! <= x) low = middle;
        else high = middle - 1;
      }
      const [below, above] = [positive[low]!, positive[low + 1] ?? 65536];
      const takeAbove = x - below > above - x || (x - below === above - x && low % 2 === 1);
      return takeAbove ? above : below;
    };
    const sample = Array.from({ length: 32 }, (_, i) => positive[(i * 977 + 13) % positive.length]!);
    const left = sample.flatMap((a) => sample.map(() => a));
    const right = sample.flatMap(() => sample);
    const operands = [tile("f16", left), tile("f16", right)];
    // In f64, products are exact; a quotient of 11-bit numbers is never closer than 2^-24 to a middle, so f64 decides.
    for (const [opcode, apply] of [
      ["mul", (a: number, b: number) => a * b],
      ["div", (a: number, b: number) => a / b],
      ["add", (a: number, b: number) => a + b],
    ] as const) {
      const [result] = evaluate(operands, (b, [x, y]) => b.value(opcode, [x!, y!]));
      expect(result, opcode).toEqual(left.map((a, i) => nearest(apply(a, right[i]!))));
    }
  });

  it("fma rounds once, by exact rational arithmetic", () => {
    // a * b + c as an integer multiple of 2^-400, rounded to 24 bits by bigints.
    const scale = 400n;
    const exact = (x: number): bigint => {
      let [value, exponent] = [x, 0n];
      while (!Number.isInteger(value)) {
        value *= 2;
        exponent++;
      }
      return (BigInt(value) << scale) >> exponent;
    };
    const round24 = (value: bigint): number => {
      const magnitude = value < 0n ? -value : value;
      const drop = BigInt(Math.max(0, magnitude.toString(2).length - 24));
      let kept = magnitude >> drop;
      const rest = magnitude - (kept << drop);
      const half = drop === 0n ? 1n : 1n << (drop - 1n);
      if (rest > half || (rest === half && (kept & 1n) === 1n)) kept++;
      const rounded = Number(kept) * 2 ** (Number(drop) - Number(scale));
      return value < 0n ? -rounded : rounded;
    };
    let state = 7;
    const random = (): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const float = (spread: number): number =>
      Math.fround((random() < 0.5 ? -1 : 1) * (1 + random()) * 2 ** Math.floor((random() - 0.5) * spread));
    const columns = Array.from({ length: 1024 }, (_, i) => {
      const [a, b] = [float(30), float(30)];
      // Often close to cancelling, or a tie of 24 bits disturbed by a far smaller product.
      const c =
        i % 3 === 0 ? Math.fround(-a * b) : i % 3 === 1 ? float(60) : Math.fround((1 + 2 ** -23) * a * b * 2 ** 24);
      return [a, b, c] as const;
    });
    const operands = [0, 1, 2].map((k) =>
      tile(
        "f32",
        columns.map((column) => column[k]!),
      ),
    );
    const [result] = evaluate(operands, (b, tiles) => b.value("fma", tiles));
    const expected = columns.map(([a, b, c]) => round24(((exact(a) * exact(b)) >> scale) + exact(c)));
    expect(result!.map((x) => Number(x) + 0)).toEqual(expected.map((x) => x + 0));
  });
});
