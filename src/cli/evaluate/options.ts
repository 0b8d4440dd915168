/** @file The options that the subcommands of `tilewright evaluate` have in common, and how their text is read. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type NamedPositions, parsePositions } from "../../models/aquila2/index.ts";
import type { Backend, DeviceOptions } from "../../runtime/index.ts";

/** Beside a checkpoint: the ids of a held-out text, a JSON list. */
export const heldOutFile = "eval_ids.json";

export interface CommonOptions {
  readonly model: string;
  readonly backend: Backend | "auto";
  readonly adapter?: DeviceOptions["adapter"];
  readonly schemes: readonly NamedPositions[];
  readonly text?: string;
  readonly json?: boolean;
  readonly plot?: string;
}

export const integers = (text: string): number[] =>
  text.split(",").map((word) => {
    if (!/^\d+$/.test(word)) throw new InvalidArgumentError("must be integers with commas between");
    return Number(word);
  });

export const integer = (text: string): number => {
  const [value, ...more] = integers(text);
  if (more.length > 0) throw new InvalidArgumentError("must be one integer");
  return value!;
};

const schemesOf = (text: string): NamedPositions[] => text.split(",").map(parsePositions);

const svgFile = (text: string): string => {
  if (!text.endsWith(".svg")) throw new InvalidArgumentError("must end in .svg");
  return text;
};

const schemesHelp = `
Schemes, with options after colons:
  default                          the rotary embedding without scaling
  linear, ntk, ntk-by-parts, yarn  [:factor=S]; without it, context length / trained length
  dynamic                          [:factor=S]
  rerope                           [:window=W][:logn]
  leaky                            [:window=W][:factor=S][:logn]
  selfextend                       [:window=W][:group=G][:logn]
The others of config.json's rope_type take its numeric keys the same way: llama3:factor=8:low_freq_factor=1:high_freq_factor=4`;

/** An option whose default is written as its user would. */
export const listOption = <T>(flags: string, description: string, read: (text: string) => T, initial: string): Option =>
  new Option(flags, description).argParser(read).default(read(initial), initial);

/** Adds the common options. `schemes`: the default ones. */
export function addCommonOptions(command: Command, schemes: string): Command {
  return command
    .requiredOption("--model <directory>", "config.json, safetensors and tokenizer.json")
    .addOption(listOption("--schemes <list>", "see below", schemesOf, schemes))
    .option("--text <file>", `a text the model has not seen (default: ${heldOutFile} of the model)`)
    .option("--backend <name>", "auto | webgpu | cpu", "auto")
    .option("--adapter <name>", "of webgpu, for example swiftshader")
    .option("--json", "the report as JSON")
    .option("--plot <file.svg>", "also draw it; needs the package echarts", svgFile)
    .addHelpText("after", schemesHelp);
}

/** The options of a measure against context length besides. */
export function addLengthOptions(command: Command, starts: string): Command {
  return command
    .addOption(listOption("--lengths <list>", "context lengths in tokens", integers, "128,256,512,1024,2048"))
    .addOption(listOption("--starts <list>", "the tokens of the text at which contexts start", integers, starts));
}
