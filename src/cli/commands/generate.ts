/** @file `tilewright generate`: continues a prompt with an Aquila2 checkpoint. */
import { type Command, InvalidArgumentError } from "commander";
import { loadAquila2 } from "../../models/aquila2/index.ts";
import { type Backend, createDevice } from "../../runtime/index.ts";

const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("must be a number");
  return value;
};

interface Options {
  readonly model: string;
  readonly backend: Backend | "auto";
  readonly maxNewTokens: number;
  readonly temperature: number;
}

export function addGenerate(program: Command): void {
  program
    .command("generate")
    .argument("<prompt>", "the text to continue")
    .description("continue a prompt with an Aquila2 checkpoint")
    .requiredOption("--model <directory>", "config.json, safetensors and tokenizer.json")
    .option("--backend <name>", "auto | webgpu | cpu", "auto")
    .option("--max-new-tokens <count>", "", number, 64)
    .option("--temperature <value>", "0 is greedy", number, 0)
    .action(async (prompt: string, { model: directory, backend, maxNewTokens, temperature }: Options) => {
      using device = await createDevice({ backend });
      const model = await loadAquila2(directory, { device });
      process.stdout.write(prompt);
      for await (const { text } of model.generate(prompt, { maxNewTokens, temperature })) process.stdout.write(text);
      process.stdout.write("\n");
    });
}
