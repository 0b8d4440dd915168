/** cvt between every pair of types, with every rounding, in kernels that nvcc compiled, against fractions of whole numbers. */
import { describe, expect, it } from "vitest";
import {
  decode,
  encode,
  type Format,
  flush,
  formats,
  integral,
  isInfinite,
  isZero,
  type Mode,
  positive,
  saturate,
  toWhole,
  type Value,
  whole,
} from "./exact-floats.ts";
import { launchFixture } from "./fixture.ts";
import { assembledForms } from "./forms.ts";

type FloatName = keyof typeof formats;
const isFloat = (type: string): type is FloatName => type in formats;
const bitsOf = (type: string): number => (isFloat(type) ? formats[type].bits : Number(type.slice(1)));

const limits = (type: string): [least: bigint, most: bigint] => {
  const bits = BigInt(bitsOf(type));
  return type.startsWith("s") ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
};

/** The nearest value that an integer type holds. */
function clamp(value: bigint, type: string): bigint {
  const [least, most] = limits(type);
  if (value < least) return least;
  return value > most ? most : value;
}

function toInteger(value: Value, type: string, wide: boolean, mode: Mode): bigint {
  // Zero, unless 64 bits take part.
  if (value === undefined) return wide ? 1n << BigInt(bitsOf(type) - 1) : 0n;
  if (isInfinite(value)) return limits(type)[value.negative ? 0 : 1];
  return clamp(toWhole(value, mode), type);
}

/** What the form gives, as it stands in a register of `registerBits`; undefined is not a number. */
function expected(form: string, bits: bigint): bigint | undefined {
  const [, ...modifiers] = form.split(".");
  const [to, from] = modifiers.slice(-2) as [string, string];
  const has = (name: string): boolean => modifiers.includes(name);
  const rounding = modifiers.find((name) => /^r[nzmp]i?$|^rna$/.test(name));
  const mode = (rounding?.slice(0, rounding === "rna" ? 3 : 2) ?? "rn") as Mode;
  const source = BigInt.asUintN(bitsOf(from), bits);
  if (!isFloat(from)) {
    const value = from.startsWith("s") ? BigInt.asIntN(bitsOf(from), bits) : source;
    if (isFloat(to)) return encode(whole(value), formats[to], mode);
    if (has("sat")) return clamp(value, to);
    return to.startsWith("s") ? BigInt.asIntN(bitsOf(to), value) : BigInt.asUintN(bitsOf(to), value);
  }
  const decoded = decode(source, formats[from]);
  const value = has("ftz") && from === "f32" ? flush(decoded, formats.f32) : decoded;
  if (!isFloat(to)) return toInteger(value, to, bitsOf(from) === 64 || bitsOf(to) === 64, mode);
  const rounded = rounding?.endsWith("i") && value ? integral(value, mode) : value;
  const limited = has("sat") ? saturate(rounded) : has("relu") ? positive(rounded) : rounded;
  const result = encode(limited, formats[to], mode);
  if (has("ftz") && to === "f32" && result !== undefined) {
    const flushed = flush(decode(result, formats.f32), formats.f32);
    return encode(flushed, formats.f32, "rn");
  }
  return to === "tf32" && result !== undefined ? result << 13n : result;
}

/** Registers are wider than some types: integers of 8 bits are extended to their 32. */
function inRegister(form: string, value: bigint): bigint {
  const to = form.split(".").at(-2)!;
  return BigInt.asUintN(to === "u8" || to === "s8" || to === "tf32" ? 32 : bitsOf(to), value);
}

const isNan = (form: string, bits: bigint): boolean => {
  const to = form.split(".").at(-2)!;
  if (to === "tf32") return decode(bits >> 13n, formats.tf32) === undefined;
  return isFloat(to) && decode(bits, formats[to]) === undefined;
};

/** 8 bytes a thread, of which a source takes the lower ones. */
function wrong(entry: string, sources: readonly bigint[]): string[] {
  const forms = assembledForms("conversions", entry);
  expect(forms.length).toBeGreaterThan(15);
  const threads = sources.length;
  const results = new BigUint64Array(forms.length * threads);
  launchFixture("conversions", entry, { threads }, results, BigUint64Array.from(sources));
  return forms.flatMap((form, row) => {
    for (let i = 0; i < threads; i++) {
      const got = results[row * threads + i]!;
      const want = expected(form, sources[i]!);
      if (want === undefined ? !isNan(form, got) : got !== inRegister(form, want))
        return [`${form}(${sources[i]!.toString(16)}) = ${got.toString(16)}, not ${want?.toString(16) ?? "NaN"}`];
    }
    return [];
  });
}

/** Around the ends of every integer type, and where floats of 8 to 53 bits lie halfway or just beside. */
const integers: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 5n, 100n, 0x9e3779b97f4a7c15n, 0x123456789abcdef1n],
  ...[7, 8, 15, 16, 31, 32, 63].flatMap((bits) => [-2n, -1n, 0n, 1n].map((near) => (1n << BigInt(bits)) + near)),
  ...[8, 11, 24, 53].flatMap((bits) =>
    [1n, 2n, 3n].flatMap((ulps) =>
      [-1n, 0n, 1n].map((near) => ((1n << BigInt(bits)) + ulps) * 4n + near).concat((1n << BigInt(bits)) + ulps),
    ),
  ),
  ...[65519n, 65520n, 65504n, 4095n << 52n, (1n << 60n) + (1n << 6n), (1n << 60n) + (1n << 6n) + 1n],
].flatMap((value) => [value, -value]);

/** The bits of a double in another format, to nearest. */
const inFormat = (x: number, format: Format): bigint => {
  const double = new DataView(new ArrayBuffer(8));
  double.setFloat64(0, x);
  return encode(decode(double.getBigUint64(0), formats.f64), format, "rn") ?? (1n << BigInt(format.bits - 1)) - 1n;
};

/** Ties and their neighbours, ends of the ranges of integers and of shorter floats, subnormal numbers, infinities, NaNs. */
function floats(format: Format): bigint[] {
  const numbers = [
    ...[0, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 3.5, 1 / 3, 126.5, 127.5, 128.5, 254.5, 255.5, 256, 32767.5, 32768, 65535.5],
    ...[
      65519,
      65519.9,
      65520,
      65536,
      1e6 + 0.5,
      2 ** 24 + 3,
      2 ** 31,
      2 ** 31 - 0.5,
      2 ** 32,
      2 ** 32 - 0.5,
      2 ** 52 + 0.5,
    ],
    ...[2 ** 63, 2 ** 63 - 1024, 2 ** 64, 2 ** 64 - 2048, 1e30, 3.4e38, 3.4028235677973366e38, 3.4e39, 1e300, Infinity],
    ...[
      2 ** -14,
      2 ** -24,
      2 ** -25,
      3 * 2 ** -26,
      1.5 * 2 ** -24,
      2 ** -126,
      2 ** -133,
      2 ** -134,
      2 ** -149,
      2 ** -150,
      1e-310,
    ],
    ...[
      1 + 2 ** -8,
      1 + 3 * 2 ** -8,
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      1 + 2 ** -24,
      1 + 3 * 2 ** -24,
      2 - 2 ** -11,
      2 - 2 ** -24,
    ],
  ].map((x) => inFormat(x, format));
  const sign = 1n << BigInt(format.bits - 1);
  const infinity = BigInt(2 * format.bias + 1) << BigInt(format.fraction);
  const near = numbers.flatMap((bits) => [bits - 1n, bits, bits + 1n]).filter((bits) => bits >= 0n && bits <= infinity);
  return [...new Set([...near, 1n, 2n, 3n, infinity + 1n, sign - 1n])].flatMap((bits) => [bits, bits | sign]);
}

describe("conversions of nvcc", () => {
  for (const entry of ["from_u8", "from_s8", "from_u16", "from_s16", "from_u32", "from_s32", "from_u64", "from_s64"])
    it(entry, () => {
      const sources = integers.map((value) => BigInt.asUintN(64, value));
      expect(wrong(entry, sources)).toEqual([]);
    });
  for (const [entry, type] of [
    ["from_f16", "f16"],
    ["from_f32", "f32"],
    ["from_f64", "f64"],
  ] as const)
    it(entry, () => expect(wrong(entry, floats(formats[type]))).toEqual([]));

  it("two of f32 to a pair", () => {
    const all = floats(formats.f32);
    const sources = [...all, ...all.slice(0, all.length % 2)].sort(
      (a, b) => Number((a * 7919n) % 65537n) - Number((b * 7919n) % 65537n),
    );
    const forms = assembledForms("conversions", "pairs_of_f32");
    const threads = sources.length;
    const results = new BigUint64Array(forms.length * threads);
    launchFixture("conversions", "pairs_of_f32", { threads }, results, BigUint64Array.from(sources));
    forms.forEach((form, row) => {
      const single = form.replace("x2", "");
      sources.forEach((source, i) => {
        const got = results[row * threads + i]!;
        const halves = [got & 0xffffn, got >> 16n];
        [sources[i ^ 1]!, source].forEach((of, at) => {
          const want = expected(single, of);
          if (want === undefined) expect(isNan(single, halves[at]!), form).toBe(true);
          else expect([form, of.toString(16), halves[at]]).toEqual([form, of.toString(16), want]);
        });
      });
    });
  });

  it("the reference itself: doubles are taken apart and put together, and rounded as JavaScript rounds", () => {
    const double = new DataView(new ArrayBuffer(8));
    for (const bits of floats(formats.f64)) {
      const value = decode(bits, formats.f64);
      if (value) expect(encode(value, formats.f64, "rz")).toBe(bits);
      double.setBigUint64(0, bits);
      const x = double.getFloat64(0);
      double.setFloat32(0, x);
      if (value) expect(encode(value, formats.f32, "rn")).toBe(BigInt(double.getUint32(0)));
      if (value && !isInfinite(value) && Math.abs(x) < 2 ** 52)
        expect(toWhole(value, "rm")).toBe(BigInt(Math.floor(x)));
      if (value) expect(isZero(value)).toBe(x === 0);
    }
  });
});
