/**
 * @file Finds the kernel that a command names: one of the library by its name, or one that the user's own file exports
 * (`./my-kernel.ts`, `./my-kernel.ts#name`; TypeScript is loaded through jiti).
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isKernelDefinition, type KernelDefinition, type Specialization } from "../dsl/index.ts";
import { libraryKernels } from "../kernels/registry.ts";
import { ArgumentError } from "../support/errors.ts";

export interface FoundKernel {
  readonly definition: KernelDefinition;
  /** What holds where the command sets nothing: f16 for the library's kernels, nothing for the user's. */
  readonly defaults: Specialization;
}

/** Throws `ArgumentError`: `KERNEL_UNKNOWN`, `KERNEL_FILE` (no such file, or it fails to load), `KERNEL_EXPORT` (none, or several). */
export async function findKernel(named: string): Promise<FoundKernel> {
  if (!/[./\\]/.test(named)) {
    const found = Object.hasOwn(libraryKernels, named) ? libraryKernels[named] : undefined;
    if (found) return { definition: found.definition, defaults: found.example };
    throw new ArgumentError(
      "KERNEL_UNKNOWN",
      `there is no kernel "${named}" in the library; it has ${Object.keys(libraryKernels).join(", ")}. A file of your own starts with ./`,
    );
  }
  const [file, exportName] = named.split("#") as [string, string | undefined];
  const path = resolve(file);
  if (!existsSync(path)) throw new ArgumentError("KERNEL_FILE", `${path} does not exist`);
  const exported = await load(path);
  const kernels = Object.entries(exported).filter(([, value]) => isKernelDefinition(value)) as [
    string,
    KernelDefinition,
  ][];
  if (exportName !== undefined) {
    const chosen = kernels.find(([key, kernel]) => key === exportName || kernel.name === exportName);
    if (chosen) return { definition: chosen[1], defaults: {} };
    throw new ArgumentError(
      "KERNEL_EXPORT",
      `${file} exports no kernel "${exportName}"; it exports ${listOf(kernels)}`,
    );
  }
  const distinct = [...new Set(kernels.map(([, kernel]) => kernel))];
  if (distinct.length === 1) return { definition: distinct[0]!, defaults: {} };
  throw new ArgumentError(
    "KERNEL_EXPORT",
    distinct.length === 0
      ? `${file} exports no kernel: export what kernel({ ... }) returns`
      : `${file} exports several kernels: choose one as ${file}#name of ${listOf(kernels)}`,
  );
}

const listOf = (kernels: readonly (readonly [string, KernelDefinition])[]): string =>
  kernels.map(([key]) => key).join(", ") || "none";

async function load(path: string): Promise<Record<string, unknown>> {
  try {
    const { createJiti } = await import("jiti");
    // The user's file says `import ... from "tilewright"`; it must get this very copy, or its kernels would be another class's.
    const here = new URL("../", import.meta.url);
    const alias = {
      "tilewright/kernels": new URL("kernels/index.js", here).pathname,
      "tilewright/models/aquila2": new URL("models/aquila2/index.js", here).pathname,
      tilewright: new URL("index.js", here).pathname,
    };
    return await createJiti(import.meta.url, { alias, interopDefault: true }).import(pathToFileURL(path).href);
  } catch (error) {
    throw new ArgumentError("KERNEL_FILE", `${path} could not be loaded: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
