/**
 * @file Philox 4x32 and 4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3) in big integers, and
 * Triton's uniform numbers from them, written down independently of the library. Checked by the known answers of Random123 in random.test.ts.
 */
export type Words = readonly [bigint, bigint, bigint, bigint];

interface Constants {
  readonly bits: bigint;
  readonly multipliers: readonly [bigint, bigint];
  readonly increments: readonly [bigint, bigint];
}

const of32: Constants = {
  bits: 32n,
  multipliers: [0xd2511f53n, 0xcd9e8d57n],
  increments: [0x9e3779b9n, 0xbb67ae85n],
};
const of64: Constants = {
  bits: 64n,
  multipliers: [0xd2e7470ee14c6c93n, 0xca5a826395121157n],
  increments: [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn],
};

function philox(
  { bits, multipliers, increments }: Constants,
  rounds: number,
  counter: Words,
  key: readonly [bigint, bigint],
): Words {
  const mask = (1n << bits) - 1n;
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const [p0, p1] = [multipliers[0] * x0, multipliers[1] * x2];
    [x0, x1, x2, x3] = [(p1 >> bits) ^ x1 ^ k0, p1 & mask, (p0 >> bits) ^ x3 ^ k1, p0 & mask];
    [k0, k1] = [(k0 + increments[0]) & mask, (k1 + increments[1]) & mask];
  }
  return [x0, x1, x2, x3];
}

export const philox4x32 = (rounds: number, counter: Words, key: readonly [bigint, bigint]): Words =>
  philox(of32, rounds, counter, key);
export const philox4x64 = (rounds: number, counter: Words, key: readonly [bigint, bigint]): Words =>
  philox(of64, rounds, counter, key);

/** The nearest f32 of an integer of up to 63 bits, ties to even. (A detour over f64 would round twice.) */
function f32OfInteger(x: bigint): number {
  const shift = BigInt(Math.max(0, x.toString(2).length - 24));
  const [kept, rest] = [x >> shift, x & ((1n << shift) - 1n)];
  const half = shift === 0n ? 0n : 1n << (shift - 1n);
  const up = shift > 0n && (rest > half || (rest === half && (kept & 1n) === 1n));
  return Number((kept + (up ? 1n : 0n)) << shift);
}

/** Triton's number in [0, 1) from a word. */
export function tritonUniform(word: bigint, bits: 32 | 64): number {
  const signed = BigInt.asIntN(bits, word);
  const positive = signed < 0n ? -signed - 1n : signed;
  return Math.fround(f32OfInteger(positive) * Math.fround(bits === 32 ? 4.6566127342e-10 : 1.0842020432385337e-19));
}

/** What Triton's `tl.rand(seed, offset, rounds)` gives: with 32-bit offsets the 32-bit generator, else the 64-bit one. */
export function tritonRand(seed: bigint, offset: bigint, rounds: number, bits: 32 | 64): number {
  const word64 = (x: bigint) => BigInt.asUintN(64, x);
  const low = (x: bigint) => BigInt.asUintN(32, x);
  const [word] =
    bits === 32
      ? philox4x32(rounds, [low(offset), 0n, 0n, 0n], [low(seed), low(seed >> 32n)])
      : philox4x64(rounds, [word64(offset), 0n, 0n, 0n], [word64(seed), 0n]);
  return tritonUniform(word, bits);
}

/** The upper 32 bits of a product of two words. */
const highWord = (a: number, b: number): number =>
  Math.floor(((a >>> 16) * b + Math.floor(((a & 0xffff) * b) / 65536)) / 65536);

/** `tritonRand(seed, offset, rounds, 32)` in numbers instead of big integers, for samples of millions. `key`: the words of the seed. */
export function fastTritonRand(key: readonly [low: number, high: number], offset: number, rounds: number): number {
  let [k0, k1] = key;
  let x0 = offset >>> 0;
  let x1 = 0;
  let x2 = 0;
  let x3 = 0;
  for (let round = 0; round < rounds; round++) {
    const y0 = (highWord(0xcd9e8d57, x2) ^ x1 ^ k0) >>> 0;
    const y2 = (highWord(0xd2511f53, x0) ^ x3 ^ k1) >>> 0;
    x1 = Math.imul(0xcd9e8d57, x2) >>> 0;
    x3 = Math.imul(0xd2511f53, x0) >>> 0;
    x0 = y0;
    x2 = y2;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  const signed = x0 | 0;
  return Math.fround(Math.fround(signed < 0 ? -signed - 1 : signed) * Math.fround(4.6566127342e-10));
}
