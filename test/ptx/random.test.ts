/** Random kernels compute in the emulator what the interpreter computes, bit by bit, for several numbers of warps and schedules. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomKernel, sameData } from "../support/random-kernel.ts";
import { runBoth } from "./emulator.ts";

const parameterOf = (kernel: { parameters: readonly { name: string; dtype: string }[] }, name: string) =>
  kernel.parameters.find((parameter) => parameter.name === name)!;

describe("random kernels in the emulator", () => {
  it("agree with the interpreter", () => {
    const random = randomKernel({ exact: true, readBack: true, dotExtents: [1, 2, 4, 8, 16, 32] });
    fc.assert(
      fc.property(random, fc.constantFrom(1, 2, 4), fc.nat(100), (made, numWarps, seed) => {
        const { expected, actual } = runBoth(made.kernel, made, { numWarps, seed });
        for (const name of made.outputs)
          expect(sameData(parameterOf(made.kernel, name).dtype as "f32", expected[name]!, actual[name]!), name).toBe(
            true,
          );
      }),
      { numRuns: 80, seed: 2 },
    );
  });
});
