/** @file `tilewright evaluate perplexity`: perplexity of the last positions against context length. */
import type { Command } from "commander";
import { evaluatePerplexity } from "../../models/aquila2/index.ts";
import { lineChart } from "../evaluate/line-chart.ts";
import { addCommonOptions, addLengthOptions, type CommonOptions, integer } from "../evaluate/options.ts";
import { evaluate } from "../evaluate/session.ts";
import { printTable } from "../evaluate/table.ts";

interface Options extends CommonOptions {
  readonly lengths: readonly number[];
  readonly starts: readonly number[];
  readonly tail: number;
}

export function addEvaluatePerplexity(evaluateCommand: Command): void {
  const command = evaluateCommand
    .command("perplexity")
    .description("perplexity of the last positions against context length, a row a position scheme");
  addCommonOptions(command, "default,linear,dynamic,yarn,rerope,leaky,selfextend");
  addLengthOptions(command, "0,4096,8192,12288")
    .option("--tail <count>", "how many positions at the end of each context are scored", integer, 128)
    .action((options: Options) => {
      const { schemes, lengths, starts, tail } = options;
      return evaluate(options, {
        measure: (model, input) => evaluatePerplexity(model, { schemes, lengths, starts, tail, ...input }),
        print({ lengths, tail, starts, rows }) {
          printTable(
            lengths.map(String),
            rows.map(({ scheme, perplexity }) => ({ scheme, cells: perplexity.map((value) => value.toFixed(2)) })),
          );
          console.log(
            `Perplexity of the last ${tail} positions, over ${starts.length} contexts of each length (tokens).`,
          );
        },
        chart: ({ lengths, tail, trainedLength, rows }) =>
          lineChart({
            lengths,
            trainedLength,
            panels: [
              {
                title: `Perplexity of the last ${tail} positions`,
                scale: "log",
                series: rows.map(({ scheme, perplexity }) => ({ name: scheme, values: perplexity })),
              },
            ],
          }),
      });
    });
}
