/** @file `tilewright inspect`: what became of a kernel, as text, as JSON, and as a page with pictures of its layouts. */
import type { Command } from "commander";
import { type InspectOptions, inspectionFiles, inspectKernel, renderInspection } from "../../runtime/index.ts";
import { chooseKernel, type KernelOptions, kernelCommand, writeFiles } from "../kernel-command.ts";

interface Options extends KernelOptions {
  readonly gpu?: string;
  readonly ptxas: boolean;
  readonly json?: boolean;
}

export function addInspect(program: Command): void {
  kernelCommand(program, "inspect")
    .description("registers, occupancy, shared memory, loops and layouts of a kernel; needs no device")
    .option("--gpu <architecture>", "assemble for this one, as sm_86 (default: the target)")
    .option("--no-ptxas", "only what the compiler knows, without the assembler")
    .option("--out <directory>", "write a picture of each layout there, and index.html, which shows them")
    .option("--json", "print everything as JSON")
    .action(async (named: string, options: Options) => {
      const { definition, target, specialization } = await chooseKernel(named, options);
      const assembler: InspectOptions = options.ptxas ? {} : { assembler: { reason: "it was left out (--no-ptxas)" } };
      const inspection = await inspectKernel(definition, target, { ...specialization, gpu: options.gpu, ...assembler });
      const written = options.out === undefined ? [] : writeFiles(options.out, inspectionFiles(inspection));
      console.log(options.json ? JSON.stringify(inspection, null, 2) : renderInspection(inspection));
      if (written.length > 0 && !options.json) console.log(`\npictures: ${written[0]}`);
    });
}
