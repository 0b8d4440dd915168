/** The model as PTX in the package's emulator: the golden logits of a short prompt, at once and through the cache. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadAquila2 } from "../../src/models/aquila2/index.ts";
import { ptxDevice } from "../ptx/device.ts";
import { fixtureDirectory } from "./files.ts";
import { goldenLogits } from "./golden.ts";

/** As in model.test.ts. */
const logitTolerance = 2e-4;

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);

test("the golden logits of the shortest prompt", async () => {
  using device = await ptxDevice();
  using model = await loadAquila2(fileURLToPath(fixtureDirectory), { device });
  const { ids, logits } = (await goldenLogits()).reduce((a, b) => (b.ids.length < a.ids.length ? b : a));
  expect(largestDifference(await model.logits(ids), logits)).toBeLessThanOrEqual(logitTolerance);

  using cache = model.createCache(ids.length);
  const rows: number[] = [];
  for (const part of [ids.slice(0, 2), ids.slice(2)]) {
    using result = model.forward(part, cache);
    rows.push(...(await result.read()));
  }
  expect(rows.length).toBe(logits.length);
  expect(largestDifference(rows, logits)).toBeLessThanOrEqual(logitTolerance);
});
