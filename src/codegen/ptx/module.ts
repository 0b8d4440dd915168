/**
 * @file The text around a kernel: version and target, module variables, the entry with its parameters and register declarations.
 */
import type { Kernel } from "../../ir/index.ts";
import type { LaunchParameter } from "../metadata.ts";
import { PRINT_ARGUMENTS } from "./debug.ts";
import type { Emitter } from "./emitter.ts";
import { printNodes } from "./print.ts";
import { SHARED_ALIGNMENT, SHARED_MEMORY } from "./shared.ts";

/** A name that PTX accepts: letters, digits and underscores, not starting with a digit. */
export const identifier = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(?![A-Za-z])/, "k_");

/** Different PTX names for the expanded parameters: `q.shape.0` becomes `q_shape_0`. */
export function nameParameters(parameters: readonly LaunchParameter[]): Map<string, string> {
  const taken = new Set<string>();
  const names = new Map<string, string>();
  for (const { name } of parameters) {
    let unique = identifier(name);
    while (taken.has(unique)) unique += "_";
    taken.add(unique);
    names.set(name, unique);
  }
  return names;
}

function parameterType({ kind, dtype }: LaunchParameter): string {
  if (kind === "pointer") return "u64";
  switch (dtype) {
    case "bool":
      return "u8";
    case "i8":
      return "s8";
    case "f16":
    case "bf16":
      return "b16";
    case "i32":
      return "s32";
    case "i64":
      return "s64";
    default:
      return dtype;
  }
}

export interface ModuleOptions {
  readonly entry: string;
  readonly kernel: Kernel;
  readonly parameters: readonly LaunchParameter[];
  readonly names: ReadonlyMap<string, string>;
  readonly sharedMemory: { readonly static: number; readonly dynamic: number };
}

export function printModule(emitter: Emitter, options: ModuleOptions): string {
  const { entry, kernel, parameters, names, sharedMemory } = options;
  const files: string[] = [];
  const body: string[] = [];
  printNodes(
    emitter.nodes,
    {
      fileNumber(file) {
        if (!files.includes(file)) files.push(file);
        return files.indexOf(file) + 1;
      },
    },
    body,
  );
  const constants = Object.entries(kernel.constants).map(([name, value]) => `${name}=${value}`);
  const { target, threads } = emitter;
  const lines = [
    `// ${kernel.name}${constants.length > 0 ? ` with ${constants.join(", ")}` : ""}`,
    `.version ${target.ptxVersion}`,
    `.target ${target.name}`,
    ".address_size 64",
    ...files.map((file, i) => `.file ${i + 1} "${file.replace(/[\\"]/g, "/")}"`),
    ...emitter.declarations.values(),
  ];
  if (sharedMemory.dynamic > 0) lines.push(`.extern .shared .align ${SHARED_ALIGNMENT} .b8 ${SHARED_MEMORY}[];`);
  lines.push(
    "",
    `.visible .entry ${entry}(`,
    parameters.map((parameter) => `  .param .${parameterType(parameter)} ${names.get(parameter.name)}`).join(",\n"),
    ")",
    `.maxntid ${threads}, 1, 1`,
    // Without it ptxas spills a few registers where that makes room for one block more; dots gain nothing by more blocks.
    ...(emitter.hasDots ? [".minnctapersm 1"] : []),
    "{",
  );
  // Untyped 32-bit registers hold floats too: instructions that look at the bits of a float then need no move.
  for (const [prefix, { class: registerClass, count }] of emitter.families)
    lines.push(`  .reg .${registerClass === "f32" ? "b32" : registerClass} %${prefix}<${count}>;`);
  if (sharedMemory.static > 0)
    lines.push(`  .shared .align ${SHARED_ALIGNMENT} .b8 ${SHARED_MEMORY}[${sharedMemory.static}];`);
  if (emitter.localBytes > 0) lines.push(`  .local .align 8 .b8 ${PRINT_ARGUMENTS}[${emitter.localBytes}];`);
  return [...lines, "", ...body, "  ret;", "}", ""].join("\n");
}
