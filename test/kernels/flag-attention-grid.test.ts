/**
 * FlagAttention's grids: that they are all there, and a sample of them on the interpreter and as PTX. `npm run bench -- grid` runs the whole.
 */
import { describe, expect, it } from "vitest";
import { CpuDevice } from "../../src/runtime/cpu/device.ts";
import type { Device } from "../../src/runtime/index.ts";
import { ptxDevice } from "../ptx/device.ts";
import { type GridUnit, gridFamilies, gridUnits } from "./flag-attention-grid.ts";
import { expectWithinRule } from "./judge.ts";

/** What the parametrised tests of the original multiply up to, by family. */
const tests = {
  // Forward, backward, auxiliary outputs: shapes x magnitudes x masks x dtypes x orders.
  flash: 18 * 4 * 2 * 2 * 2 + 20 * 4 * 2 * 2 * 2 + 9 * 4 * 2 * 2,
  "split-KV": 18 * 2 * 2 * 2,
  // Forward and backward: shapes x magnitudes x masks x probabilities x dtypes x orders.
  dropout: 2 * 9 * 2 * 2 * 2 * 2 * 2,
  "dropout mask": 9 * 2,
  piecewise: 2 * 8 * 4 * 2 * 2 * 2,
  paged: 2 * 2 * 2 * 3 * 2 + 2 * 2 * 2 * 8 + 3,
};

describe("FlagAttention's grids", () => {
  it.each(gridFamilies)("%s: every test has its place", (family) => {
    const units = gridUnits("scaled").filter((unit) => unit.family === family);
    expect(units.reduce((sum, { cells }) => sum + cells, 0)).toBe(tests[family]);
    // Two of FlagAttention's single cases of paged attention are also in its grid.
    const twice = family === "paged" ? 2 : 0;
    expect(new Set(units.map(({ title }) => title)).size).toBe(units.length - twice);
  });

  it("at their own sizes: one unit for each shape, mask and dtype, with every magnitude and order among them", () => {
    const units = gridUnits("full").filter(({ family }) => family === "flash");
    expect(units.length).toBe(22 * 2 * 2);
    expect(units.every(({ scaled }) => scaled === undefined)).toBe(true);
    for (const dtype of ["f16", "bf16"])
      for (const magnitude of ["", "x2 ", "x3 ", "x4 "])
        for (const order of ["BHTD", "BTHD"])
          expect(units.some(({ title }) => title.startsWith(dtype) && title.endsWith(` ${magnitude}${order}`))).toBe(
            true,
          );
  });

  // Every so many-th, counted so that shapes, masks and dtypes all occur.
  const sample = (step: number) =>
    gridUnits("small")
      .filter((_, i) => i % step === 0)
      .map((unit) => [`${unit.family} ${unit.title}`, unit] as const);
  const expectRight = async (device: Device, unit: GridUnit) =>
    expectWithinRule(await unit.run(device), { dtype: unit.title.split(" ")[0]! });

  it.each(sample(61))("%s on the interpreter", async (_, unit) => {
    using device = new CpuDevice();
    await expectRight(device, unit);
  });

  it.each(sample(193))("%s as PTX for sm_80 in the emulator", async (_, unit) => {
    using device = await ptxDevice();
    await expectRight(device, unit);
  });
});
