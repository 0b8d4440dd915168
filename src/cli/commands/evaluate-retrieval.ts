/** @file `tilewright evaluate retrieval`: how well a fact near the beginning of a text is remembered at its end. */
import type { Command } from "commander";
import { defaultRetrievalTask, evaluateRetrieval } from "../../models/aquila2/index.ts";
import { lineChart } from "../evaluate/line-chart.ts";
import { addCommonOptions, addLengthOptions, type CommonOptions, listOption } from "../evaluate/options.ts";
import { evaluate } from "../evaluate/session.ts";
import { printTable } from "../evaluate/table.ts";

interface Options extends CommonOptions {
  readonly lengths: readonly number[];
  readonly starts: readonly number[];
  readonly fact: string;
  readonly questions: readonly string[];
  readonly names: readonly string[];
}

const list = (text: string): string[] => text.split("|");
const { fact, questions, names } = defaultRetrievalTask;

export function addEvaluateRetrieval(evaluateCommand: Command): void {
  const command = evaluateCommand
    .command("retrieval")
    .description(
      "how well a fact planted near the beginning of a text is remembered at its end, a row a position scheme",
    );
  addCommonOptions(command, "default,linear,dynamic,yarn,rerope,leaky,selfextend");
  addLengthOptions(command, "0")
    .option("--fact <text>", "what is planted, with {name} where the name stands", fact)
    .addOption(
      listOption(
        "--questions <list>",
        "beginnings of sentences that the name continues, with | between",
        list,
        questions.join("|"),
      ),
    )
    .addOption(listOption("--names <list>", "with | between, each with the space before it", list, names.join("|")))
    .action((options: Options) => {
      const { schemes, lengths, starts, fact, questions, names } = options;
      const asked = { schemes, lengths, starts, task: { fact, questions, names } };
      return evaluate(options, {
        measure: (model, input) => evaluateRetrieval(model, { ...asked, ...input }),
        print({ lengths, distances, task, rows }) {
          printTable(
            lengths.map(String),
            rows.map(({ scheme, gain, accuracy }) => ({
              scheme,
              cells: gain.map((value, i) => `${value.toFixed(2)} ${percent(accuracy[i]!)}`),
            })),
          );
          console.log(
            `By how many nats its own fact makes a name more probable than another name's fact does, and how often the name of the fact is the\n` +
              `most probable of ${task.names.length} (by chance ${percent(1 / task.names.length)}), in contexts of each length (tokens), the name ` +
              `${distances.map(Math.round).join(", ")} tokens after the fact.`,
          );
        },
        chart: ({ lengths, task, trainedLength, rows }) =>
          lineChart({
            lengths,
            trainedLength,
            panels: [
              {
                title: "Gain of the planted name (nats)",
                series: rows.map(({ scheme, gain }) => ({ name: scheme, values: gain })),
              },
              {
                title: `Accuracy among ${task.names.length} names`,
                series: rows.map(({ scheme, accuracy }) => ({ name: scheme, values: accuracy })),
              },
            ],
          }),
      });
    });
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
