/** Pictures of attention against the weights of the model in plain f64. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { attentionPicture, loadAquila2, parsePositions } from "../../src/models/aquila2/index.ts";
import { createDevice } from "../../src/runtime/index.ts";
import { fixtureDirectory } from "./files.ts";
import { loadReference, type ReferencePositions, referenceLogits } from "./reference.ts";

const ids: number[] = JSON.parse(await readFile(new URL("eval_ids.json", fixtureDirectory), "utf8"));
const device = await createDevice({ backend: "cpu" });
const model = await loadAquila2(fileURLToPath(fixtureDirectory), { device, onWarning: () => {} });
const reference = await loadReference();

/** Weights [query][key] of one head, and their column sums. */
function weightsOf(length: number, layer: number, head: number, positions: ReferencePositions = {}) {
  const rows: Float64Array[] = [];
  referenceLogits(reference, ids.slice(0, length), {
    ...positions,
    onWeights: (ofLayer, ofHead, query, weights) => {
      if (ofLayer === layer && ofHead === head) rows[query] = weights;
    },
  });
  const sums = Array.from({ length }, (_, key) => rows.reduce((sum, row) => sum + (row[key] ?? 0), 0));
  return { rows, sums };
}

/**
 * Two layers of sums of a few hundred f32 products leave logits of order 10 wrong by about 1e-5, and weights by that share. A sum of weights
 * that are 1 or less, of at most 43 queries, is then right to 43e-5 · its size.
 */
const tolerance = 5e-4;

test.each([
  ["default", {}],
  ["rerope:window=16", { distance: (i: number, j: number) => Math.min(i - j, 16) }],
] as const)("weights by bin and column sums: %s", async (scheme, positions) => {
  const [layer, head, length, binSize] = [1, 3, 43, 6]; // the last bin has one token
  const report = await attentionPicture(model, {
    ids,
    layer,
    head,
    length,
    bins: 8,
    schemes: [parsePositions(scheme)],
  });
  expect(report).toMatchObject({ layer, head, length, binSize, trainedLength: 256 });
  const [{ weights, totalAttention, farShare }] = report.pictures as [(typeof report.pictures)[number]];
  const { rows, sums } = weightsOf(length, layer, head, positions);

  expect(totalAttention).toHaveLength(length);
  for (const [key, sum] of sums.entries())
    expect(Math.abs(totalAttention[key]! - sum)).toBeLessThan(tolerance * Math.max(1, sum));
  expect(weights).toHaveLength(8);
  for (const [bin, row] of weights.entries()) {
    const queries = rows.slice(bin * binSize, (bin + 1) * binSize);
    expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);
    for (const [keyBin, weight] of row.entries()) {
      const inBin = (query: Float64Array) =>
        query.slice(keyBin * binSize, (keyBin + 1) * binSize).reduce((a, b) => a + b, 0);
      const expected = queries.reduce((sum, query) => sum + inBin(query), 0) / queries.length;
      expect(Math.abs(weight - expected)).toBeLessThan(tolerance);
    }
  }
  expect(farShare).toBeUndefined(); // no key is 256 behind
});

test("the share of far attention counts whole bins", async () => {
  const [length, binSize, trained] = [300, 10, 256];
  const { pictures } = await attentionPicture(model, {
    ids,
    layer: 0,
    head: 1,
    length,
    bins: 30,
    schemes: [parsePositions("default")],
  });
  const { rows } = weightsOf(length, 0, 1);
  const shares: number[] = [];
  for (const [query, row] of rows.entries()) {
    // Keys of a bin [b · 10, b · 10 + 10) whose last one is 256 behind.
    const far = row.filter((_, key) => Math.floor(key / binSize) * binSize + binSize - 1 <= query - trained);
    if (far.length > 0) shares.push(far.reduce((a, b) => a + b));
  }
  expect(shares.length).toBe(length - trained - binSize + 1);
  const expected = shares.reduce((a, b) => a + b) / shares.length;
  expect(expected).toBeGreaterThan(0.02);
  expect(Math.abs(pictures[0]!.farShare! - expected)).toBeLessThan(tolerance);
});
