/** @file `tilewright compile`: a kernel to PTX or WGSL text and launch metadata, as files or on standard output. */
import type { Command } from "commander";
import { compile } from "../../codegen/index.ts";
import { chooseKernel, type KernelOptions, kernelCommand, writeFiles } from "../kernel-command.ts";

export function addCompile(program: Command): void {
  kernelCommand(program, "compile")
    .description("compile a kernel; needs no device")
    .option(
      "--out <directory>",
      "write <kernel>.ptx or .wgsl and <kernel>.json there (default: the text to standard output)",
    )
    .action(async (named: string, options: KernelOptions) => {
      const { definition, target, specialization } = await chooseKernel(named, options);
      const { source, metadata } = compile(definition, target, specialization);
      if (options.out === undefined) {
        process.stdout.write(source);
        return;
      }
      const written = writeFiles(options.out, [
        { name: `${metadata.name}.${target === "wgsl" ? "wgsl" : "ptx"}`, text: source },
        { name: `${metadata.name}.json`, text: `${JSON.stringify(metadata, null, 2)}\n` },
      ]);
      console.log(written.join("\n"));
    });
}
