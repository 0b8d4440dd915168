/** @file `tilewright doctor`: what this machine offers, what `auto` would pick, and why. */
import type { Command } from "commander";
import { doctor, renderDoctor } from "../../runtime/index.ts";

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description("show the devices found here, which one would be used, and why the others would not")
    .option("--json", "as JSON")
    .action(async ({ json }: { json?: boolean }) => {
      const report = await doctor();
      console.log(json ? JSON.stringify(report, null, 2) : renderDoctor(report));
    });
}
