import { describe, expect, test } from "vitest";
import { goldenLogits, goldenTexts } from "./golden.ts";
import { loadReference, referenceLogits } from "./reference.ts";

const reference = await loadReference();
const prompts = await goldenLogits();

describe("the f64 reference gives the golden logits", () => {
  test.each([...prompts.keys()])("prompt %i", (prompt) => {
    const { ids, logits } = prompts[prompt]!;
    const ours = referenceLogits(reference, ids);
    expect(ours.length).toBe(logits.length);
    // The golden values are f64 with the architecture's f32 steps left in (the norms, the stored logits): each rounds by 2^-24.
    const norms = 2 * reference.config.layers + 1;
    const tolerance = (norms + 1) * 2 ** -24 * Math.max(...logits.map(Math.abs));
    const difference = Math.max(...ours.map((value, i) => Math.abs(value - logits[i]!)));
    expect(difference).toBeLessThanOrEqual(tolerance);
  });
});

test("its greedy choice after each golden prefix is the golden token", async () => {
  const { generation } = await goldenTexts();
  const { prompt_ids, greedy_ids } = generation[2]!;
  const ids = [...prompt_ids, ...greedy_ids];
  const logits = referenceLogits(reference, ids);
  const { vocabSize } = reference.config;
  const chosen = greedy_ids.map((_, step) => {
    const row = logits.subarray((prompt_ids.length - 1 + step) * vocabSize, (prompt_ids.length + step) * vocabSize);
    return row.indexOf(Math.max(...row));
  });
  expect(chosen).toEqual(greedy_ids);
});
