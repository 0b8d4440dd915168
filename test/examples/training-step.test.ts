/** The example that teaches a model a sentence. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { teach } from "../../examples/training-step.ts";
import { loadAquila2 } from "../../src/models/aquila2/index.ts";
import { CpuDevice } from "../../src/runtime/index.ts";

test("examples/training-step.ts: the loss falls", async () => {
  using device = new CpuDevice();
  using model = await loadAquila2(fileURLToPath(new URL("../fixtures/aquila2-tiny", import.meta.url)), { device });
  const [first, second] = await teach(model, "In the beginning there were tiles.", 2);
  // A step of this size takes at least a tenth off the loss of a text of a few tokens.
  expect(second!).toBeLessThan(0.9 * first!);
});
