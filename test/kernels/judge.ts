/**
 * @file What the conformance tests of the training operators share: tensors on a device, and the judgement of results. An error may be half
 * a unit of the result's dtype, plus one f32 rounding for each operation on the way, relative to the magnitude of the terms that were added up.
 */
import { expect } from "vitest";
import type { Device, Tensor } from "../../src/runtime/index.ts";
import { recordShare } from "../support/record-share.ts";
import type { FloatDType } from "../support/rounding.ts";
import type { Judged } from "./training-reference.ts";

/** Half a unit in the last place at 1, and the relative error of one f32 operation. */
export const halfUnit: Readonly<Record<FloatDType, number>> = { f16: 2 ** -11, bf16: 2 ** -8, f32: 2 ** -24 };
/** Half the distance of the smallest numbers: what rounding may cost where a result is close to 0. */
const smallest: Readonly<Record<FloatDType, number>> = { f16: 2 ** -25, bf16: 2 ** -134, f32: 2 ** -127 };
export const dtypes = ["f32", "f16", "bf16"] as const;

/** A transcendental function of a target may be off by a few units of its last place (PTX's ex2.approx: 2). */
export const transcendental = 4;

/** A failed assertion of a kernel gives its message; in the PTX emulator it traps. */
export const assertion = (message: RegExp): RegExp => new RegExp(`${message.source}|trap`);

/** Each element within half a unit, and `operations` f32 roundings of the magnitude of its terms. */
export async function expectClose(actual: Tensor, { values, magnitudes }: Judged, operations: number): Promise<void> {
  const dtype = actual.dtype as FloatDType;
  const read = (await actual.read()) as Float32Array;
  expect(read.length).toBe(values.length);
  let share = 0;
  for (const [i, value] of values.entries()) {
    const lost = magnitudes[i]! * operations * halfUnit.f32;
    const allowed = lost + (Math.abs(value) + lost) * halfUnit[dtype] + smallest[dtype];
    const error = Math.abs(read[i]! - value);
    if (!(error <= allowed))
      expect.fail(`element ${i} is ${read[i]}, expected ${value} with an error of at most ${allowed}`);
    share = Math.max(share, error / allowed);
  }
  recordShare(share, dtype);
}

/** The project's rule for attention: the error of each result is at most the allowed one, of which it is given as a share. */
export function expectWithinRule(
  shares: Readonly<Record<string, number>>,
  c: { readonly dtype: string },
  results = Object.keys(shares).length,
): void {
  expect(Object.keys(shares)).toHaveLength(Math.max(1, results));
  for (const [name, share] of Object.entries(shares)) {
    expect(share, `${name} of ${JSON.stringify(c)}`).toBeLessThanOrEqual(1);
    recordShare(share, `${name} ${c.dtype}`);
  }
}

/** Values that are no sums: their own size is their magnitude. */
export const exact = (values: Float64Array): Judged => ({ values, magnitudes: values.map(Math.abs) });

export async function expectSameBits(run: () => Tensor[]): Promise<void> {
  const bits = () => Promise.all(run().map((result) => result.readRaw()));
  expect(await bits()).toEqual(await bits());
}

/** Makers of tensors on a device that is there only when the tests run. */
export const makersOn = (device: () => Device) => ({
  tensor: (values: ArrayLike<number>, shape: readonly number[], dtype: FloatDType) =>
    device().tensor(Float32Array.from(values), { shape, dtype }),
  integers: (values: readonly number[]) =>
    device().tensor(Int32Array.from(values), { shape: [values.length], dtype: "i32" }),
});
