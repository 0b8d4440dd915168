/**
 * @file cvt: between all number types. Values go through doubles, which hold all of them but 64-bit integers exactly; those are rounded
 * to odd, so that the one rounding that follows is right, or at once where doubles are wanted.
 */
import { roundToTf32, shortFormats } from "../arithmetic/formats.ts";
import {
  direct32,
  direct64,
  flush32,
  type RoundingMode,
  roundToOdd,
  saturate,
  sumError,
} from "../arithmetic/rounding.ts";
import { LANES, type Registers } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import { type PtxType, ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { type Fill, writing, writing32 } from "../translate/lanes.ts";
import { integralRounding, store32 } from "./float32.ts";
import { read64, write64 } from "./integer64.ts";

const f32 = ptxTypes.get("f32")!;
const plainTypes = ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f16", "bf16", "f32", "f64"] as const;
type Read = (registers: Registers, lane: number) => number;
type Write = (registers: Registers, to: number, lane: number, value: number) => void;

export function convert(decoder: Decoder): Operation {
  const integral = decoder.take("rni", "rzi", "rmi", "rpi");
  const rounding = decoder.take("rn", "rz", "rm", "rp", "rna");
  const flush = decoder.flag("ftz");
  if (decoder.atType("tf32") || rounding === "rna") return toTf32(decoder, rounding);
  const positive = decoder.flag("relu");
  const finite = decoder.flag("satfinite");
  if (finite) decoder.unknown("no .satfinite");
  if (decoder.atType("f16x2") || decoder.atType("bf16x2")) return packPair(decoder, rounding as RoundingMode, positive);
  const clamp = decoder.flag("sat");
  const to = decoder.type(...plainTypes);
  const from = decoder.type(...plainTypes);
  decoder.done(2);
  const mode: RoundingMode = (rounding as RoundingMode | undefined) ?? "rn";
  const target = decoder.target(0, to, "at-least");
  const source = decoder.source(1, from, "at-least");
  const sourceBits = decoder.bitsOf(decoder.operand(1), from);
  const targetBits = decoder.bitsOf(decoder.operand(0), to);

  if (to.kind !== "float" && from.kind !== "float")
    return writing(target, targetBits, integerToInteger(to, from, source, sourceBits, targetBits, clamp));
  const read = reader(from, source, sourceBits, flush, to.name === "f64" ? mode : undefined);
  if (to.kind !== "float") {
    const round =
      integralRounding[integral ?? ""] ??
      decoder.fail("a conversion from float to integer needs .rni, .rzi, .rmi or .rpi");
    return writing(target, targetBits, floatToInteger(to, from, read, round, targetBits));
  }
  if (to.bits < from.bits && from.kind === "float" && !rounding)
    decoder.fail("a conversion to a narrower float needs a rounding mode");
  const round = integral ? integralRounding[integral]! : undefined;
  const write = writer(to, mode, flush);
  return writing(target, targetBits, (registers, row) => {
    for (let lane = 0; lane < LANES; lane++) {
      let value = read(registers, lane);
      if (round) value = round(value);
      if (positive && value <= 0) value = 0;
      write(registers, row, lane, clamp ? saturate(value) : value);
    }
  });
}

/** Values as numbers; 64-bit integers rounded as `mode` says, to odd without it. */
function reader(
  type: PtxType,
  row: number,
  registerBits: number,
  flush: boolean,
  mode: RoundingMode | undefined,
): Read {
  const stride = registerBits === 64 ? 2 : 1;
  switch (type.name) {
    case "f16":
    case "bf16": {
      const { values } = shortFormats[type.name];
      return ({ u }, lane) => values[u[row + stride * lane]! & 0xffff]!;
    }
    case "f32":
      return flush ? ({ f }, lane) => flush32(f[row + stride * lane]!) : ({ f }, lane) => f[row + stride * lane]!;
    case "f64":
      return ({ d }, lane) => d[row / 2 + lane]!;
    case "u64":
    case "s64": {
      const signed = type.kind === "signed";
      return ({ i, u }, lane) => {
        const high = (signed ? i : u)[row + 2 * lane + 1]! * 4294967296;
        const low = u[row + 2 * lane]!;
        const error = sumError(high, low, high + low);
        return mode ? direct64(high + low, error, mode) : roundToOdd(high + low, error);
      };
    }
    default: {
      const shift = 32 - type.bits;
      if (type.kind === "signed") return ({ i }, lane) => (i[row + stride * lane]! << shift) >> shift;
      return ({ i }, lane) => (i[row + stride * lane]! << shift) >>> shift;
    }
  }
}

function writer(type: PtxType, mode: RoundingMode, flush: boolean): Write {
  switch (type.name) {
    case "f16":
    case "bf16": {
      const format = shortFormats[type.name];
      return ({ u }, row, lane, value) => {
        u[row + lane] = format.encode(value, mode);
      };
    }
    case "f32":
      return (registers, row, lane, value) => {
        const nearest = Math.fround(value);
        const rounded = mode === "rn" ? nearest : direct32(nearest, value - nearest, mode);
        store32(registers, row + lane, flush ? flush32(rounded) : rounded);
      };
    default:
      return ({ d }, row, lane, value) => {
        d[row / 2 + lane] = value;
      };
  }
}

const limits = ({ kind, bits }: PtxType): readonly [bigint, bigint] =>
  kind === "signed" ? [-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n] : [0n, (1n << BigInt(bits)) - 1n];

/** Narrowed to `to`, then extended as it says to the width of the register. */
function integerToInteger(
  to: PtxType,
  from: PtxType,
  source: number,
  sourceBits: number,
  targetBits: number,
  clamp: boolean,
): Fill {
  const stride = sourceBits === 64 ? 2 : 1;
  if (!clamp) {
    const fromShift = 32 - Math.min(from.bits, 32);
    const toShift = 32 - Math.min(to.bits, 32);
    const kept = targetBits === 16 ? 0xffff : -1;
    return ({ i }, row) => {
      for (let lane = 0; lane < LANES; lane++) {
        const word = i[source + stride * lane]!;
        let low = from.kind === "signed" ? (word << fromShift) >> fromShift : (word << fromShift) >>> fromShift;
        let high = from.bits === 64 ? i[source + 2 * lane + 1]! : from.kind === "signed" ? low >> 31 : 0;
        if (to.bits < 64) {
          low = to.kind === "signed" ? (low << toShift) >> toShift : (low << toShift) >>> toShift;
          high = to.kind === "signed" ? low >> 31 : 0;
        }
        if (targetBits === 64) {
          i[row + 2 * lane] = low;
          i[row + 2 * lane + 1] = high;
        } else i[row + lane] = low & kept;
      }
    };
  }
  const [least, most] = limits(to);
  return ({ u }, row) => {
    for (let lane = 0; lane < LANES; lane++) {
      const wide = from.bits === 64 ? read64(u, source + 2 * lane, false) : BigInt(u[source + stride * lane]!);
      const value = from.kind === "signed" ? BigInt.asIntN(from.bits, wide) : BigInt.asUintN(from.bits, wide);
      store(u, row, lane, value < least ? least : value > most ? most : value, targetBits);
    }
  };
}

function store(u: Uint32Array, row: number, lane: number, value: bigint, bits: number): void {
  if (bits === 64) write64(u, row + 2 * lane, value);
  else u[row + lane] = Number(BigInt.asUintN(bits, value));
}

/** Rounded to an integer, then to the nearest end of the range; a NaN gives 0, or 1 in the highest bit where 64 bits are concerned. */
function floatToInteger(
  to: PtxType,
  from: PtxType,
  read: Read,
  round: (value: number) => number,
  targetBits: number,
): Fill {
  const [least, most] = limits(to);
  const [low, high] = [Number(least), Number(most)];
  const wide = to.bits === 64 || from.bits === 64;
  const ofNan = wide ? 1n << BigInt(to.bits - 1) : 0n;
  return (registers, row) => {
    for (let lane = 0; lane < LANES; lane++) {
      const value = round(read(registers, lane));
      if (targetBits <= 32 && value >= low && value <= high)
        registers.u[row + lane] = targetBits === 16 ? value & 0xffff : value;
      else {
        const exact = Number.isNaN(value) ? ofNan : value <= low ? least : value >= high ? most : BigInt(value);
        store(registers.u, row, lane, exact, targetBits);
      }
    }
  };
}

/** Two f32 to a pair of 16-bit floats, the first operand in the upper half. */
function packPair(decoder: Decoder, mode: RoundingMode | undefined, positive: boolean): Operation {
  const type = decoder.type("f16x2", "bf16x2");
  decoder.type("f32");
  decoder.done(3);
  if (mode !== "rn" && mode !== "rz") decoder.fail("a conversion to a pair needs .rn or .rz");
  const { encode } = shortFormats[type.name === "f16x2" ? "f16" : "bf16"];
  const target = decoder.target(0, type);
  const [high, low] = [decoder.source(1, f32), decoder.source(2, f32)];
  const clamp = (value: number): number => (positive && value <= 0 ? 0 : value);
  return writing32(target, ({ f, u }, row) => {
    for (let lane = 0; lane < LANES; lane++)
      u[row + lane] = encode(clamp(f[low + lane]!), mode) | (encode(clamp(f[high + lane]!), mode) << 16);
  });
}

function toTf32(decoder: Decoder, rounding: string | undefined): Operation {
  if (rounding !== "rna") decoder.fail("a conversion to tf32 needs .rna");
  decoder.type("tf32");
  decoder.type("f32");
  decoder.done(2);
  const target = decoder.target(0, ptxTypes.get("b32")!);
  const row = decoder.source(1, f32);
  return writing32(target, ({ i }, to) => {
    for (let lane = 0; lane < LANES; lane++) i[to + lane] = roundToTf32(i[row + lane]!);
  });
}
