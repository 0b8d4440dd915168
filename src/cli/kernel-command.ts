/**
 * @file What the commands share that compile one kernel: how it is named, for which target, with which constants, and where files go.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { parseTarget, type Target, targets } from "../codegen/index.ts";
import type { KernelDefinition, Specialization } from "../dsl/index.ts";
import { ArgumentError } from "../support/errors.ts";
import { findKernel } from "./find-kernel.ts";
import { parseSettings } from "./settings.ts";

export interface KernelOptions {
  readonly target: string;
  readonly set: readonly string[];
  readonly out?: string;
}

/** A command for one kernel, with the options of `KernelOptions` but `--out`. */
export const kernelCommand = (program: Command, name: string): Command =>
  program
    .command(name)
    .argument("<kernel>", "a kernel of the library (tilewright list), or a file of your own: ./my-kernel.ts")
    .requiredOption("--target <target>", targets.join(" | "))
    .option("--set <NAME=VALUE...>", "constants and dtypes of the kernel", []);

export interface ChosenKernel {
  readonly definition: KernelDefinition;
  readonly target: Target;
  readonly specialization: Specialization;
}

/** Throws what `parseTarget`, `findKernel` and `parseSettings` throw. */
export async function chooseKernel(named: string, { target, set }: KernelOptions): Promise<ChosenKernel> {
  const parsed = parseTarget(target);
  const found = await findKernel(named);
  return { definition: found.definition, target: parsed, specialization: parseSettings(found, set) };
}

/** Writes files into a directory, which is made, and gives their paths. Throws `ArgumentError` (`OUT`) where that cannot be. */
export function writeFiles(
  directory: string,
  files: readonly { readonly name: string; readonly text: string }[],
): string[] {
  try {
    mkdirSync(directory, { recursive: true });
    return files.map(({ name, text }) => {
      const path = join(directory, name);
      writeFileSync(path, text);
      return path;
    });
  } catch (error) {
    throw new ArgumentError("OUT", `--out ${directory}: nothing can be written there: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
