/** @file `tilewright generate`: continues a prompt with an Aquila2 checkpoint. */
import { type Command, InvalidArgumentError } from "commander";
import { loadAquila2, type NamedPositions, parsePositions } from "../../models/aquila2/index.ts";
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
  readonly rope?: NamedPositions;
  readonly scheme?: NamedPositions;
}

const positions = (kind: NamedPositions["kind"]) => (text: string) => {
  const parsed = parsePositions(text);
  if (parsed.kind !== kind) throw new InvalidArgumentError(`is for --${parsed.kind}`);
  return parsed;
};

export function addGenerate(program: Command): void {
  program
    .command("generate")
    .argument("<prompt>", "the text to continue")
    .description("continue a prompt with an Aquila2 checkpoint")
    .requiredOption("--model <directory>", "config.json, safetensors and tokenizer.json")
    .option("--backend <name>", "auto | webgpu | cpu", "auto")
    .option("--max-new-tokens <count>", "", number, 64)
    .option("--temperature <value>", "0 is greedy", number, 0)
    .option("--rope <type>", "another rotary embedding, such as yarn:factor=8 or dynamic", positions("rope"))
    .option("--scheme <name>", "positions of far tokens, such as rerope:window=512 or selfextend", positions("scheme"))
    .action(async (prompt: string, { model: directory, backend, rope, scheme, ...options }: Options) => {
      using device = await createDevice({ backend });
      const model = await loadAquila2(directory, { device });
      process.stdout.write(prompt);
      const where = { ...rope?.positions(model.config.rope), ...scheme?.positions(model.config.rope) };
      for await (const { text } of model.generate(prompt, { ...options, ...where })) process.stdout.write(text);
      process.stdout.write("\n");
    });
}
