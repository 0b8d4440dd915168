/** @file `tilewright ir`: the Tile IR of a kernel as traced, and after each pass. */
import type { Command } from "commander";
import { printKernel } from "../../ir/index.ts";
import { optimize } from "../../passes/index.ts";
import { findKernel } from "../find-kernel.ts";
import { parseSettings } from "../settings.ts";

export function addIr(program: Command): void {
  program
    .command("ir")
    .argument("<kernel>", "a kernel of the library, or a file of your own: ./my-kernel.ts")
    .description("print the Tile IR as traced and after each pass that changes it")
    .option("--set <NAME=VALUE...>", "constants and dtypes of the kernel", [])
    .option("--final", "only the IR that the code generators get")
    .option("--locations", "with the author's file and line")
    .action(
      async (
        named: string,
        { set, final, locations = false }: { set: readonly string[]; final?: boolean; locations?: boolean },
      ) => {
        const found = await findKernel(named);
        const traced = found.definition.trace(parseSettings(found, set));
        if (final) {
          console.log(printKernel(optimize(traced), { locations }));
          return;
        }
        console.log(`// as traced\n${printKernel(traced, { locations })}`);
        optimize(traced, {
          onPass: (name, kernel) => console.log(`// after ${name}\n${printKernel(kernel, { locations })}`),
        });
      },
    );
}
