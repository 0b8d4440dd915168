/** Random kernels give the bits that the interpreter gives, on every device and flavour. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileWgsl } from "../../src/codegen/wgsl/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { type RandomKernel, randomKernel } from "../support/random-kernel.ts";
import { expectAgreement, flavours, hasLavapipe } from "./agree.ts";
import { type Flavour, testDevice } from "./devices.ts";

const runs = Number(process.env.TILEWRIGHT_RUNS ?? 40);

async function check(adapter: "swiftshader" | "lavapipe", flavour: Flavour, numRuns: number): Promise<void> {
  const device = await testDevice(adapter, flavour);
  await fc.assert(
    fc.asyncProperty(
      randomKernel({ exact: true, readBack: true }),
      async ({ kernel, arguments: given, grid }: RandomKernel) => {
        fc.pre(fits(kernel, device.capabilities.limits.maxStorageBuffersPerShaderStage));
        await expectAgreement(device, kernel, given, { grid });
      },
    ),
    { numRuns, interruptAfterTimeLimit: 50_000 },
  );
}

/** Random kernels have an output for each store; those with more than a device binds are of no use here. */
const fits = (kernel: RandomKernel["kernel"], limit: number): boolean =>
  kernel.parameters.filter(({ kind }) => kind !== "scalar").length <= limit;

describe.each(flavours)("SwiftShader, %s", (flavour) => {
  test("random kernels", () => check("swiftshader", flavour, runs));
});
// A pipeline takes lavapipe half a second or more: a sample must do here (TILEWRIGHT_RUNS for more).
describe.skipIf(!hasLavapipe).each(flavours)("lavapipe (skipped where it is not installed), %s", (flavour) => {
  test("random kernels", () => check("lavapipe", flavour, Math.ceil(runs / 12)));
});

test("kernels that were not optimised agree too", async () => {
  const device = await testDevice("swiftshader", "all");
  await fc.assert(
    fc.asyncProperty(randomKernel({ exact: true }), async ({ kernel, arguments: given, grid }) => {
      fc.pre(fits(kernel, device.capabilities.limits.maxStorageBuffersPerShaderStage));
      await expectAgreement(device, kernel, given, { grid, raw: true });
    }),
    { numRuns: Math.ceil(runs / 4) },
  );
});

describe("the text of random kernels", () => {
  const sources = fc
    .sample(randomKernel({ exact: true, readBack: true }), { numRuns: 40, seed: 7 })
    .filter(({ kernel }) => fits(kernel, 8))
    .flatMap(({ kernel }) =>
      (["hardware", "lavapipe"] as const).map(
        (kind) =>
          compileWgsl(optimize(kernel), {
            kind,
            features: { shaderF16: true, subgroups: true },
            limits: {
              maxComputeInvocationsPerWorkgroup: 256,
              maxComputeWorkgroupStorageSize: 16384,
              maxStorageBuffersPerShaderStage: 8,
            },
          }).source,
      ),
    );

  test("every variable has an initialiser: Tint does not reset one without in a loop", () => {
    for (const source of sources) expect(source).not.toMatch(/\bvar \w+(: [^=;]+)?;/);
    expect(sources.some((source) => source.includes("var "))).toBe(true);
  });
  test("nothing is named that is not used", () => {
    for (const source of sources)
      for (const [, name] of source.matchAll(/\blet (\w+) =/g))
        expect(source.match(new RegExp(`\\b${name}\\b`, "g"))!.length, `${name} in\n${source}`).toBeGreaterThan(1);
  });
});
