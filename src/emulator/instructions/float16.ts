/**
 * @file f16 and bf16 arithmetic, single and in pairs: computed in doubles, rounded once. Fused multiply-adds keep what the double loses
 * by rounding it to odd first.
 */
import { type ShortFormat, shortFormats } from "../arithmetic/formats.ts";
import { roundToOdd, saturate, sumError } from "../arithmetic/rounding.ts";
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import type { PtxType } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { writing32 } from "../translate/lanes.ts";
import { greater, lesser } from "./float32.ts";

export const shortTypes = ["f16", "f16x2", "bf16", "bf16x2"] as const;
type Scalar = (a: number, b: number, c: number) => number;

/** Exact in a double but for fma, where the least bit stands for what is lost. */
const fused: Scalar = (a, b, c) => {
  const product = a * b;
  const sum = product + c;
  return roundToOdd(sum, sumError(product, c, sum));
};

const arithmetic: Readonly<Record<string, readonly [operands: number, scalar: Scalar]>> = {
  add: [2, (a, b) => roundToOdd(a + b, sumError(a, b, a + b))],
  sub: [2, (a, b) => roundToOdd(a - b, sumError(a, -b, a - b))],
  mul: [2, (a, b) => a * b],
  fma: [3, fused],
};

const functions: Readonly<Record<string, (value: number) => number>> = {
  ex2: (value) => 2 ** value,
  tanh: Math.tanh,
};

const formatOf = ({ name }: PtxType): ShortFormat => shortFormats[name.startsWith("bf16") ? "bf16" : "f16"];
const isPair = ({ bits }: PtxType): boolean => bits === 32;

/** Applies `scalar` to each 16-bit value; `finish` changes the result before it is encoded. */
function each(
  target: number,
  type: PtxType,
  rows: readonly number[],
  scalar: Scalar,
  finish: (value: number) => number,
): Operation {
  const format = formatOf(type);
  const { values } = format;
  const [a = 0, b = a, c = a] = rows;
  const one = (x: number, y: number, z: number): number =>
    format.encode(finish(scalar(values[x]!, values[y]!, values[z]!)));
  if (!isPair(type))
    return writing32(target, ({ u }, to) => {
      for (let lane = 0; lane < LANES; lane++)
        u[to + lane] = one(u[a + lane]! & 0xffff, u[b + lane]! & 0xffff, u[c + lane]! & 0xffff);
    });
  return writing32(target, ({ u }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      const [x, y, z] = [u[a + lane]!, u[b + lane]!, u[c + lane]!];
      u[to + lane] = one(x & 0xffff, y & 0xffff, z & 0xffff) | (one(x >>> 16, y >>> 16, z >>> 16) << 16);
    }
  });
}

const same = (value: number): number => value;

/** f16 subnormals become zeros under `.ftz`. */
const flush16 = (value: number): number => (Math.abs(value) < 2 ** -14 ? (value < 0 ? -0 : value * 0) : value);

/** add, sub, mul and fma, from the modifiers after the opcode. */
export function float16Arithmetic(decoder: Decoder): Operation {
  const [operands, scalar] = arithmetic[decoder.instruction.opcode]!;
  decoder.take("rn");
  const flush = decoder.flag("ftz");
  const clamp = decoder.flag("sat");
  const positive = decoder.flag("relu");
  const type = decoder.type(...shortTypes);
  decoder.done(operands + 1);
  const target = decoder.target(0, type);
  const rows = Array.from({ length: operands }, (_, i) => decoder.source(i + 1, type));
  const computed: Scalar = flush ? (a, b, c) => scalar(flush16(a), flush16(b), flush16(c)) : scalar;
  let finish = same;
  if (flush) finish = flush16;
  if (clamp) finish = saturate;
  if (positive) finish = (value) => (value > 0 ? value : Number.isNaN(value) ? value : 0);
  return each(target, type, rows, computed, finish);
}

/** ex2.approx and tanh.approx. */
export function functionFloat16(decoder: Decoder): Operation {
  decoder.require("approx", "approx");
  decoder.flag("ftz");
  const type = decoder.type(...shortTypes);
  decoder.done(2);
  const of = functions[decoder.instruction.opcode]!;
  return each(decoder.target(0, type), type, [decoder.source(1, type)], (a) => of(a), same);
}

/** min and max. */
export function extremeFloat16(decoder: Decoder): Operation {
  decoder.flag("ftz");
  const propagate = decoder.flag("NaN");
  const type = decoder.type(...shortTypes);
  decoder.done(3);
  const of = decoder.instruction.opcode === "min" ? lesser : greater;
  const rows = [decoder.source(1, type), decoder.source(2, type)];
  return each(decoder.target(0, type), type, rows, (a, b) => of(a, b, propagate), same);
}

/** abs and neg: the sign bits only. */
export function signFloat16(decoder: Decoder): Operation {
  decoder.flag("ftz");
  const type = decoder.type(...shortTypes);
  decoder.done(2);
  const target = decoder.target(0, type);
  const row = decoder.source(1, type);
  const signs = isPair(type) ? 0x80008000 : 0x8000;
  const negate = decoder.instruction.opcode === "neg";
  return writing32(target, ({ i }, to) => {
    for (let lane = 0; lane < LANES; lane++) i[to + lane] = negate ? i[row + lane]! ^ signs : i[row + lane]! & ~signs;
  });
}
