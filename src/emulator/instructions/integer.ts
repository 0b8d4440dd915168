/**
 * @file Integer arithmetic of 16 and 32 bits; 64 bits are in integer64.ts.
 */
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import { type PtxType, ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { type Fill, writing32, writing64 } from "../translate/lanes.ts";
import { integer64Arithmetic } from "./integer64.ts";

export const integerTypes = ["u16", "u32", "u64", "s16", "s32", "s64"] as const;
type Scalar = (a: number, b: number, c: number) => number;

const add32 =
  (a: number, b: number): Fill =>
  ({ i }, target) => {
    for (let lane = 0; lane < LANES; lane++) i[target + lane] = i[a + lane]! + i[b + lane]!;
  };
const subtract32 =
  (a: number, b: number): Fill =>
  ({ i }, target) => {
    for (let lane = 0; lane < LANES; lane++) i[target + lane] = i[a + lane]! - i[b + lane]!;
  };
const multiply32 =
  (a: number, b: number): Fill =>
  ({ i }, target) => {
    for (let lane = 0; lane < LANES; lane++) i[target + lane] = Math.imul(i[a + lane]!, i[b + lane]!);
  };
const multiplyAdd32 =
  (a: number, b: number, c: number): Fill =>
  ({ i }, target) => {
    for (let lane = 0; lane < LANES; lane++) i[target + lane] = Math.imul(i[a + lane]!, i[b + lane]!) + i[c + lane]!;
  };
const fast: Readonly<Record<string, (a: number, b: number, c: number) => Fill>> = {
  add: add32,
  sub: subtract32,
  mul: multiply32,
  mad: multiplyAdd32,
};

/** The high word of a product. */
export function highProduct(a: number, b: number, signed: boolean): number {
  // In parts of 16 bits, which doubles hold exactly.
  const [au, bu] = [a >>> 0, b >>> 0];
  const [al, ah, bl, bh] = [au & 0xffff, au >>> 16, bu & 0xffff, bu >>> 16];
  const middle = ah * bl + ((al * bl) >>> 16);
  const other = al * bh + (middle & 0xffff);
  let high = ah * bh + Math.floor(middle / 65536) + Math.floor(other / 65536);
  if (signed) {
    if (a < 0) high -= bu;
    if (b < 0) high -= au;
  }
  return high | 0;
}

/** Division as a GPU leaves it for a divisor of 0: all ones, and the dividend as the rest. */
const quotient: Scalar = (a, b) => (b === 0 ? -1 : Math.trunc(a / b));
const rest: Scalar = (a, b) => (b === 0 ? a : a % b);

/** By opcode; operands come as signed or unsigned as the type says, results keep their low bits. */
const scalars: Readonly<Record<string, readonly [operands: number, scalar: Scalar]>> = {
  add: [2, (a, b) => a + b],
  sub: [2, (a, b) => a - b],
  mul: [2, Math.imul],
  mad: [3, (a, b, c) => Math.imul(a, b) + c],
  div: [2, quotient],
  rem: [2, rest],
  min: [2, Math.min],
  max: [2, Math.max],
  abs: [1, Math.abs],
  neg: [1, (a) => -a],
  sad: [3, (a, b, c) => Math.abs(a - b) + c],
};

const clampTo32 = (value: number): number => Math.max(-0x80000000, Math.min(0x7fffffff, value));

/** Applies a scalar function to values of up to 32 bits, taken as `type` says. */
export function integerFill(type: PtxType, rows: readonly number[], scalar: Scalar): Fill {
  const [a = 0, b = a, c = a] = rows;
  if (type.bits === 32)
    return ({ i, u }, target) => {
      const from = type.kind === "signed" ? i : u;
      for (let lane = 0; lane < LANES; lane++)
        i[target + lane] = scalar(from[a + lane]!, from[b + lane]!, from[c + lane]!);
    };
  const read = type.kind === "signed" ? (value: number) => (value << 16) >> 16 : (value: number) => value & 0xffff;
  return ({ i }, target) => {
    for (let lane = 0; lane < LANES; lane++)
      i[target + lane] = scalar(read(i[a + lane]!), read(i[b + lane]!), read(i[c + lane]!)) & 0xffff;
  };
}

/** add, sub, mul.lo, mad.lo, div, rem, min, max, abs, neg and sad, from the modifiers after the opcode. */
export function integerArithmetic(decoder: Decoder): Operation {
  const { opcode } = decoder.instruction;
  if (opcode === "mul" || opcode === "mad") return product(decoder);
  const clamp = decoder.flag("sat");
  const type = decoder.type(...integerTypes);
  const [operands, scalar] = scalars[opcode]!;
  decoder.done(operands + 1);
  if (type.bits === 64) return integer64Arithmetic(decoder, type, opcode);
  const target = decoder.target(0, type);
  const rows = Array.from({ length: operands }, (_, i) => decoder.source(i + 1, type));
  if (clamp)
    return writing32(
      target,
      integerFill(type, rows, (a, b, c) => clampTo32(scalar(a, b, c))),
    );
  const [a = 0, b = a, c = a] = rows;
  if (type.bits === 32 && fast[opcode]) return writing32(target, fast[opcode](a, b, c));
  return writing32(target, integerFill(type, rows, scalar));
}

/** mul and mad: the low half, the high half or the whole of the product. */
function product(decoder: Decoder): Operation {
  const { opcode } = decoder.instruction;
  const part = decoder.require("part of the product", "lo", "hi", "wide");
  const clamp = decoder.flag("sat");
  const type = decoder.type(...integerTypes);
  const operands = opcode === "mad" ? 3 : 2;
  decoder.done(operands + 1);
  if (type.bits === 64) {
    if (part === "wide") decoder.fail("a product of 64-bit numbers cannot be .wide");
    return integer64Arithmetic(decoder, type, `${opcode}.${part}`);
  }
  if (part === "wide") return wideProduct(decoder, type, opcode === "mad");
  const target = decoder.target(0, type);
  const rows = Array.from({ length: operands }, (_, i) => decoder.source(i + 1, type));
  const [a = 0, b = a, c = a] = rows;
  if (part === "lo")
    return writing32(target, type.bits === 32 ? fast[opcode]!(a, b, c) : integerFill(type, rows, scalars[opcode]![1]));
  const signed = type.kind === "signed";
  const high: Scalar = type.bits === 16 ? (x, y) => Math.imul(x, y) >> 16 : (x, y) => highProduct(x | 0, y | 0, signed);
  if (opcode === "mul") return writing32(target, integerFill(type, rows, high));
  return writing32(
    target,
    integerFill(type, rows, (x, y, z) => (clamp ? clampTo32(high(x, y, 0) + z) : high(x, y, 0) + z)),
  );
}

function wideProduct(decoder: Decoder, type: PtxType, accumulate: boolean): Operation {
  const signed = type.kind === "signed";
  const result = ptxTypes.get(`${signed ? "s" : "u"}${2 * type.bits}`)!;
  const target = decoder.target(0, result);
  const [a, b] = [decoder.source(1, type), decoder.source(2, type)];
  const c = accumulate ? decoder.source(3, result) : undefined;
  if (type.bits === 16) {
    const read = signed ? (value: number) => (value << 16) >> 16 : (value: number) => value & 0xffff;
    return writing32(target, ({ i }, to) => {
      for (let lane = 0; lane < LANES; lane++)
        i[to + lane] = Math.imul(read(i[a + lane]!), read(i[b + lane]!)) + (c === undefined ? 0 : i[c + lane]!);
    });
  }
  return writing64(target, ({ i }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      const [x, y] = [i[a + lane]!, i[b + lane]!];
      let low = Math.imul(x, y);
      let high = highProduct(x, y, signed);
      if (c !== undefined) {
        const sum = (low >>> 0) + (i[c + 2 * lane]! >>> 0);
        high += i[c + 2 * lane + 1]! + (sum > 0xffffffff ? 1 : 0);
        low = sum | 0;
      }
      i[to + 2 * lane] = low;
      i[to + 2 * lane + 1] = high;
    }
  });
}

/** mul24 and mad24, of the low 24 bits: the low or the high 32 of 48 bits. */
export function product24(decoder: Decoder): Operation {
  const part = decoder.require("part of the product", "lo", "hi");
  const type = decoder.type("u32", "s32");
  const operands = decoder.instruction.opcode === "mad24" ? 3 : 2;
  decoder.done(operands + 1);
  const target = decoder.target(0, type);
  const rows = Array.from({ length: operands }, (_, i) => decoder.source(i + 1, type));
  const read = type.kind === "signed" ? (x: number) => (x << 8) >> 8 : (x: number) => x & 0xffffff;
  const half: Scalar =
    part === "lo" ? (x, y) => Math.imul(read(x), read(y)) : (x, y) => Math.floor((read(x) * read(y)) / 65536) | 0;
  const scalar: Scalar = operands === 2 ? half : (x, y, z) => half(x, y, 0) + z;
  return writing32(target, integerFill(type, rows, scalar));
}

/** dp4a: four products of bytes, added to the third operand. */
export function byteDot(decoder: Decoder): Operation {
  const [left, right] = [decoder.type("u32", "s32"), decoder.type("u32", "s32")];
  decoder.done(4);
  const result = ptxTypes.get(left.kind === "signed" || right.kind === "signed" ? "s32" : "u32")!;
  const byte = (type: PtxType) => (value: number, at: number) =>
    type.kind === "signed" ? (value << (24 - 8 * at)) >> 24 : (value >>> (8 * at)) & 0xff;
  const [ofLeft, ofRight] = [byte(left), byte(right)];
  const rows = [decoder.source(1, left), decoder.source(2, right), decoder.source(3, result)];
  return writing32(
    decoder.target(0, result),
    integerFill(result, rows, (a, b, c) => {
      let sum = c;
      for (let at = 0; at < 4; at++) sum += ofLeft(a, at) * ofRight(b, at);
      return sum;
    }),
  );
}
