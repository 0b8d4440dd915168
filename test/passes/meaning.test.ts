/** No pass changes what a kernel computes: random kernels, run before and after by the interpreter, give the same bits. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { interpret } from "../../src/interpreter/index.ts";
import { type Kernel, printKernel, verifyKernel } from "../../src/ir/index.ts";
import { optimize, passes } from "../../src/passes/index.ts";
import { type RandomKernel, type RandomTensor, randomKernel, sameData } from "../support/random-kernel.ts";

/** What the interpreter would report is not what is asked here: NaN and division by zero are allowed to happen. */
const checks = { nan: false, infinity: false, arithmetic: false, promises: true, undefinedValues: false } as const;

/** The outputs of a run on fresh copies of the arguments. */
function run(kernel: Kernel, { arguments: given, grid, outputs }: RandomKernel): RandomTensor[] {
  const copies = Object.fromEntries(
    Object.entries(given).map(([name, argument]) => [
      name,
      typeof argument === "object" ? { ...argument, data: argument.data.slice() } : argument,
    ]),
  );
  interpret(kernel, { arguments: copies, grid, checks });
  return outputs.map((name) => copies[name] as RandomTensor);
}

function expectSameMeaning(random: RandomKernel, pass: (kernel: Kernel) => Kernel): void {
  const { kernel, outputs } = random;
  const after = pass(kernel);
  verifyKernel(after);
  if (after === kernel) return;
  const [expected, actual] = [run(kernel, random), run(after, random)];
  for (const [i, name] of outputs.entries()) {
    const { dtype } = kernel.parameters.find((parameter) => parameter.name === name)!;
    if (!sameData(dtype, expected[i]!.data, actual[i]!.data))
      expect.fail(`${name}: expected ${expected[i]!.data}\ngot ${actual[i]!.data}\nfrom\n${printKernel(after)}`);
  }
}

describe("same bits before and after", () => {
  const all = [...passes, ["optimize", optimize]] as const;
  test.each(all)("%s", (_, pass) => {
    fc.assert(
      fc.property(randomKernel({ readBack: true }), (random) => expectSameMeaning(random, pass)),
      { numRuns: Number(process.env.TILEWRIGHT_RUNS ?? 60) },
    );
  });

  test("random kernels are worth running: they verify, and most of them change", () => {
    const sample = fc.sample(randomKernel({ readBack: true }), { numRuns: 100, seed: 1 });
    for (const { kernel } of sample) verifyKernel(kernel);
    expect(sample.filter(({ kernel }) => optimize(kernel) !== kernel).length).toBeGreaterThan(90);
  });
});

test("optimize is idempotent", () => {
  fc.assert(
    fc.property(randomKernel({ readBack: true }), ({ kernel }) => {
      const once = optimize(kernel);
      expect(printKernel(optimize(once))).toBe(printKernel(once));
    }),
    { numRuns: 60 },
  );
});
