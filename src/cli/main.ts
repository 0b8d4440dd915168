#!/usr/bin/env node
/**
 * @file The command `tilewright`. Each subcommand is a file in `commands/`; what they do is in the library. Exit code 0: all good;
 * 1: something was off; 2: the command was called wrongly.
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { TilewrightError } from "../support/errors.ts";
import { addCompile } from "./commands/compile.ts";
import { addDemo } from "./commands/demo.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEvaluate } from "./commands/evaluate.ts";
import { addGenerate } from "./commands/generate.ts";
import { addInspect } from "./commands/inspect.ts";
import { addIr } from "./commands/ir.ts";
import { addList } from "./commands/list.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const program = new Command("tilewright")
  .description("Tile kernels in TypeScript, compiled to CUDA PTX and WGSL")
  .version(version)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
for (const add of [addDoctor, addList, addCompile, addInspect, addIr, addDemo, addGenerate, addEvaluate]) add(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof TilewrightError)) throw error;
  console.error(`error ${error.code}: ${error.message}`);
  process.exitCode = 1;
}
