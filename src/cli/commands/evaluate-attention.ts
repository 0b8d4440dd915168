/** @file `tilewright evaluate attention`: what one head looks at in a long text, under different position schemes. */
import type { Command } from "commander";
import { attentionPicture } from "../../models/aquila2/index.ts";
import { attentionChart } from "../evaluate/attention-chart.ts";
import { addCommonOptions, type CommonOptions, integer } from "../evaluate/options.ts";
import { evaluate } from "../evaluate/session.ts";
import { printTable } from "../evaluate/table.ts";

interface Options extends CommonOptions {
  readonly layer: number;
  readonly head: number;
  readonly length: number;
  readonly bins: number;
}

export function addEvaluateAttention(evaluateCommand: Command): void {
  const command = evaluateCommand
    .command("attention")
    .description("what one head looks at in a long text, and how much attention each key gets");
  addCommonOptions(command, "default,rerope")
    .option("--layer <number>", "from 0", integer, 0)
    .option("--head <number>", "from 0", integer, 0)
    .option("--length <tokens>", "of the text", integer, 2048)
    .option("--bins <count>", "rows and columns of the picture, at most", integer, 64)
    .action((options: Options) => {
      const { schemes, layer, head, length, bins } = options;
      return evaluate(options, {
        measure: (model, input) => attentionPicture(model, { schemes, layer, head, length, bins, ...input }),
        print({ layer, head, length, trainedLength, pictures }) {
          printTable(
            [`${trainedLength} or more back`, "most for one key", "at key"],
            pictures.map(({ scheme, farShare, totalAttention }) => {
              const most = totalAttention.reduce((a, b) => Math.max(a, b));
              const far = farShare === undefined ? "" : `${(farShare * 100).toFixed(1)} %`;
              return { scheme, cells: [far, most.toFixed(1), String(totalAttention.indexOf(most))] };
            }),
          );
          console.log(
            `Attention of layer ${layer}, head ${head} over ${length} tokens: the share that goes to keys at least the trained length behind (of queries\n` +
              "beyond it), and the most that one key gets from all queries.",
          );
        },
        chart: attentionChart,
      });
    });
}
