/**
 * @file Bitwise instructions: logic (also of predicates), shifts, permutation of bytes, bit fields, counts.
 */
import { LANES } from "../machine/registers.ts";
import type { Operation } from "../machine/step.ts";
import { ptxTypes } from "../syntax/index.ts";
import type { Decoder } from "../translate/decoder.ts";
import { type Fill, setPredicate, writing, writing32 } from "../translate/lanes.ts";
import { integerFill } from "./integer.ts";
import { read64, write64 } from "./integer64.ts";

const b32 = ptxTypes.get("b32")!;
const u32 = ptxTypes.get("u32")!;
const pred = ptxTypes.get("pred")!;

const logic: Readonly<Record<string, (a: number, b: number) => number>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  not: (a) => ~a,
};
type Pairs = (a: number, b: number, words: number) => Fill;
const logicFills: Readonly<Record<string, Pairs>> = {
  and:
    (a, b, words) =>
    ({ i }, to) => {
      for (let word = 0; word < words; word++) i[to + word] = i[a + word]! & i[b + word]!;
    },
  or:
    (a, b, words) =>
    ({ i }, to) => {
      for (let word = 0; word < words; word++) i[to + word] = i[a + word]! | i[b + word]!;
    },
  xor:
    (a, b, words) =>
    ({ i }, to) => {
      for (let word = 0; word < words; word++) i[to + word] = i[a + word]! ^ i[b + word]!;
    },
};

/** and, or, xor, not. */
export function logical(decoder: Decoder): Operation {
  const { opcode } = decoder.instruction;
  const type = decoder.type("pred", "b16", "b32", "b64");
  const operands = opcode === "not" ? 1 : 2;
  decoder.done(operands + 1);
  if (type === pred) {
    const of = logic[opcode]!;
    const target = decoder.predicateTarget(0);
    const [a, b] = [decoder.predicate(1), decoder.predicate(operands)];
    return ({ registers }, mask) =>
      setPredicate(registers, target, mask, of(a(registers.predicates), b(registers.predicates)));
  }
  const target = decoder.target(0, type);
  const rows = decoder.operands.slice(1).map((operand) => decoder.source(operand, type));
  const words = type.bits === 64 ? 2 * LANES : LANES;
  if (opcode !== "not") return writing(target, type.bits, logicFills[opcode]!(rows[0]!, rows[1]!, words));
  const kept = type.bits === 16 ? 0xffff : -1;
  return writing(target, type.bits, ({ i }, to) => {
    for (let word = 0; word < words; word++) i[to + word] = ~i[rows[0]! + word]! & kept;
  });
}

/** shl and shr: amounts are clamped to the width. */
export function shift(decoder: Decoder): Operation {
  const left = decoder.instruction.opcode === "shl";
  const type = decoder.type("b16", "b32", "b64", "u16", "u32", "u64", "s16", "s32", "s64");
  decoder.done(3);
  const target = decoder.target(0, type);
  const [value, amount] = [decoder.source(1, type), decoder.source(2, u32)];
  const { bits } = type;
  const signed = type.kind === "signed";
  if (bits === 64) return writing(target, 64, shift64(value, amount, left, signed));
  if (left)
    return writing32(target, ({ i, u }, to) => {
      const kept = bits === 16 ? 0xffff : -1;
      for (let lane = 0; lane < LANES; lane++) {
        const by = u[amount + lane]!;
        i[to + lane] = by >= bits ? 0 : (i[value + lane]! << by) & kept;
      }
    });
  if (bits === 32)
    return writing32(target, ({ i, u }, to) => {
      for (let lane = 0; lane < LANES; lane++) {
        const by = u[amount + lane]!;
        if (signed) i[to + lane] = i[value + lane]! >> Math.min(by, 31);
        else i[to + lane] = by > 31 ? 0 : i[value + lane]! >>> by;
      }
    });
  return writing32(target, shift16(value, amount, signed));
}

const shift16 =
  (value: number, amount: number, signed: boolean): Fill =>
  ({ i, u }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      const by = Math.min(u[amount + lane]!, 31);
      const bits = i[value + lane]!;
      i[to + lane] = (signed ? ((bits << 16) >> 16) >> by : (bits & 0xffff) >>> by) & 0xffff;
    }
  };

const shift64 =
  (value: number, amount: number, left: boolean, signed: boolean): Fill =>
  ({ i, u }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      const at = 2 * lane;
      const [low, high] = [i[value + at]!, i[value + at + 1]!];
      const by = u[amount + lane]!;
      const filled = signed && !left ? high >> 31 : 0;
      let [newLow, newHigh] = [filled, filled];
      if (by === 0) [newLow, newHigh] = [low, high];
      else if (left) {
        if (by < 32) [newLow, newHigh] = [low << by, (high << by) | (low >>> (32 - by))];
        else if (by < 64) newHigh = low << (by - 32);
      } else if (by < 32) [newLow, newHigh] = [(low >>> by) | (high << (32 - by)), signed ? high >> by : high >>> by];
      else if (by < 64) newLow = signed ? high >> (by - 32) : high >>> (by - 32);
      i[to + at] = newLow;
      i[to + at + 1] = newHigh;
    }
  };

/** shf: two words as one of 64 bits, shifted; the high (l) or low (r) word is kept. */
export function funnelShift(decoder: Decoder): Operation {
  const left = decoder.require("direction", "l", "r") === "l";
  const wrap = decoder.require("mode", "wrap", "clamp") === "wrap";
  decoder.type("b32");
  decoder.done(4);
  const rows = [decoder.source(1, b32), decoder.source(2, b32), decoder.source(3, u32)];
  return writing32(
    decoder.target(0, b32),
    integerFill(u32, rows, (low, high, amount) => {
      const by = wrap ? amount & 31 : Math.min(amount, 32);
      if (by === 0) return left ? high : low;
      if (by === 32) return left ? low : high;
      return left ? (high << by) | (low >>> (32 - by)) : (low >>> by) | (high << (32 - by));
    }),
  );
}

/** lop3: any function of three bits, by its table. */
export function anyLogic(decoder: Decoder): Operation {
  decoder.type("b32");
  decoder.done(5);
  const table = decoder.immediate(4);
  const [a, b, c] = [1, 2, 3].map((at) => decoder.source(at, b32)) as [number, number, number];
  return writing32(decoder.target(0, b32), ({ i }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      const [x, y, z] = [i[a + lane]!, i[b + lane]!, i[c + lane]!];
      let result = 0;
      if (table & 1) result |= ~x & ~y & ~z;
      if (table & 2) result |= ~x & ~y & z;
      if (table & 4) result |= ~x & y & ~z;
      if (table & 8) result |= ~x & y & z;
      if (table & 16) result |= x & ~y & ~z;
      if (table & 32) result |= x & ~y & z;
      if (table & 64) result |= x & y & ~z;
      if (table & 128) result |= x & y & z;
      i[to + lane] = result;
    }
  });
}

/** For the modes of prmt, which byte (0–7) each byte of the result is, given the low two bits of the selector. */
const permutations: Readonly<Record<string, (selector: number, at: number) => number>> = {
  f4e: (selector, at) => selector + at,
  b4e: (selector, at) => (selector - at) & 7,
  rc8: (selector) => selector,
  ecl: (selector, at) => Math.max(selector, at),
  ecr: (selector, at) => Math.min(selector, at),
  rc16: (selector, at) => (selector & 1) * 2 + (at & 1),
};

/** prmt: four of the eight bytes of two words; the high bit of a selector repeats the byte's sign. */
export function permuteBytes(decoder: Decoder): Operation {
  decoder.type("b32");
  const mode = decoder.take("f4e", "b4e", "rc8", "ecl", "ecr", "rc16");
  decoder.done(4);
  const byte = (a: number, b: number, at: number): number => ((at < 4 ? a : b) >>> (8 * (at & 3))) & 0xff;
  const rows = [1, 2, 3].map((at) => decoder.source(at, b32));
  return writing32(
    decoder.target(0, b32),
    integerFill(u32, rows, (a, b, selector) => {
      let result = 0;
      for (let at = 0; at < 4; at++) {
        const chosen = mode ? permutations[mode]!(selector & 3, at) : (selector >>> (4 * at)) & 0xf;
        const value = byte(a, b, chosen & 7);
        result |= (!mode && chosen & 8 ? (value & 0x80 ? 0xff : 0) : value) << (8 * at);
      }
      return result;
    }),
  );
}

/** bfe: a field of bits, sign-extended for signed types. */
export function extractField(decoder: Decoder): Operation {
  const type = decoder.type("u32", "u64", "s32", "s64");
  decoder.done(4);
  const target = decoder.target(0, type);
  const value = decoder.source(1, type);
  const [from, length] = [decoder.source(2, u32), decoder.source(3, u32)];
  const width = BigInt(type.bits);
  const signed = type.kind === "signed";
  const field = (bits: bigint, position: number, count: number): bigint => {
    if (count === 0) return 0n;
    // Beyond the value lies its sign, or zeros.
    const shifted = (signed ? BigInt.asIntN(type.bits, bits) : bits) >> BigInt(position);
    return signed && BigInt(count) < width
      ? BigInt.asIntN(count, shifted)
      : signed
        ? shifted
        : BigInt.asUintN(count, shifted);
  };
  return writing(target, type.bits, ({ u }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      const [position, count] = [u[from + lane]! & 0xff, u[length + lane]! & 0xff];
      if (type.bits === 64) write64(u, to + 2 * lane, field(read64(u, value + 2 * lane, false), position, count));
      else if (position + count <= 31 && count > 0) {
        const top = u[value + lane]! << (32 - position - count);
        u[to + lane] = signed ? top >> (32 - count) : top >>> (32 - count);
      } else u[to + lane] = Number(BigInt.asUintN(32, field(BigInt(u[value + lane]!), position, count)));
    }
  });
}

/** bfi: the low bits of the first, put into the second. */
export function insertField(decoder: Decoder): Operation {
  const type = decoder.type("b32", "b64");
  decoder.done(5);
  const target = decoder.target(0, type);
  const [bits, into] = [decoder.source(1, type), decoder.source(2, type)];
  const [from, length] = [decoder.source(3, u32), decoder.source(4, u32)];
  return writing(target, type.bits, ({ u }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      const [position, count] = [BigInt(u[from + lane]! & 0xff), BigInt(u[length + lane]! & 0xff)];
      const field = BigInt.asUintN(type.bits, ((1n << count) - 1n) << position);
      const at = type.bits === 64 ? 2 * lane : lane;
      const read = (row: number): bigint => (type.bits === 64 ? read64(u, row + at, false) : BigInt(u[row + at]!));
      const result = (read(into) & ~field) | ((read(bits) << position) & field);
      if (type.bits === 64) write64(u, to + at, result);
      else u[to + at] = Number(result);
    }
  });
}

const countOnes = (value: number): number => {
  let bits = value - ((value >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0xf0f0f0f, 0x1010101) >>> 24;
};

/** popc and clz: the count of ones, of leading zeros; of 64 bits too. */
export function count(decoder: Decoder): Operation {
  const type = decoder.type("b32", "b64");
  decoder.done(2);
  const target = decoder.target(0, u32);
  const row = decoder.source(1, type);
  const ones = decoder.instruction.opcode === "popc";
  return writing32(target, ({ u }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      const [low, high] = type.bits === 64 ? [u[row + 2 * lane]!, u[row + 2 * lane + 1]!] : [u[row + lane]!, 0];
      if (ones) u[to + lane] = countOnes(low) + countOnes(high);
      else if (type.bits === 32) u[to + lane] = Math.clz32(low);
      else u[to + lane] = high === 0 ? 32 + Math.clz32(low) : Math.clz32(high);
    }
  });
}

/** bfind: the place of the highest one (of the highest bit unlike the sign); all ones if there is none. */
export function findBit(decoder: Decoder): Operation {
  const asShift = decoder.flag("shiftamt");
  const type = decoder.type("u32", "u64", "s32", "s64");
  decoder.done(2);
  const target = decoder.target(0, u32);
  const row = decoder.source(1, type);
  return writing32(target, ({ i, u }, to) => {
    for (let lane = 0; lane < LANES; lane++) {
      let [low, high] = type.bits === 64 ? [i[row + 2 * lane]!, i[row + 2 * lane + 1]!] : [i[row + lane]!, 0];
      if (type.kind === "signed" && (type.bits === 64 ? high : low) < 0)
        [low, high] = [~low, type.bits === 64 ? ~high : 0];
      const place = high !== 0 ? 63 - Math.clz32(high) : 31 - Math.clz32(low);
      u[to + lane] = place < 0 ? -1 : asShift ? type.bits - 1 - place : place;
    }
  });
}

/** brev: the bits in reverse. */
export function reverseBits(decoder: Decoder): Operation {
  const type = decoder.type("b32", "b64");
  decoder.done(2);
  const target = decoder.target(0, type);
  const row = decoder.source(1, type);
  const reversed = (bits: number): number => {
    let value = ((bits >>> 1) & 0x55555555) | ((bits & 0x55555555) << 1);
    value = ((value >>> 2) & 0x33333333) | ((value & 0x33333333) << 2);
    value = ((value >>> 4) & 0xf0f0f0f) | ((value & 0xf0f0f0f) << 4);
    value = ((value >>> 8) & 0xff00ff) | ((value & 0xff00ff) << 8);
    return (value >>> 16) | (value << 16);
  };
  if (type.bits === 32) return writing32(target, integerFill(u32, [row], reversed));
  return writing(target, 64, ({ i }, to) => {
    for (let at = 0; at < 2 * LANES; at += 2) {
      const [low, high] = [i[row + at]!, i[row + at + 1]!];
      i[to + at] = reversed(high);
      i[to + at + 1] = reversed(low);
    }
  });
}

/** cnot: 1 for 0, else 0. */
export function logicalNot(decoder: Decoder): Operation {
  const type = decoder.type("b16", "b32", "b64");
  decoder.done(2);
  const target = decoder.target(0, type);
  const row = decoder.source(1, type);
  return writing(target, type.bits, ({ i }, to) => {
    const step = type.bits === 64 ? 2 : 1;
    for (let at = 0; at < step * LANES; at += step) {
      i[to + at] = i[row + at] === 0 && (step === 1 || i[row + at + 1] === 0) ? 1 : 0;
      if (step === 2) i[to + at + 1] = 0;
    }
  });
}
