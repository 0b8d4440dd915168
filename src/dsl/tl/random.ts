/**
 * @file `tl`: random numbers that depend on a seed and an offset alone: Philox 4x32 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011), so a backward kernel makes the same ones as the forward kernel without storing them.
 */
import { shapeOf, type Value } from "../../ir/index.ts";
import { broadcastTo, cast, compare, constant, elementwise, isPlain, select } from "../operands.ts";
import { operandOf, type Scalar, type Tile, tileOf, tileValue } from "../tile.ts";
import { emit, fail } from "../trace-context.ts";
import type { OffsetDType, Shape } from "../types.ts";

/** The multipliers and the Weyl increments of the key, from the paper. */
const multipliers = [0xd2511f53, 0xcd9e8d57] as const;
const increments = [0x9e3779b9, 0xbb67ae85] as const;

/** Triton's factor from 31 bits to [0, 1): a little less than 2^-31, so that the result stays below 1 after rounding. */
const uniformScale = 4.6566127342e-10;

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

/** The four u32 words of Philox 4x32 for the counter (offset, 0, 0) and the seed as key. */
function philox(seed: Seed, offset: unknown, rounds: number): [Value, Value, Value, Value] {
  if (!Number.isInteger(rounds) || rounds < 1)
    fail("CONSTANT", `the rounds of Philox must be a positive integer, got ${rounds}`);
  const start = operandOf(offset, "the offset");
  let [c0, c1] = words(isPlain(start) ? constant(start, "i64") : start, "the offset");
  const shape = shapeOf(c0.type);
  let c2 = constant(0, "u32", shape);
  let c3 = constant(0, "u32", shape);
  // The key stays scalar, which keeps its arithmetic out of the threads; it broadcasts where it meets the counter.
  let [k0, k1] = seedWords(seed);
  for (let round = 0; round < rounds; round++) {
    if (round > 0) {
      k0 = elementwise("add", [k0, increments[0]]);
      k1 = elementwise("add", [k1, increments[1]]);
    }
    const product = (opcode: "mul" | "umulhi", which: 0 | 1, counter: Value): Value =>
      elementwise(opcode, [counter, multipliers[which]]);
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

/**
 * Uniform random f32 in [0, 1), one for each offset, equal to Triton's `tl.rand` for offsets of 32 bits.
 *
 * @param seed A number, an integer scalar, or two u32 words; 64 bits are used.
 * @param offset Which of the seed's numbers: an i32, u32 or i64 tile. (An i64 offset is a 64-bit counter of the same generator; Triton switches to
 * another one there.)
 * @param rounds Rounds of Philox: 10 by default; 6 is the least that is considered safe (FlagAttention uses it), 7 the paper's.
 */
export function rand<S extends Shape>(seed: Seed, offset: Tile<OffsetDType, S>, rounds = 10): Tile<"f32", S> {
  const bits = emit("bitcast", [philox(seed, offset, rounds)[0]], { dtype: "i32" });
  // -x - 1 is the complement of x.
  const positive = select(compare("lt", bits, 0), elementwise("not", [bits]), bits);
  return tileOf(elementwise("mul", [cast(positive, "f32"), uniformScale]));
}

/** Random 32-bit integers as i32, one for each offset; arguments as of `rand`. */
export function randint<S extends Shape>(seed: Seed, offset: Tile<OffsetDType, S>, rounds = 10): Tile<"i32", S> {
  return tileOf(emit("bitcast", [philox(seed, offset, rounds)[0]], { dtype: "i32" }));
}

/** The four u32 words of one Philox call for each offset: four independent numbers for the price of one. Arguments as of `rand`. */
export function randint4x<S extends Shape>(
  seed: Seed,
  offset: Tile<OffsetDType, S>,
  rounds = 10,
): [Tile<"u32", S>, Tile<"u32", S>, Tile<"u32", S>, Tile<"u32", S>] {
  const [a, b, c, d] = philox(seed, offset, rounds);
  return [tileOf(a), tileOf(b), tileOf(c), tileOf(d)];
}
