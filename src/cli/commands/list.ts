/** @file `tilewright list`: the kernels of the library. */
import Table from "cli-table3";
import type { Command } from "commander";
import { libraryKernels } from "../../kernels/registry.ts";

export function addList(program: Command): void {
  program
    .command("list")
    .description("list the kernels of the library with their constants (set by --set NAME=VALUE)")
    .option("--json", "as JSON")
    .action(({ json }: { json?: boolean }) => {
      const rows = Object.values(libraryKernels).map(({ definition, summary }) => ({
        name: definition.name,
        summary,
        dtypes: definition.dtypeVariables,
        constants: definition.constants,
      }));
      if (json) {
        console.log(JSON.stringify(rows, null, 2));
        return;
      }
      const table = new Table({
        head: ["kernel", "what it does", "constants"],
        wordWrap: true,
        colWidths: [22, 44, 44],
      });
      for (const { name, summary, dtypes, constants } of rows) {
        const settings = [
          ...dtypes.map((variable) => `${variable}=f16`),
          ...Object.entries(constants).map(([key, value]) => `${key}=${value}`),
        ];
        table.push([name, summary, settings.join(" ")]);
      }
      console.log(table.toString());
    });
}
