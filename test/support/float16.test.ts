import { describe, expect, it } from "vitest";
import {
  bf16BitsToF32,
  bf16ToFloat32,
  f16BitsToF32,
  f16ToFloat32,
  f32ToBf16Bits,
  f32ToF16Bits,
  float32ToBf16,
  float32ToF16,
  roundToBf16,
  roundToF16,
} from "../../src/support/float16.ts";

/** The value of a 16-bit float by its definition, without any bit trick. */
function valueOfBits(bits: number, exponentBits: number): number {
  const fractionBits = 15 - exponentBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor((bits % 0x8000) / 2 ** fractionBits);
  const fraction = (bits % 2 ** fractionBits) / 2 ** fractionBits;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

/**
 * Round to nearest even by search: all finite values of the format in order, the two neighbours of `value`, the nearer one, on a tie
 * the one with even bits. 2^(emax+1) stands for infinity, as IEEE 754 says.
 */
function nearest(value: number, exponentBits: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  const infinity = (2 ** exponentBits - 1) * 2 ** (15 - exponentBits);
  const at = (bits: number): number =>
    bits === infinity ? 2 ** (2 ** (exponentBits - 1)) : valueOfBits(bits, exponentBits);
  let low = 0;
  let high = infinity;
  if (magnitude >= at(high)) return sign | infinity;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) <= magnitude) low = middle;
    else high = middle;
  }
  const below = magnitude - at(low);
  const above = at(high) - magnitude;
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high);
}

const formats = [
  {
    name: "f16",
    exponentBits: 5,
    toBits: f32ToF16Bits,
    fromBits: f16BitsToF32,
    pack: float32ToF16,
    unpack: f16ToFloat32,
    round: roundToF16,
  },
  {
    name: "bf16",
    exponentBits: 8,
    toBits: f32ToBf16Bits,
    fromBits: bf16BitsToF32,
    pack: float32ToBf16,
    unpack: bf16ToFloat32,
    round: roundToBf16,
  },
];

describe.each(formats)("$name", ({ exponentBits, toBits, fromBits, pack, unpack, round }) => {
  const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

  it("gives every bit pattern its value", () => {
    const wrong = Array.from(all).filter((bits) => !Object.is(fromBits(bits), valueOfBits(bits, exponentBits)));
    expect(wrong).toEqual([]);
    expect(unpack(all)).toEqual(Float32Array.from(all, fromBits));
  });

  it("comes back from f32 unchanged for every bit pattern (a NaN as a quiet NaN)", () => {
    const back = pack(unpack(all));
    const wrong = Array.from(all).filter((bits) => {
      if (!Number.isNaN(fromBits(bits))) return back[bits] !== bits || toBits(fromBits(bits)) !== bits;
      return !Number.isNaN(fromBits(back[bits]!)) || !Number.isNaN(fromBits(toBits(NaN)));
    });
    expect(wrong).toEqual([]);
  });

  it("rounds to nearest even around every value, half way and one f32 step to each side of half way", () => {
    const infinity = (2 ** exponentBits - 1) * 2 ** (15 - exponentBits);
    const step = new Float32Array(1);
    const stepBits = new Uint32Array(step.buffer);
    const wrong: number[] = [];
    for (let bits = 0; bits < infinity; bits++) {
      const next = bits + 1 === infinity ? 2 ** (2 ** (exponentBits - 1)) : valueOfBits(bits + 1, exponentBits);
      step[0] = valueOfBits(bits, exponentBits) / 2 + next / 2; // exact in f32 (a bf16 denormal half is an f32 denormal)
      for (const delta of [-1, 0, 1]) {
        stepBits[0]! += delta;
        for (const value of [step[0]!, -step[0]!])
          if (toBits(value) !== nearest(value, exponentBits)) wrong.push(value);
        stepBits[0]! -= delta;
      }
    }
    expect(wrong).toEqual([]);
  });

  it("rounds f32 patterns of every exponent", () => {
    const word = new Uint32Array(1);
    const value = new Float32Array(word.buffer);
    const wrong: number[] = [];
    for (let k = 0; k < 200_000; k++) {
      word[0] = Math.imul(k, 0x9e3779b1); // a full-period walk through the 32-bit patterns
      const expected = Number.isNaN(value[0]) ? NaN : valueOfBits(nearest(value[0]!, exponentBits), exponentBits);
      if (!Object.is(round(value[0]!), expected)) wrong.push(word[0]!);
    }
    expect(wrong).toEqual([]);
  });

  it("keeps signed zeros and infinities", () => {
    expect([-0, 0, Infinity, -Infinity].map((value) => round(value))).toEqual([-0, 0, Infinity, -Infinity]);
  });
});
