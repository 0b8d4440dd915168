/** @file `tilewright evaluate`: measures of a checkpoint. `perplexity`: against context length, under different position schemes. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import Table from "cli-table3";
import { type Command, InvalidArgumentError } from "commander";
import { Listr, ListrLogger, ProcessOutput } from "listr2";
import {
  type Aquila2,
  evaluatePerplexity,
  loadAquila2,
  type NamedPositions,
  type PerplexityReport,
  parsePositions,
} from "../../models/aquila2/index.ts";
import { type Backend, createDevice, type Device, type DeviceOptions } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { duration, progressBar } from "../progress.ts";

/** Beside a checkpoint: the ids of a held-out text, a JSON list. */
const heldOutFile = "eval_ids.json";

interface Options {
  readonly model: string;
  readonly backend: Backend | "auto";
  readonly adapter?: DeviceOptions["adapter"];
  readonly lengths: readonly number[];
  readonly schemes: readonly NamedPositions[];
  readonly text?: string;
  readonly tail: number;
  readonly starts: readonly number[];
  readonly json?: boolean;
}

const integers = (text: string): number[] =>
  text.split(",").map((word) => {
    if (!/^\d+$/.test(word)) throw new InvalidArgumentError("must be integers with commas between");
    return Number(word);
  });
const integer = (text: string): number => {
  const [value, ...more] = integers(text);
  if (more.length > 0) throw new InvalidArgumentError("must be one integer");
  return value!;
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

export function addEvaluate(program: Command): void {
  program
    .command("evaluate")
    .description("measure an Aquila2 checkpoint")
    .command("perplexity")
    .description("perplexity of the last positions against context length, under different position schemes")
    .requiredOption("--model <directory>", "config.json, safetensors and tokenizer.json")
    .option("--lengths <list>", "context lengths in tokens", integers, [128, 256, 512, 1024, 2048])
    .option(
      "--schemes <list>",
      "see below",
      (text) => text.split(",").map(parsePositions),
      ["default", "linear", "dynamic", "yarn", "rerope", "leaky", "selfextend"].map(parsePositions),
    )
    .option("--text <file>", `a text the model has not seen (default: ${heldOutFile} of the model)`)
    .option("--tail <count>", "how many positions at the end of each context are scored", integer, 128)
    .option("--starts <list>", "the tokens of the text at which contexts start", integers, [0, 4096, 8192, 12288])
    .option("--backend <name>", "auto | webgpu | cpu", "auto")
    .option("--adapter <name>", "of webgpu, for example swiftshader")
    .option("--json", "the report as JSON")
    .addHelpText("after", schemesHelp)
    .action(async (options: Options) => {
      const started = performance.now();
      const report = await run(options);
      if (options.json) console.log(JSON.stringify(report, null, 2));
      else {
        printTable(report);
        console.log(`In ${duration(performance.now() - started)}.`);
      }
    });
}

async function run(options: Options): Promise<PerplexityReport> {
  const logger = new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) });
  const state: { device?: Device; model?: Aquila2; report?: PerplexityReport } = {};
  const tasks = new Listr(
    [
      {
        title: "Load the model",
        task: async (_, task) => {
          const { backend, adapter } = options;
          state.device = await createDevice({ backend, adapter });
          // Contexts beyond the trained length are the point here, so nobody needs a warning.
          state.model = await loadAquila2(options.model, { device: state.device, onWarning: () => {} });
          task.title = `Loaded ${options.model} on ${state.device.backend}, ${state.device.name}`;
        },
      },
      {
        title: "Evaluate",
        task: async (_, task) => {
          const ids = await heldOutIds(options, state.model!);
          const started = performance.now();
          state.report = await evaluatePerplexity(state.model!, {
            ...options,
            ids,
            onProgress: ({ done, scheme, length }) => {
              if (process.stderr.isTTY && done < 1)
                task.output = `${progressBar(done, started)}  ${scheme}, ${length} tokens`;
            },
          });
        },
      },
    ],
    {
      concurrent: false,
      // Standard output is for the report alone.
      rendererOptions: { logger },
      fallbackRenderer: "simple",
      fallbackRendererOptions: { logger },
      fallbackRendererCondition: () => !process.stderr.isTTY,
    },
  );
  try {
    await tasks.run();
    return state.report!;
  } finally {
    state.model?.dispose();
    state.device?.dispose();
  }
}

async function heldOutIds({ text, model: directory }: Options, model: Aquila2): Promise<readonly number[]> {
  if (text !== undefined) return model.tokenizer.encode(await readFile(text, "utf8"));
  const file = join(directory, heldOutFile);
  if (!existsSync(file))
    throw new ArgumentError(
      "EVALUATION",
      `evaluate: ${directory} has no ${heldOutFile}; give a text that the model has not seen: --text FILE.`,
    );
  return JSON.parse(await readFile(file, "utf8"));
}

function printTable({ lengths, tail, starts, rows }: PerplexityReport): void {
  const table = new Table({
    head: ["scheme", ...lengths.map(String)],
    colAligns: ["left", ...lengths.map(() => "right" as const)],
  });
  for (const { scheme, perplexity } of rows) table.push([scheme, ...perplexity.map((value) => value.toFixed(2))]);
  console.log(table.toString());
  console.log(`Perplexity of the last ${tail} positions, over ${starts.length} contexts of each length (tokens).`);
}
