/**
 * @file `--set NAME=VALUE`: turns text into the compile-time constants and dtype variables of a kernel, by what the kernel declares.
 */
import type { Specialization } from "../dsl/index.ts";
import { type DType, dtypes } from "../ir/index.ts";
import { ArgumentError } from "../support/errors.ts";
import type { FoundKernel } from "./find-kernel.ts";

type Constant = number | string | boolean;

/** Throws `ArgumentError` (`SETTING`) for an unknown name or a value of the wrong kind, naming the accepted ones. */
export function parseSettings({ definition, defaults }: FoundKernel, settings: readonly string[]): Specialization {
  const constants: Record<string, Constant> = { ...defaults.constants };
  const bound: Record<string, DType> = { ...defaults.dtypes };
  for (const setting of settings) {
    const at = setting.indexOf("=");
    const name = setting.slice(0, at);
    const value = setting.slice(at + 1);
    if (at < 1) throw new ArgumentError("SETTING", `--set ${setting}: write NAME=VALUE`);
    if (definition.dtypeVariables.includes(name)) {
      if (!dtypes.includes(value as DType))
        throw new ArgumentError("SETTING", `--set ${setting}: ${name} must be one of ${dtypes.join(", ")}`);
      bound[name] = value as DType;
    } else if (Object.hasOwn(definition.constants, name)) {
      constants[name] = parseConstant(setting, value, definition.constants[name] as Constant);
    } else {
      const known = [...definition.dtypeVariables, ...Object.keys(definition.constants)];
      throw new ArgumentError(
        "SETTING",
        `--set ${setting}: ${definition.name} has no constant "${name}"; it has ${known.join(", ") || "none"}`,
      );
    }
  }
  return { constants, dtypes: bound };
}

function parseConstant(setting: string, text: string, like: Constant): Constant {
  if (typeof like === "string") return text;
  if (typeof like === "boolean") {
    if (text === "true" || text === "false") return text === "true";
    throw new ArgumentError("SETTING", `--set ${setting}: must be true or false`);
  }
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value))
    throw new ArgumentError("SETTING", `--set ${setting}: must be a number`);
  return value;
}
