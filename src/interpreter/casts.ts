/**
 * @file cast and bitcast. Every cast rounds once. Float to integer goes towards zero and saturates, NaN becomes 0; integer to integer
 * keeps the low bits.
 */
import { type DType, elementBytes, isFloat } from "../ir/index.ts";
import { bf16BitsToF32, f16BitsToF32, f32BitsToBf16Bits, f32BitsToF16Bits } from "../support/index.ts";
import { roundingPass, wordsOf } from "./arrays.ts";
import { roundOnce } from "./floats.ts";
import type { Integers } from "./integers.ts";
import type { Plan, Step } from "./operation.ts";

type Numbers = Float32Array | Integers;

/** The range of an integer dtype as [lowest, highest]. */
function integerRange(dtype: DType): [bigint, bigint] {
  const bits = BigInt(elementBytes[dtype] * 8);
  return dtype === "u32" ? [0n, (1n << bits) - 1n] : [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
}

/** A number that rounds to any float dtype as `value` does: below 2^53 the value, above with all lower bits folded into the last. */
function sticky(value: bigint): number {
  const magnitude = value < 0n ? -value : value;
  if (magnitude < 1n << 53n) return Number(value);
  const folded = Number((magnitude >> 11n) | ((magnitude & 2047n) === 0n ? 0n : 1n)) * 2048;
  return value < 0n ? -folded : folded;
}

const bits16: Readonly<Record<"f16" | "bf16", (bits: number) => number>> = { f16: f16BitsToF32, bf16: bf16BitsToF32 };

/** A loop that stores numbers as they come: the typed array rounds or wraps. */
function assign(out: Numbers, x: Numbers): void {
  for (let i = 0; i < out.length; i++) out[i] = x[i]!;
}

function toFloat(dtype: "f16" | "bf16" | "f32", out: Float32Array, from: DType, x: Numbers | BigInt64Array): Step {
  if (isFloat(from)) {
    const round = roundingPass(dtype, out);
    return () => {
      out.set(x as Float32Array);
      round?.();
    };
  }
  const number: (value: number | bigint) => number =
    from === "i64" ? (value) => sticky(value as bigint) : (value) => value as number;
  if (dtype === "f32") {
    if (from !== "i64") return () => assign(out, x as Integers);
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = number(x[i]!);
    };
  }
  const decode = bits16[dtype];
  return () => {
    for (let i = 0; i < out.length; i++) out[i] = decode(roundOnce(dtype, number(x[i]!)));
  };
}

function floatToInteger(dtype: DType, out: Integers | BigInt64Array, x: Float32Array): Step {
  const [low, high] = integerRange(dtype);
  if (out instanceof BigInt64Array)
    return () => {
      for (let i = 0; i < out.length; i++) {
        const value = x[i]!;
        out[i] = Number.isNaN(value)
          ? 0n
          : value >= 2 ** 63
            ? high
            : value <= -(2 ** 63)
              ? low
              : BigInt(Math.trunc(value));
      }
    };
  const [least, most] = [Number(low), Number(high)];
  return () => {
    for (let i = 0; i < out.length; i++) {
      const value = x[i]!;
      out[i] = value >= most ? most : value <= least ? least : Math.trunc(value); // Storing NaN gives 0.
    }
  };
}

export const cast: Plan = ({ operation, operands, result, alias }) => {
  const from = operation.operands[0]!.type.dtype;
  const dtype = operation.attributes.dtype as DType;
  const [x] = operands;
  if (from === dtype) {
    alias(x!);
    return undefined;
  }
  if (isFloat(dtype)) return toFloat(dtype as "f32", result() as Float32Array, from, x as Numbers);
  if (dtype === "bool") {
    const out = result() as Uint8Array;
    if (x instanceof BigInt64Array)
      return () => {
        for (let i = 0; i < out.length; i++) out[i] = x[i] !== 0n ? 1 : 0;
      };
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = x![i] !== 0 ? 1 : 0;
    };
  }
  if (isFloat(from)) return floatToInteger(dtype, result() as Integers, x as Float32Array);
  if (x instanceof BigInt64Array) {
    const out = result() as Integers;
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = Number(BigInt.asIntN(32, x[i]!));
    };
  }
  const out = result();
  if (out instanceof BigInt64Array)
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = BigInt(x![i]!);
    };
  return () => assign(out as Integers, x as Integers);
};

export const bitcast: Plan = ({ operation, operands, result, alias }) => {
  const from = operation.operands[0]!.type.dtype;
  const dtype = operation.attributes.dtype as DType;
  const [x] = operands;
  if (from === dtype) {
    alias(x!);
    return undefined;
  }
  if (elementBytes[dtype] === 4) {
    const view = { f32: Float32Array, i32: Int32Array, u32: Uint32Array }[dtype as "f32" | "i32" | "u32"];
    alias(new view(x!.buffer as ArrayBuffer, x!.byteOffset, x!.length));
    return undefined;
  }
  // f16 and bf16 are held as f32.
  const out = result() as Float32Array;
  const words = wordsOf(x as Float32Array);
  const encode = from === "f16" ? f32BitsToF16Bits : f32BitsToBf16Bits;
  const decode = bits16[dtype as "f16" | "bf16"];
  return () => {
    for (let i = 0; i < out.length; i++) out[i] = decode(encode(words[i]!));
  };
};
