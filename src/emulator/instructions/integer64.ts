/**
 * @file 64-bit integer arithmetic on pairs of words; products' high halves, division and comparisons by BigInt. add.cc and its kin keep
 * the carry in a row of the warp.
 */
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import type { PtxType } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { type Fill, writing64 } from "../translate/lanes.ts";
import { highProduct } from "./integer.ts";

const add64 =
  (a: number, b: number): Fill =>
  ({ i, u }, target) => {
    for (let word = 0; word < 2 * LANES; word += 2) {
      const sum = u[a + word]! + u[b + word]!;
      const high = i[a + word + 1]! + i[b + word + 1]! + (sum > 0xffffffff ? 1 : 0);
      i[target + word] = sum;
      i[target + word + 1] = high;
    }
  };

const subtract64 =
  (a: number, b: number): Fill =>
  ({ i, u }, target) => {
    for (let word = 0; word < 2 * LANES; word += 2) {
      const difference = u[a + word]! - u[b + word]!;
      const high = i[a + word + 1]! - i[b + word + 1]! - (difference < 0 ? 1 : 0);
      i[target + word] = difference;
      i[target + word + 1] = high;
    }
  };

/** a · b, plus c if there is one. */
const multiply64 =
  (a: number, b: number, c: number | undefined): Fill =>
  ({ i, u }, target) => {
    for (let word = 0; word < 2 * LANES; word += 2) {
      const [al, ah, bl, bh] = [i[a + word]!, i[a + word + 1]!, i[b + word]!, i[b + word + 1]!];
      let low = Math.imul(al, bl) >>> 0;
      let high = highProduct(al, bl, false) + Math.imul(al, bh) + Math.imul(ah, bl);
      if (c !== undefined) {
        low += u[c + word]!;
        high += i[c + word + 1]! + (low > 0xffffffff ? 1 : 0);
      }
      i[target + word] = low;
      i[target + word + 1] = high;
    }
  };

type Scalar = (a: bigint, b: bigint, c: bigint) => bigint;

const scalars: Readonly<Record<string, readonly [operands: number, scalar: Scalar]>> = {
  "mul.hi": [2, (a, b) => (a * b) >> 64n],
  "mad.hi": [3, (a, b, c) => ((a * b) >> 64n) + c],
  div: [2, (a, b) => (b === 0n ? -1n : a / b)],
  rem: [2, (a, b) => (b === 0n ? a : a % b)],
  // biome-ignore-start lint/complexity/useMathMinMax: Math.min takes no bigint
  min: [2, (a, b) => (a < b ? a : b)],
  max: [2, (a, b) => (a > b ? a : b)],
  // biome-ignore-end lint/complexity/useMathMinMax: Math.min takes no bigint
  abs: [1, (a) => (a < 0n ? -a : a)],
  neg: [1, (a) => -a],
  sad: [3, (a, b, c) => (a < b ? b - a : a - b) + c],
};

/** The 64-bit number at a word of the register file. */
export const read64 = (u: Uint32Array, at: number, signed: boolean): bigint => {
  const value = (BigInt(u[at + 1]!) << 32n) | BigInt(u[at]!);
  return signed ? BigInt.asIntN(64, value) : value;
};

export function write64(u: Uint32Array, at: number, value: bigint): void {
  u[at] = Number(value & 0xffffffffn);
  u[at + 1] = Number((value >> 32n) & 0xffffffffn);
}

/** The operation named by opcode (and part of the product), once modifiers are read. */
export function integer64Arithmetic(decoder: Decoder, type: PtxType, name: string): Operation {
  const target = decoder.target(0, type);
  const rows = decoder.operands.slice(1).map((operand) => decoder.source(operand, type));
  const [a = 0, b = a, c] = rows;
  if (name === "add") return writing64(target, add64(a, b));
  if (name === "sub") return writing64(target, subtract64(a, b));
  if (name === "mul.lo" || name === "mad.lo") return writing64(target, multiply64(a, b, c));
  const [, scalar] = scalars[name]!;
  const signed = type.kind === "signed";
  return writing64(target, ({ u }, to) => {
    for (let word = 0; word < 2 * LANES; word += 2)
      write64(
        u,
        to + word,
        scalar(read64(u, a + word, signed), read64(u, b + word, signed), read64(u, (c ?? a) + word, signed)),
      );
  });
}

/** add.cc, addc, sub.cc, subc: with the carry of the last one, in every lane its own. */
export function carryArithmetic(decoder: Decoder): Operation {
  const subtract = decoder.instruction.opcode.startsWith("sub");
  const takes = decoder.instruction.opcode.endsWith("c");
  const gives = decoder.flag("cc");
  const type = decoder.type("u32", "s32", "u64", "s64");
  decoder.done(3);
  const target = decoder.target(0, type);
  const [a, b] = [decoder.source(1, type), decoder.source(2, type)];
  const words = type.bits / 32;
  return ({ registers: { i, u }, carries }, mask) => {
    for (let lane = 0; lane < LANES; lane++) {
      if (!((mask >>> lane) & 1)) continue;
      let carry = takes ? carries[lane]! ^ (subtract ? 1 : 0) : subtract ? 1 : 0;
      for (let word = 0; word < words; word++) {
        const at = words * lane + word;
        const sum = u[a + at]! + (subtract ? ~u[b + at]! >>> 0 : u[b + at]!) + carry;
        carry = sum > 0xffffffff ? 1 : 0;
        i[target + at] = sum;
      }
      // The flag of a subtraction is its borrow.
      if (gives) carries[lane] = subtract ? carry ^ 1 : carry;
    }
  };
}
