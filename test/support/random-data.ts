/** @file Tensors of random elements, in the arrays that hold each dtype. */
import type { StorageArray } from "../../src/interpreter/index.ts";
import type { DType } from "../../src/ir/index.ts";
import { f32ToBf16Bits, f32ToF16Bits } from "../../src/support/index.ts";

const specials = [-0, 0, -0, Number.NaN, Infinity, -Infinity, 2 ** -140, 65504, 1e30];

/**
 * Seed 0: zeros. `small`: floats are integers of magnitude at most 4, whose sums and products are exact; otherwise one in eight is a
 * special value. Integers are of any size.
 */
export function randomData(dtype: DType, length: number, seed: number, small: boolean): StorageArray {
  let state = (seed * 2654435761) >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
  const integer = (): number => (next() >>> 28 === 0 ? next() | 0 : ((next() >>> 16) % 33) - 16);
  const float = (): number => {
    if (small) return ((next() >>> 16) % 9) - 4;
    return next() >>> 29 === 0 ? specials[(next() >>> 16) % specials.length]! : next() / 2 ** 30 - 2;
  };
  const fill = (make: () => number): number[] => Array.from({ length }, seed === 0 ? () => 0 : make);
  switch (dtype) {
    case "f32":
      return Float32Array.from(fill(float));
    case "f16":
      return Uint16Array.from(fill(() => f32ToF16Bits(float())));
    case "bf16":
      return Uint16Array.from(fill(() => f32ToBf16Bits(float())));
    case "bool":
      return Uint8Array.from(fill(() => next() >>> 31));
    case "i8":
      return Int8Array.from(fill(integer));
    case "i32":
      return Int32Array.from(fill(integer));
    case "u32":
      return Uint32Array.from(fill(integer));
    case "i64":
      return BigInt64Array.from(fill(integer).map(BigInt));
  }
}
