/** @file `tilewright compile`: a kernel to PTX or WGSL text and launch metadata, as files or on standard output. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { compile, parseTarget, targets } from "../../codegen/index.ts";
import { findKernel } from "../find-kernel.ts";
import { parseSettings } from "../settings.ts";

interface Options {
  readonly target: string;
  readonly set: readonly string[];
  readonly out?: string;
}

export function addCompile(program: Command): void {
  program
    .command("compile")
    .argument("<kernel>", "a kernel of the library (tilewright list), or a file of your own: ./my-kernel.ts")
    .description("compile a kernel; needs no device")
    .requiredOption("--target <target>", targets.join(" | "))
    .option("--set <NAME=VALUE...>", "constants and dtypes of the kernel", [])
    .option(
      "--out <directory>",
      "write <kernel>.ptx or .wgsl and <kernel>.json there (default: the text to standard output)",
    )
    .action(async (named: string, { target: targetName, set, out }: Options) => {
      const target = parseTarget(targetName);
      const found = await findKernel(named);
      const { source, metadata } = compile(found.definition, target, parseSettings(found, set));
      if (out === undefined) {
        process.stdout.write(source);
        return;
      }
      mkdirSync(out, { recursive: true });
      const base = join(out, metadata.name);
      const text = `${base}.${target === "wgsl" ? "wgsl" : "ptx"}`;
      writeFileSync(text, source);
      writeFileSync(`${base}.json`, `${JSON.stringify(metadata, null, 2)}\n`);
      console.log(`${text}\n${base}.json`);
    });
}
