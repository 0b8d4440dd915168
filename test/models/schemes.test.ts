/**
 * Under each scheme a prompt gives the same logits at once, in chunks and token by token: the cache holds raw keys, and what a key's position is
 * does not depend on when it came. Prints the largest differences. That the logits are those of the scheme, positions.test.ts says.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { leakyReRope, type PositionMap, reRope, selfExtend } from "../../src/kernels/index.ts";
import { type Aquila2, loadAquila2 } from "../../src/models/aquila2/index.ts";
import { createDevice, type Device } from "../../src/runtime/index.ts";
import { fixtureDirectory } from "./files.ts";

const ids = (JSON.parse(await readFile(new URL("eval_ids.json", fixtureDirectory), "utf8")) as number[]).slice(0, 40);
/** The same sums in another order: a few units of f32 at logits of up to 20, as in positions.test.ts. */
const tolerance = 2e-5;

let device: Device;
let model: Aquila2;
beforeAll(async () => {
  device = await createDevice({ backend: "cpu" });
  model = await loadAquila2(fileURLToPath(fixtureDirectory), { device });
});
afterAll(() => {
  model.dispose();
  device.dispose();
});

const schemes: readonly (PositionMap | undefined)[] = [
  undefined,
  reRope({ window: 8 }),
  reRope({ window: 8, logScale: 16 }),
  leakyReRope({ window: 8, factor: 4 }),
  selfExtend({ window: 8, group: 3 }),
];

async function inParts(size: number, scheme: PositionMap | undefined): Promise<number[]> {
  using cache = model.createCache(ids.length, { scheme });
  const rows: number[] = [];
  for (let from = 0; from < ids.length; from += size) {
    using logits = model.forward(ids.slice(from, from + size), cache);
    rows.push(...(await logits.read()));
  }
  return rows;
}

test.each(schemes.map((scheme) => [scheme?.name ?? "no scheme", scheme] as const))("%s", async (name, scheme) => {
  const whole = await inParts(ids.length, scheme);
  const largest = async (size: number): Promise<number> =>
    (await inParts(size, scheme)).reduce((most, value, i) => Math.max(most, Math.abs(value - whole[i]!)), 0);
  const [chunks, tokens] = [await largest(13), await largest(1)];
  console.info(`${name}: largest logit difference from whole: chunks of 13 ${chunks}, token by token ${tokens}`);
  expect(chunks).toBeLessThanOrEqual(tolerance);
  expect(tokens).toBeLessThanOrEqual(tolerance);
});
