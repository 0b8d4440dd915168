/** @file What every `tilewright evaluate` does around its measure: opens the device and the model, shows progress, reports. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Listr, ListrLogger, ProcessOutput } from "listr2";
import { type Aquila2, loadAquila2, type MeasureProgress } from "../../models/aquila2/index.ts";
import { createDevice, type Device } from "../../runtime/index.ts";
import { ArgumentError } from "../../support/errors.ts";
import { duration, progressBar } from "../progress.ts";
import { type CommonOptions, heldOutFile } from "./options.ts";
import { type Chart, openPlot } from "./plot.ts";

/** One subcommand. */
export interface Evaluation<R> {
  measure(model: Aquila2, input: MeasureInput): Promise<R>;
  /** The report for people. */
  print(report: R): void;
  chart(report: R): Chart;
}

export interface MeasureInput {
  /** The tokens of the held-out text. */
  readonly ids: readonly number[];
  readonly onProgress: (progress: MeasureProgress) => void;
}

/** Runs a measure: the report goes to standard output, everything else to standard error. */
export async function evaluate<R>(options: CommonOptions, { measure, print, chart }: Evaluation<R>): Promise<void> {
  const started = performance.now();
  const plot = options.plot === undefined ? undefined : await openPlot(options.plot);
  const report = await runTasks(options, measure);
  await plot?.(chart(report));
  if (options.json) {
    console.log(JSON.stringify(report, null, 2));
    return;
  }
  print(report);
  if (plot) console.log(`Plotted in ${options.plot}.`);
  console.log(`In ${duration(performance.now() - started)}.`);
}

async function runTasks<R>(options: CommonOptions, measure: Evaluation<R>["measure"]): Promise<R> {
  const logger = new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) });
  const state: { device?: Device; model?: Aquila2; report?: R } = {};
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
          state.report = await measure(state.model!, {
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

async function heldOutIds({ text, model: directory }: CommonOptions, model: Aquila2): Promise<readonly number[]> {
  if (text !== undefined) return model.tokenizer.encode(await readFile(text, "utf8"));
  const file = join(directory, heldOutFile);
  if (!existsSync(file))
    throw new ArgumentError(
      "EVALUATION",
      `evaluate: ${directory} has no ${heldOutFile}; give a text that the model has not seen: --text FILE.`,
    );
  return JSON.parse(await readFile(file, "utf8"));
}
