/**
 * @file Teaches a small model a sentence: a few steps of AdamW on one text, after which the model continues its beginning with the rest.
 * `npx jiti examples/training-step.ts` (minutes on the interpreter, which `auto` takes where there is nothing better.)
 */
import { createDevice } from "../src/index.ts"; // In a project of your own: from "tilewright", ...
import { type Aquila2, loadAquila2, Trainer } from "../src/models/aquila2/index.ts"; // ... and from "tilewright/models/aquila2".

/** Takes `steps` steps on `text` and gives the loss before each. */
export async function teach(model: Aquila2, text: string, steps: number): Promise<number[]> {
  using trainer = new Trainer(model, { learningRate: 1e-3, betas: [0.9, 0.95], weightDecay: 0.1 });
  const batch = [model.tokenizer.encode(text)]; // One or more sequences of one length.
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    using loss = trainer.step(batch); // Forward, backward and update are enqueued at once; only read() waits.
    losses.push((await loss.read())[0] as number);
  }
  return losses;
}

if (process.argv[1]?.endsWith("training-step.ts")) {
  const device = await createDevice({ backend: "auto" });
  using model = await loadAquila2("test/fixtures/aquila2-tiny", { device });
  for (const [step, loss] of (await teach(model, "In the beginning there were tiles.", 8)).entries())
    console.log(`step ${step}: loss ${loss.toFixed(3)}`);
  for await (const { text } of model.generate("In the beginning", { maxNewTokens: 8, temperature: 0 }))
    process.stdout.write(text);
  console.log();
  device.dispose();
}
