/**
 * @file `tl`: random numbers that depend on a seed and an offset alone: Philox (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011), so a backward kernel makes the same ones as the forward kernel without storing them.
 */
import { shapeOf, type Value } from "../../ir/index.ts";
import { broadcastTo, cast, compare, constant, elementwise, isPlain, select } from "../operands.ts";
import { type Scalar, type Tile, tileOf, tileValue } from "../tile.ts";
import { asOneCall, emit, fail } from "../trace-context.ts";
import type { OffsetDType, Shape } from "../types.ts";
import { loop } from "./control.ts";

/** The multipliers and the Weyl increments of the key, from the paper. */
const multipliers32 = [0xd2511f53, 0xcd9e8d57] as const;
const increments32 = [0x9e3779b9, 0xbb67ae85] as const;
const multipliers64 = [0xd2e7470ee14c6c93n, 0xca5a826395121157n] as const;
const increments64 = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn] as const;

/** Triton's factors from 31 and 63 bits to [0, 1): a little less than 2^-31 and 2^-63, so that the result stays below 1 after rounding. */
const uniformScale = { i32: 4.6566127342e-10, i64: 1.0842020432385337e-19 } as const;

/** A whole number, an integer scalar, or the low and high word of 64 bits. */
export type Seed = number | bigint | Scalar<OffsetDType> | readonly [low: Scalar<"u32">, high: Scalar<"u32">];

/** The low and high u32 word of an integer. A 32-bit one is not sign-extended: its high word is 0. */
function words(x: Value, what: string): [Value, Value] {
  const dtype = x.type.dtype;
  if (dtype === "u32" || dtype === "i32") {
    const low = dtype === "u32" ? x : emit("bitcast", [x], { dtype: "u32" });
    return [low, constant(0, "u32", shapeOf(x.type))];
  }
  if (dtype !== "i64") fail("DTYPE", `${what} must be i32, u32 or i64, got ${dtype}`);
  const low = elementwise("and", [x, 0xffffffff]);
  const high = elementwise("and", [elementwise("shr", [x, 32]), 0xffffffff]);
  return [cast(low, "u32"), cast(high, "u32")];
}

function seedWords(seed: Seed): [Value, Value] {
  if (isPlain(seed)) {
    const bits = BigInt.asUintN(64, BigInt(seed));
    return [constant(Number(bits & 0xffffffffn), "u32"), constant(Number(bits >> 32n), "u32")];
  }
  if (!Array.isArray(seed)) return words(tileValue(seed, "the seed"), "the seed");
  const [low, high] = seed.map((word, i) => tileValue(word, `word ${i} of the seed`));
  for (const word of [low!, high!])
    if (word.type.dtype !== "u32") fail("DTYPE", `the two words of a seed must be u32, got ${word.type.dtype}`);
  return [low!, high!];
}

/** The counter of Philox; the first word counts, the others are 0. */
type Counter<Word> = [Word, Word, Word, Word];

/** The four u32 words of Philox 4x32 for the counter (offset, 0, 0, 0) and the seed as key. */
function philox32(seed: Seed, offset: Value, rounds: number): Counter<Value> {
  const shape = shapeOf(offset.type);
  const zero = constant(0, "u32", shape);
  const start = offset.type.dtype === "u32" ? offset : emit("bitcast", [offset], { dtype: "u32" });
  let [c0, c1, c2, c3]: Counter<Value> = [start, zero, zero, zero];
  // The key stays scalar, which keeps its arithmetic out of the threads; it broadcasts where it meets the counter.
  let [k0, k1] = seedWords(seed);
  for (let round = 0; round < rounds; round++) {
    if (round > 0) {
      k0 = elementwise("add", [k0, increments32[0]]);
      k1 = elementwise("add", [k1, increments32[1]]);
    }
    const product = (opcode: "mul" | "umulhi", which: 0 | 1, counter: Value): Value =>
      elementwise(opcode, [counter, multipliers32[which]]);
    const mixed = (high: Value, counter: Value, key: Value): Value =>
      elementwise("xor", [elementwise("xor", [high, counter]), broadcastTo(key, shape, "rand")]);
    [c0, c1, c2, c3] = [
      mixed(product("umulhi", 1, c2), c1, k0),
      product("mul", 1, c2),
      mixed(product("umulhi", 0, c0), c3, k1),
      product("mul", 0, c0),
    ];
  }
  return [c0, c1, c2, c3];
}

/** 64 bits as two u32 values, which every target can multiply exactly. */
type Wide = readonly [low: Value, high: Value];

/** a · b in 128 bits, for a constant b: the lower and the upper 64. */
function multiplyWide([low, high]: Wide, factor: bigint): readonly [lower: Wide, upper: Wide] {
  const [factorLow, factorHigh] = [Number(factor & 0xffffffffn), Number(factor >> 32n)];
  const partial = (x: Value, y: number): Wide => [elementwise("mul", [x, y]), elementwise("umulhi", [x, y])];
  const [ll, lh, hl, hh] = [
    partial(low, factorLow),
    partial(low, factorHigh),
    partial(high, factorLow),
    partial(high, factorHigh),
  ];
  // Columns of the schoolbook product, 32 bits each; what a column carries is 0, 1 or 2.
  const [second, carryToThird] = sumWithCarry([ll[1], lh[0], hl[0]]);
  const [third, carryToFourth] = sumWithCarry([lh[1], hl[1], hh[0], carryToThird]);
  return [
    [ll[0], second],
    [third, elementwise("add", [hh[1], carryToFourth])],
  ];
}

/** The sum of u32 values modulo 2^32, and how often it passed 2^32. */
function sumWithCarry([first, ...rest]: readonly Value[]): readonly [sum: Value, carry: Value] {
  let sum = first!;
  let carry: Value | undefined;
  for (const term of rest) {
    sum = elementwise("add", [sum, term]);
    const wrapped = cast(compare("lt", sum, term), "u32");
    carry = carry ? elementwise("add", [carry, wrapped]) : wrapped;
  }
  return [sum, carry!];
}

const xorWide = (a: Wide, b: Wide): Wide => [elementwise("xor", [a[0], b[0]]), elementwise("xor", [a[1], b[1]])];

/**
 * The four i64 words of Philox 4x64 for the counter (offset, 0, 0, 0) and the key (seed, 0), as Triton has it for 64-bit offsets. The rounds
 * stay a loop: a round is long in words of 32 bits, and some drivers take exponential time for a chain of them.
 */
function philox64(seed: Seed, offset: Value, rounds: number): Counter<Value> {
  const shape = shapeOf(offset.type);
  const zero = tileOf(constant(0, "u32", shape));
  const [low, high] = words(offset, "the offset").map(tileOf);
  const [keyLow, keyHigh] = [tileOf(join(seedWords(seed))), tileOf(constant(0, "i64"))];
  const start = { low0: low, high0: high, low1: zero, high1: zero, low2: zero, high2: zero, low3: zero, high3: zero };
  const end = loop({ to: rounds }, { ...start, keyLow, keyHigh }, (_, s) => {
    const keyWords = (key: Tile<"i64", readonly []>) =>
      words(key.value, "the key").map((word) => broadcastTo(word, shape, "rand")) as unknown as Wide;
    const [lower0, upper0] = multiplyWide([s.low0.value, s.high0.value], multipliers64[0]);
    const [lower2, upper2] = multiplyWide([s.low2.value, s.high2.value], multipliers64[1]);
    const first = xorWide(xorWide(upper2, [s.low1.value, s.high1.value]), keyWords(s.keyLow));
    const third = xorWide(xorWide(upper0, [s.low3.value, s.high3.value]), keyWords(s.keyHigh));
    const [low0, high0, low1, high1, low2, high2, low3, high3] = [...first, ...lower2, ...third, ...lower0].map(tileOf);
    const next = { low0, high0, low1, high1, low2, high2, low3, high3 };
    const [step0, step1] = increments64.map((increment) => BigInt.asIntN(64, increment));
    const keys = [elementwise("add", [s.keyLow.value, step0!]), elementwise("add", [s.keyHigh.value, step1!])];
    return { ...next, keyLow: tileOf(keys[0]!), keyHigh: tileOf(keys[1]!) };
  });
  const word = (low: Tile<"u32", Shape>, high: Tile<"u32", Shape>): Value => join([low.value, high.value]);
  return [word(end.low0, end.high0), word(end.low1, end.high1), word(end.low2, end.high2), word(end.low3, end.high3)];
}

/** The i64 of two words. */
const join = ([low, high]: Wide): Value =>
  elementwise("or", [elementwise("shl", [cast(high, "i64"), 32]), cast(low, "i64")]);

/** Four words of the generator that the offset's dtype asks for: u32, or i64 for an i64 offset. */
function philox(seed: Seed, offset: unknown, rounds: number): Counter<Value> {
  if (!Number.isInteger(rounds) || rounds < 1)
    fail("CONSTANT", `the rounds of Philox must be a positive integer, got ${rounds}`);
  const start = tileValue(offset, "the offset");
  const { dtype } = start.type;
  if (dtype === "i64") return asOneCall(philox, () => philox64(seed, start, rounds));
  if (dtype !== "i32" && dtype !== "u32") fail("DTYPE", `the offset must be i32, u32 or i64, got ${dtype}`);
  return asOneCall(philox, () => philox32(seed, start, rounds));
}

/** The signed integers that the generator gives: i32, or i64 for an i64 offset. */
type Signed<O extends OffsetDType> = O extends "i64" ? "i64" : "i32";
/** Its words: u32, or i64 for an i64 offset. */
type Word<O extends OffsetDType> = O extends "i64" ? "i64" : "u32";

const signed = (word: Value): Value => (word.type.dtype === "u32" ? emit("bitcast", [word], { dtype: "i32" }) : word);

/**
 * Uniform random f32 in [0, 1), one for each offset, equal to Triton's `tl.rand` bit for bit: for i32 and u32 offsets from Philox 4x32, for
 * i64 offsets from Philox 4x64. The two give different numbers for one offset.
 *
 * @param seed A number, an integer scalar, or two u32 words; 64 bits are used.
 * @param offset Which of the seed's numbers: an i32, u32 or i64 tile.
 * @param rounds Rounds of Philox: 10 by default; 6 is the least that is considered safe (FlagAttention uses it), 7 the paper's.
 */
export function rand<O extends OffsetDType, S extends Shape>(
  seed: Seed,
  offset: Tile<O, S>,
  rounds = 10,
): Tile<"f32", S> {
  return tileOf(uniform(philox(seed, offset, rounds)[0]));
}

/** A word as an f32 in [0, 1). */
function uniform(word: Value): Value {
  const bits = signed(word);
  // -x - 1 is the complement of x.
  const positive = select(compare("lt", bits, 0), elementwise("not", [bits]), bits);
  return elementwise("mul", [cast(positive, "f32"), uniformScale[bits.type.dtype as "i32" | "i64"]]);
}

/**
 * Normal random f32 (mean 0, standard deviation 1), one for each offset, from the numbers that Triton's `tl.randn` takes, by Box and Muller's method;
 * targets round its functions differently. Arguments as of `rand`.
 */
export function randn<O extends OffsetDType, S extends Shape>(
  seed: Seed,
  offset: Tile<O, S>,
  rounds = 10,
): Tile<"f32", S> {
  const [first, second] = philox(seed, offset, rounds);
  const radius: Tile<"f32", S> = tileOf(elementwise("max", [uniform(first), 1e-7]));
  const angle: Tile<"f32", S> = tileOf(elementwise("mul", [uniform(second), 2 * Math.PI]));
  return tileOf(elementwise("mul", [radius.log().mul(-2).sqrt().value, angle.cos().value]));
}

/** Random integers, one for each offset: i32, or i64 for i64 offsets; arguments as of `rand`. */
export function randint<O extends OffsetDType, S extends Shape>(
  seed: Seed,
  offset: Tile<O, S>,
  rounds = 10,
): Tile<Signed<O>, S> {
  return tileOf(signed(philox(seed, offset, rounds)[0]));
}

/**
 * The four words of one Philox call for each offset: four independent numbers for the price of one. u32, or i64 for i64 offsets. Arguments as
 * of `rand`.
 */
export function randint4x<O extends OffsetDType, S extends Shape>(
  seed: Seed,
  offset: Tile<O, S>,
  rounds = 10,
): [Tile<Word<O>, S>, Tile<Word<O>, S>, Tile<Word<O>, S>, Tile<Word<O>, S>] {
  const [a, b, c, d] = philox(seed, offset, rounds);
  return [tileOf(a), tileOf(b), tileOf(c), tileOf(d)];
}
