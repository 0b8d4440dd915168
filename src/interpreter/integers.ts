/**
 * @file The loops of integer arithmetic. Stores into an integer typed array wrap modulo its width and truncate towards zero, which is
 * just what the op table asks of i8, i32 and u32 (quotients of 32-bit integers truncate correctly from f64). bool is 0 or 1 in a
 * Uint8Array. i64 computes with bigints, exactly: slow, but i64 is for offsets.
 */

/** i8, i32 and u32; bool for the bitwise ones. */
export type Integers = Int32Array | Uint32Array | Int8Array | Uint8Array;

/** The high 32 bits of the product of two u32: by 16-bit halves, no partial sum exceeding 32 bits. */
export function highProduct(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = (Math.imul(aHigh, bLow) >>> 0) + (Math.imul(aLow, bLow) >>> 16);
  const other = (Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff);
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) >>> 0;
}

export const integerUnary: Readonly<Record<string, (out: Integers, x: Integers) => void>> = {
  neg(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = -x[i]!;
  },
  abs(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = Math.abs(x[i]!);
  },
  not(out, x) {
    for (let i = 0; i < out.length; i++) out[i] = ~x[i]!;
  },
};

export function logicalNot(out: Integers, x: Integers): void {
  for (let i = 0; i < out.length; i++) out[i] = x[i]! ^ 1;
}

export const integerBinary: Readonly<Record<string, (out: Integers, a: Integers, b: Integers) => void>> = {
  add(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! + b[i]!;
  },
  sub(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! - b[i]!;
  },
  mul(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = Math.imul(a[i]!, b[i]!);
  },
  div(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! / b[i]!;
  },
  rem(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! % b[i]!;
  },
  min(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = Math.min(a[i]!, b[i]!);
  },
  max(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = Math.max(a[i]!, b[i]!);
  },
  and(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! & b[i]!;
  },
  or(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! | b[i]!;
  },
  xor(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = a[i]! ^ b[i]!;
  },
  shl(out, a, b) {
    const mask = out.BYTES_PER_ELEMENT * 8 - 1;
    for (let i = 0; i < out.length; i++) out[i] = a[i]! << (b[i]! & mask);
  },
  shr(out, a, b) {
    const mask = out.BYTES_PER_ELEMENT * 8 - 1;
    for (let i = 0; i < out.length; i++) out[i] = a[i]! >> (b[i]! & mask);
  },
  umulhi(out, a, b) {
    for (let i = 0; i < out.length; i++) out[i] = highProduct(a[i]!, b[i]!);
  },
};

export function unsignedShiftRight(out: Integers, a: Integers, b: Integers): void {
  for (let i = 0; i < out.length; i++) out[i] = a[i]! >>> (b[i]! & 31);
}

export function longMinimum(a: bigint, b: bigint): bigint {
  if (b < a) return b;
  return a;
}
export function longMaximum(a: bigint, b: bigint): bigint {
  if (b > a) return b;
  return a;
}

export const longUnary: Readonly<Record<string, (x: bigint) => bigint>> = {
  neg: (x) => -x,
  abs: (x) => (x < 0n ? -x : x),
  not: (x) => ~x,
};

export const longBinary: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => (b === 0n ? 0n : a / b),
  rem: (a, b) => (b === 0n ? 0n : a % b),
  min: longMinimum,
  max: longMaximum,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << (b & 63n),
  shr: (a, b) => a >> (b & 63n),
};
