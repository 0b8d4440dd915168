/** Random kernels compute in the package's emulator what the interpreter computes, bit by bit, with every check on. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { type Arguments, interpret } from "../../src/interpreter/index.ts";
import { randomKernel, sameData } from "../support/random-kernel.ts";
import { runEmulated } from "./run.ts";

const copy = (given: Arguments): Arguments =>
  Object.fromEntries(
    Object.entries(given).map(([name, argument]) => [
      name,
      typeof argument === "object" ? { ...argument, data: argument.data.slice() } : argument,
    ]),
  );

describe("random kernels in the package's emulator", () => {
  it("agree with the interpreter", () => {
    const random = randomKernel({ exact: true, readBack: true, dotExtents: [1, 2, 4, 8, 16, 32] });
    fc.assert(
      fc.property(random, fc.constantFrom(1, 2, 4), ({ kernel, arguments: given, outputs, grid }, numWarps) => {
        const [interpreted, emulated] = [copy(given), copy(given)];
        const extents = grid ?? [1, 1, 1];
        interpret(kernel, { arguments: interpreted, grid: extents, checks: { nan: false }, onPrint: () => {} });
        runEmulated(compilePtx(kernel, { target: "sm_80", numWarps }), { arguments: emulated, grid: extents });
        for (const name of outputs) {
          const { dtype } = kernel.parameters.find((parameter) => parameter.name === name)!;
          const dataOf = (args: Arguments) => (args[name] as { data: Float32Array }).data;
          expect(sameData(dtype as "f32", dataOf(interpreted), dataOf(emulated)), name).toBe(true);
        }
      }),
      { numRuns: 60, seed: 3 },
    );
  });
});
