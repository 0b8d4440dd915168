/** Instructions on integers in kernels that nvcc compiled, against whole numbers of any length. */
import { describe, expect, it } from "vitest";
import { launchFixture } from "./fixture.ts";
import { formsOf, operandsOf } from "./forms.ts";

type Operands = readonly [x: bigint, y: bigint, z: bigint];
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const greatest = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const size = (a: bigint): bigint => (a < 0n ? -a : a);
const ones = (a: bigint): bigint => BigInt(a.toString(2).replaceAll("0", "").length);
const bitsOf = (a: bigint, bits: number): string => a.toString(2).padStart(bits, "0");
const fromBits = (text: string): bigint => BigInt(`0b${text}`);
/** -1 of zero. */
const highestBit = (a: bigint): bigint => BigInt(a === 0n ? -1 : a.toString(2).length - 1);
const byte = (a: bigint, at: bigint): bigint => (a >> (8n * at)) & 255n;
const bytes = (values: readonly bigint[]): bigint => values.reduceRight((word, value) => (word << 8n) | value, 0n);

/** Byte `selection mod 8` of y, x; or its sign in every bit. */
const chosen = (x: bigint, y: bigint, selection: bigint): bigint => {
  const value = byte((y << 32n) | x, selection & 7n);
  return selection & 8n ? (value & 128n ? 255n : 0n) : value;
};
const permutations: Readonly<Record<string, (x: bigint, y: bigint, z: bigint) => bigint>> = {
  b32: (x, y, z) => bytes([0n, 4n, 8n, 12n].map((at) => chosen(x, y, (z >> at) & 15n))),
  f4e: (x, y, z) => bytes([0n, 1n, 2n, 3n].map((at) => chosen(x, y, (z & 3n) + at))),
  b4e: (x, y, z) => bytes([0n, 1n, 2n, 3n].map((at) => chosen(x, y, ((z & 3n) - at) & 7n))),
  rc8: (x, _, z) => bytes([0n, 1n, 2n, 3n].map(() => byte(x, z & 3n))),
  ecl: (x, _, z) => bytes([0n, 1n, 2n, 3n].map((at) => byte(x, greatest(at, z & 3n)))),
  ecr: (x, _, z) => bytes([0n, 1n, 2n, 3n].map((at) => byte(x, least(at, z & 3n)))),
  rc16: (x, _, z) => bytes([0n, 1n, 0n, 1n].map((at) => byte(x, at + 2n * (z & 1n)))),
};

const comparisons: Readonly<Record<string, (a: bigint, b: bigint) => boolean>> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  lo: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
  hs: (a, b) => a >= b,
};

/** The result of a form by the PTX documentation; operands without sign. */
function expected(form: string, operands: Operands): bigint {
  const [opcode, ...modifiers] = form.split(".") as [string, ...string[]];
  const type = modifiers.at(-1)!;
  const bits = Number(type.slice(1));
  const signed = type.startsWith("s");
  const number = (a: bigint, width = bits): bigint => (signed ? BigInt.asIntN(width, a) : BigInt.asUintN(width, a));
  const [x, y, z] = operands.map((a) => number(a)) as [bigint, bigint, bigint];
  const [plainX, plainY, plainZ] = operands;
  const divisor = BigInt.asUintN(bits, y + 1n) < 2n ? 7n : y;
  const product = modifiers[0] === "hi" ? (x * y) >> BigInt(bits) : x * y;
  const shift = Number(least(BigInt.asUintN(32, plainZ), 64n));
  const shiftWord = Number(least(BigInt.asUintN(32, plainY), 64n));
  const by = BigInt(opcode.startsWith("sh") && bits === 32 ? shiftWord : shift);
  switch (opcode) {
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "mul":
      return product;
    case "mad":
      return product + (modifiers[0] === "wide" ? plainZ : z);
    case "div":
      return x / divisor;
    case "rem":
      return x % divisor;
    case "min":
      return least(x, y);
    case "max":
      return greatest(x, y);
    case "abs":
      return size(x);
    case "neg":
      return -x;
    case "mov":
      return x;
    case "and":
      return x & y;
    case "or":
      return x | y;
    case "xor":
      return x ^ y;
    case "not":
      return ~x;
    case "cnot":
      return x === 0n ? 1n : 0n;
    case "shl":
      return x << by;
    case "shr":
      return x >> by;
    case "sad":
      return z + size(x - y);
    case "bfe": {
      const [start, length] = [plainY & 255n, plainZ & 255n];
      if (length === 0n) return 0n;
      // What lies beyond the word is its sign.
      const field = number(plainX) >> start;
      return signed ? BigInt.asIntN(Number(length), field) : BigInt.asUintN(Number(length), field);
    }
    case "bfi": {
      const [start, length] = [plainZ & 255n, (plainX >> 3n) & 255n];
      const mask = BigInt.asUintN(bits, ((1n << length) - 1n) << start);
      return (plainY & ~mask) | ((plainX << start) & mask);
    }
    case "popc":
      return ones(plainX);
    case "clz":
      return BigInt(bits - 1) - highestBit(plainX);
    case "brev":
      return fromBits([...bitsOf(plainX, bits)].reverse().join(""));
    case "bfind": {
      const found = highestBit(x < 0n ? BigInt.asUintN(bits, ~x) : x);
      return found >= 0n && modifiers[0] === "shiftamt" ? BigInt(bits - 1) - found : found;
    }
    case "prmt":
      return permutations[type]!(plainX, plainY, plainZ);
    case "shf": {
      const count = modifiers[1] === "wrap" ? plainZ & 31n : least(plainZ, 32n);
      const pair = (plainY << 32n) | plainX;
      return modifiers[0] === "l" ? (pair << count) >> 32n : pair >> count;
    }
    case "dp4a": {
      const part = (a: bigint, at: bigint, of: string): bigint =>
        of.startsWith("s") ? BigInt.asIntN(8, byte(a, at)) : byte(a, at);
      return [0n, 1n, 2n, 3n].reduce(
        (sum, at) => sum + part(plainX, at, modifiers[0]!) * part(plainY, at, modifiers[1]!),
        plainZ,
      );
    }
    case "slct":
      return z >= 0n ? plainX : plainY;
    case "set":
      return comparisons[modifiers[0]!]!(x, y) ? -1n : 0n;
    case "setp":
      return comparisons[modifiers[0]!]!(x, y) ? x : y;
    case "cvt": {
      const source = Number(type.slice(1));
      return signed ? BigInt.asIntN(source, plainX) : BigInt.asUintN(source, plainX);
    }
    default:
      throw new Error(`no reference for ${form}`);
  }
}

const threads = 256;

/** The forms whose results are wrong, each with the first. */
function wrong(
  entry: string,
  bits: 16 | 32 | 64,
  edges: readonly bigint[],
  reference: (form: string, operands: Operands) => bigint = expected,
): string[] {
  const forms = formsOf("integers", entry);
  expect(forms.length).toBeGreaterThan(8);
  expect(new Set(forms).size).toBe(forms.length);
  const operands = operandsOf(
    edges.map((edge) => BigInt.asUintN(bits, edge)),
    threads,
  );
  const given = operands.map((values) =>
    bits === 64 ? BigUint64Array.from(values) : (bits === 32 ? Uint32Array : Uint16Array).from(values.map(Number)),
  );
  const out = { 16: Uint16Array, 32: Uint32Array, 64: BigUint64Array };
  const results = new out[bits](forms.length * threads);
  launchFixture("integers", entry, { threads }, results, ...given);
  return forms.flatMap((form, row) => {
    for (let i = 0; i < threads; i++) {
      const of = operands.map((values) => values[i]!) as unknown as Operands;
      // Results of 32 bits in kernels of long words are kept without sign.
      const width = /^(popc|clz|bfind)|^cvt\.[us]32/.test(form) ? 32 : bits;
      const want = BigInt.asUintN(width, reference(form, of));
      const got = BigInt(results[row * threads + i]!);
      if (got !== want)
        return [`${form}(${of.map((a) => a.toString(16))}) = ${got.toString(16)}, not ${want.toString(16)}`];
    }
    return [];
  });
}

/** Around zero, around the ends, and words in which every bit counts; shifts and fields of every sort among them. */
const edgesOf = (bits: bigint): bigint[] => {
  const half = 1n << (bits - 1n);
  const mixed = BigInt.asUintN(Number(bits), 0x9e3779b97f4a7c15n);
  return [0n, 1n, -1n, 2n, 7n, -7n, half, half - 1n, half + 1n, mixed, ~mixed, 0x1f05n, 31n, 32n, 40n, 13n];
};

describe("integers of nvcc", () => {
  it("16 bits", () => expect(wrong("shorts", 16, edgesOf(16n))).toEqual([]));
  it("32 bits", () => expect(wrong("words", 32, edgesOf(32n))).toEqual([]));
  it("64 bits", () => expect(wrong("longs", 64, edgesOf(64n))).toEqual([]));

  it("predicates", () => {
    const signed = (a: bigint): bigint => BigInt.asIntN(32, a);
    const logic: Readonly<Record<string, (a: boolean, b: boolean) => boolean>> = {
      and: (a, b) => a && b,
      or: (a, b) => a || b,
      xor: (a, b) => a !== b,
      not: (a) => !a,
      mov: (a) => a,
    };
    const reference = (form: string, [x, y, z]: Operands): bigint => {
      const [opcode, comparison, combine] = form.split(".") as [string, string, string];
      if (opcode !== "setp") return BigInt(logic[opcode]!(signed(x) < signed(y), signed(y) < signed(z)));
      const [a, b] = form.endsWith("s32") ? [signed(x), signed(y)] : [x, y];
      const holds = comparisons[comparison]!(a, b);
      const third = signed(y) < signed(z);
      return BigInt(Number(logic[combine]!(holds, third)) + 2 * Number(logic[combine]!(!holds, third)));
    };
    expect(wrong("predicates", 32, edgesOf(32n), reference)).toEqual([]);
  });

  it("words apart and together", () => {
    const given = BigUint64Array.from({ length: 32 }, (_, i) => BigInt(i + 1) * 0x9e3779b97f4a7c15n);
    const out = new BigUint64Array(96);
    launchFixture("integers", "parts", { threads: 32 }, out, given);
    given.forEach((x, i) => {
      const parts = [0n, 16n, 32n, 48n].map((at) => (x >> at) & 0xffffn) as [bigint, bigint, bigint, bigint];
      const [a, b, c, d] = parts;
      const join = (values: readonly bigint[]): bigint => values.reduceRight((word, part) => (word << 16n) | part, 0n);
      expect([out[i], out[32 + i], out[64 + i]]).toEqual([join([c, d, a, b]), join([b, a]), join([d, a, b, c])]);
    });
  });
});
