/** Instructions on floats in kernels that nvcc compiled, against fractions of whole numbers; functions within what PTX promises. */
import { describe, expect, it } from "vitest";
import * as exact from "./exact-floats.ts";
import { decode, encode, type Format, formats, type Mode, type Value } from "./exact-floats.ts";
import { launchFixture } from "./fixture.ts";
import { formsOf, operandsOf } from "./forms.ts";

type Three = readonly [x: Value, y: Value, z: Value];
const threads = 256;

const ordered: Readonly<Record<string, (order: number) => boolean>> = {
  eq: (order) => order === 0,
  ne: (order) => order !== 0,
  lt: (order) => order < 0,
  le: (order) => order <= 0,
  gt: (order) => order > 0,
  ge: (order) => order >= 0,
};

/** With `u`, and only then, true of what is not a number. */
function holds(comparison: string, x: Value, y: Value): boolean {
  if (comparison === "nan" || comparison === "num")
    return (x === undefined || y === undefined) === (comparison === "nan");
  if (x === undefined || y === undefined) return comparison.length === 3;
  return ordered[comparison.slice(0, 2)]!(exact.compare(x, y));
}

/** -0 is negative, as is a number, whatever it is, with the sign. */
function isClass(name: string, x: Value, format: Format): boolean {
  const finite = x !== undefined && !exact.isInfinite(x);
  const subnormal = finite && !exact.isZero(x) && exact.isZero(exact.flush(x, format)!);
  const classes: Readonly<Record<string, boolean>> = {
    finite,
    infinite: x !== undefined && !finite,
    number: x !== undefined,
    notanumber: x === undefined,
    normal: finite && !exact.isZero(exact.flush(x, format)!),
    subnormal,
  };
  return classes[name]!;
}

/** The value that a form gives, to be rounded in `mode`; undefined is not a number. */
function exactly(opcode: string, modifiers: readonly string[], mode: Mode, [x, y, z]: Three, format: Format): Value {
  const truth = (value: boolean): Value => exact.whole(value ? 1n : 0n);
  const logic: Readonly<Record<string, (a: boolean, b: boolean) => boolean>> = {
    and: (a, b) => a && b,
    or: (a, b) => a || b,
    xor: (a, b) => a !== b,
  };
  switch (opcode) {
    case "add":
      return exact.add(x, y, mode);
    case "sub":
      return exact.add(x, exact.negate(y), mode);
    case "mul":
      return exact.multiply(x, y);
    case "fma":
    case "mad":
      return exact.add(exact.multiply(x, y), z, mode);
    case "div":
      return exact.quotient(x, y);
    case "rcp":
      return exact.quotient(exact.whole(1n), x);
    case "sqrt":
      return exact.squareRoot(x);
    case "min":
    case "max":
      return exact.extreme(opcode, x, y, modifiers.includes("NaN"));
    case "mov":
      return x;
    case "cvt":
      return modifiers[0]!.startsWith("r") && x ? exact.integral(x, mode) : x;
    case "setp": {
      const first = holds(modifiers[0]!, x, y);
      const combine = logic[modifiers[1]!];
      return truth(combine ? combine(first, holds("lt", y, z)) : first);
    }
    case "set":
      return truth(holds(modifiers[0]!, x, y));
    case "slct":
      return z === undefined || (z.negative && !exact.isZero(z)) ? y : x;
    case "testp":
      return truth(isClass(modifiers[0]!, x, format));
    default:
      throw new Error(`no reference for ${opcode}`);
  }
}

/** The bits that a form gives on bits; undefined is not a number. */
function expected(form: string, given: readonly bigint[], format: Format): bigint | undefined {
  const [opcode, ...modifiers] = form.split(".") as [string, ...string[]];
  const has = (name: string): boolean => modifiers.includes(name);
  const sign = 1n << BigInt(format.bits - 1);
  const small = (value: Value): Value => (has("ftz") ? exact.flush(value, format) : value);
  const values = given.map((bits) => small(decode(bits, format))) as unknown as Three;
  // Signs are bits, even of what is not a number; which NaN abs and neg of one give is left open.
  if (opcode === "copysign") return (given[1]! & ~sign) | (given[0]! & sign);
  if (opcode === "abs" || opcode === "neg") {
    if (values[0] === undefined) return undefined;
    return encode({ ...values[0], negative: opcode === "neg" && !values[0].negative }, format, "rn");
  }
  const mode = (modifiers.find((name) => /^r[nzmp]i?$/.test(name))?.slice(0, 2) ?? "rn") as Mode;
  const value = exactly(opcode, modifiers, mode, values, format);
  const limited = has("sat") ? exact.saturate(value) : has("relu") ? exact.positive(value) : value;
  const rounded = encode(limited, format, mode);
  return rounded === undefined ? undefined : encode(small(decode(rounded, format)), format, "rn");
}

/** The forms that give something wrong, each with the first. */
function wrong(entry: string, name: keyof typeof formats, edges: readonly bigint[]): string[] {
  const format = formats[name];
  const pairs = entry.endsWith("_pairs");
  const forms = formsOf("floats", entry);
  expect(forms.length).toBeGreaterThan(7);
  expect(new Set(forms).size).toBe(forms.length);
  const operands = operandsOf(edges, threads);
  // In pairs, the upper half holds the other threads' numbers in turn.
  const words = operands.map((values) =>
    pairs ? values.map((value, i) => value | (values[(i + 100) % threads]! << 16n)) : values,
  );
  const bits = pairs ? 32 : format.bits;
  const given = words.map((values) =>
    bits === 64 ? BigUint64Array.from(values) : (bits === 32 ? Uint32Array : Uint16Array).from(values.map(Number)),
  );
  const results = bits === 64 ? BigUint64Array : bits === 32 ? Uint32Array : Uint16Array;
  const out = new results(forms.length * threads);
  launchFixture("floats", entry, { threads }, out, ...given);
  return forms.flatMap((form, row) => {
    // A predicate becomes the float 1 in words, the integer 1 in halves.
    const integer = form.startsWith("setp") && format.bits === 16;
    for (let i = 0; i < threads; i++)
      for (let half = 0; half < (pairs ? 2 : 1); half++) {
        const of = operands.map((values) => values[(i + 100 * half) % threads]!);
        const got = BigInt.asUintN(format.bits, BigInt(out[row * threads + i]!) >> BigInt(16 * half));
        const float = expected(form, of, format);
        const want = integer ? BigInt(float !== 0n) : float;
        if (want === undefined ? decode(got, format) !== undefined : got !== want)
          return [`${form}(${of.map((a) => a.toString(16))}) = ${got.toString(16)}, not ${want?.toString(16)}`];
      }
    return [];
  });
}

/** Numbers of one size, ends, subnormal numbers, infinities and two NaNs; of both signs. */
function edges({ bits, fraction, bias }: Format): bigint[] {
  const one = BigInt(bias) << BigInt(fraction);
  const infinity = BigInt(2 * bias + 1) << BigInt(fraction);
  const sign = 1n << BigInt(bits - 1);
  const odd = (1n << BigInt(fraction)) / 3n;
  const least = 1n << BigInt(fraction);
  // Near one, so that sums and products have to be rounded.
  const near = [one, one + 1n, one + odd, (one - odd) | sign, one + least + 2n * odd + 1n, (one + least) | sign];
  const ends = [0n, sign, 1n, sign | (least - 1n), least + odd, infinity - 1n, (infinity - 1n) | sign];
  return [...near, ...ends, infinity, infinity | sign, infinity + odd];
}

describe("floats of nvcc", () => {
  it("f32", () => expect(wrong("singles", "f32", edges(formats.f32))).toEqual([]));
  it("f64", () => expect(wrong("doubles", "f64", edges(formats.f64))).toEqual([]));
  it("f16", () => expect(wrong("halves", "f16", edges(formats.f16))).toEqual([]));
  it("bf16", () => expect(wrong("brains", "bf16", edges(formats.bf16))).toEqual([]));
  it("f16x2", () => expect(wrong("half_pairs", "f16", edges(formats.f16))).toEqual([]));
  it("bf16x2", () => expect(wrong("brain_pairs", "bf16", edges(formats.bf16))).toEqual([]));
});

/** A function with the largest error that PTX allows it. */
interface Bound {
  readonly value: (x: number, y: number) => number;
  readonly relative?: number;
  readonly absolute?: number;
  /** Of the range in which something is promised. */
  readonly within?: number;
}

const bounds: Readonly<Record<string, Bound>> = {
  ex2: { value: (x) => 2 ** x, relative: 2 ** -22 },
  // Near one the error is absolute.
  lg2: { value: Math.log2, relative: 2 ** -22, absolute: 2 ** -22 },
  rcp: { value: (x) => 1 / x, relative: 2 ** -23 },
  rsqrt: { value: (x) => (x < 0 ? Number.NaN : 1 / Math.sqrt(x)), relative: 2 ** -22.9 },
  sqrt: { value: Math.sqrt, relative: 2 ** -23 },
  sin: { value: Math.sin, absolute: 2 ** -20.5, within: 2 * Math.PI },
  cos: { value: Math.cos, absolute: 2 ** -20.5, within: 2 * Math.PI },
  tanh: { value: Math.tanh, relative: 2 ** -11 },
  div: { value: (x, y) => x / y, relative: 2 ** -22 },
};

/** Whether a result is what PTX allows, for f32 or, with `least` as its smallest number, a shorter float. */
function allowed({ relative = 0, absolute = 0 }: Bound, value: number, got: number, least: number): boolean {
  if (Number.isNaN(value)) return Number.isNaN(got);
  if (!Number.isFinite(value) || value === 0) return Object.is(got, value);
  return Math.abs(got - value) <= relative * Math.abs(value) + absolute + least;
}

describe("functions of nvcc", () => {
  it("f32", () => {
    const numbers = [
      ...[0, -0, 1, -1, 0.5, 2, 0.999, 1.001, 3.1, -2.7, 6.2, -6.28, 1e-3, -1e-3, 20, -20, 88, -88, 126.5],
      ...[
        -126.5,
        -140.25,
        -149.5,
        128,
        -151,
        1e-38,
        1.5e-39,
        -1.5e-39,
        2 ** -149,
        1e10,
        -1e10,
        3e38,
        Infinity,
        -Infinity,
        NaN,
      ],
    ].map(Math.fround);
    const xs = Float32Array.from(
      { length: 128 },
      (_, i) => numbers[i % numbers.length]! * (1 + Math.floor(i / numbers.length) / 8),
    );
    const ys = Float32Array.from(
      { length: 128 },
      (_, i) => [1, -3, 0.7, 1e-30, 1e30, 2 ** -126, 2 ** 126, -7.5][(i * 5) % 8]!,
    );
    const forms = formsOf("floats", "approximate");
    const out = new Float32Array(forms.length * xs.length);
    launchFixture("floats", "approximate", { threads: xs.length }, out, xs, ys);
    const wrongs = forms.flatMap((form, row) => {
      const bound = bounds[form.split(".")[0]!]!;
      const flushes = form.includes("ftz");
      const small = (a: number): number => (Math.abs(a) < 2 ** -126 ? a * 0 : a);
      for (const [i, given] of xs.entries()) {
        if (bound.within && Number.isFinite(given) && Math.abs(given) > bound.within) continue;
        const x = flushes ? small(given) : given;
        const full = bound.value(x, ys[i]!);
        const single = Math.fround(full);
        const got = out[row * xs.length + i]!;
        // Rounding to f32 may overflow, underflow and flush.
        const value = !Number.isFinite(single) ? single : flushes && Math.abs(full) < 2 ** -126 ? full * 0 : full;
        if (!allowed(bound, single === 0 ? single : value, got, flushes ? 0 : 2 ** -149))
          return [`${form}(${given}, ${ys[i]}) = ${got}, not ${value}`];
      }
      return [];
    });
    expect(wrongs).toEqual([]);
  });

  it("f16, every eighth number", () => {
    const all = Uint16Array.from({ length: 8192 }, (_, i) => i * 8);
    const value = (bits: number): number => {
      const real = decode(BigInt(bits), formats.f16);
      if (real === undefined) return Number.NaN;
      const size = exact.isInfinite(real) ? Infinity : Number(real.top) / Number(real.bottom);
      return real.negative ? -size : size;
    };
    const wrongs: string[] = [];
    for (let first = 0; first < all.length; first += 1024) {
      const xs = all.slice(first, first + 1024);
      const out = new Uint16Array(2 * 1024);
      launchFixture("floats", "approximate_halves", { threads: 1024 }, out, xs);
      xs.forEach((bits, i) => {
        const x = value(bits);
        const [power, tangent] = [value(out[i]!), value(out[1024 + i]!)];
        const wanted = 2 ** x >= 65520 ? Infinity : 2 ** x < 2 ** -25 ? 0 : 2 ** x;
        if (!allowed({ ...bounds.ex2!, relative: 2 ** -9.9 }, wanted, power, 2 ** -24))
          wrongs.push(`ex2(${x}) = ${power}`);
        if (!allowed({ ...bounds.tanh!, relative: 0, absolute: 2 ** -10.987 }, Math.tanh(x), tangent, 0))
          wrongs.push(`tanh(${x}) = ${tangent}`);
      });
    }
    expect(wrongs).toEqual([]);
  });
});
