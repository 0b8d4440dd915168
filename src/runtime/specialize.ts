/**
 * @file From what a user launches to what a device runs. A kernel definition is traced and compiled anew for each choice of constants, each
 * binding of its dtype variables and each set of facts about its arguments; what was made is kept. Sizes are not among them: another
 * length never compiles anything.
 */
import type { CompiledKernel } from "../codegen/metadata.ts";
import type { KernelDefinition, Specialization } from "../dsl/index.ts";
import { isKernelDefinition } from "../dsl/index.ts";
import type { DType, Kernel, ParameterFacts } from "../ir/index.ts";
import { LaunchError } from "../support/errors.ts";
import { type NamesOf, unknownName } from "../support/names.ts";
import type { LaunchValue, LaunchValues } from "./arguments.ts";
import { factsOf } from "./arguments.ts";
import type { LaunchOptions } from "./device.ts";
import { Tensor } from "./tensor.ts";

/** What can be launched: a kernel of the DSL, a traced kernel (Tile IR), or text that is compiled already. */
export type Launchable = KernelDefinition | Kernel | CompiledKernel;

export const isCompiled = (kernel: Launchable): kernel is CompiledKernel =>
  Object(kernel) === kernel && "source" in kernel && "metadata" in kernel;

const launchOptionNames: NamesOf<LaunchOptions> = { grid: true, constants: true };

/** Makes and keeps one `T` for each specialisation of each kernel. */
export class Specializer<T> {
  readonly #make: (kernel: KernelDefinition | Kernel, specialization: Specialization) => T;
  readonly #made = new WeakMap<object, Map<string, T>>();

  constructor(make: (kernel: KernelDefinition | Kernel, specialization: Specialization) => T) {
    this.#make = make;
  }

  /** @throws LaunchError `KERNEL`, `ARGUMENT_UNKNOWN`, `CONSTANTS`. */
  get(kernel: KernelDefinition | Kernel, values: LaunchValues, options: LaunchOptions): T {
    if (!isKernelDefinition(kernel) && kernel?.body === undefined)
      throw new LaunchError("KERNEL", `what is launched must be made by kernel() or compile(), got ${typeof kernel}`);
    checkOptions(kernel.name, options);
    const specialization = isKernelDefinition(kernel)
      ? specializationOf(kernel, values, options)
      : noConstants(kernel.name, options);
    let made = this.#made.get(kernel);
    if (made === undefined) {
      made = new Map();
      this.#made.set(kernel, made);
    }
    const key = JSON.stringify(specialization);
    let result = made.get(key);
    if (result === undefined) {
      result = this.#make(kernel, specialization);
      made.set(key, result);
    }
    return result;
  }
}

/** A kernel that is compiled already, as a launch takes it. @throws LaunchError `ARGUMENT_UNKNOWN`, `CONSTANTS`. */
export function compiledAlready(kernel: CompiledKernel, options: LaunchOptions): CompiledKernel {
  checkOptions(kernel.metadata.name, options);
  noConstants(kernel.metadata.name, options, "compiled");
  return kernel;
}

function checkOptions(kernel: string, options: LaunchOptions): void {
  const unknown = unknownName(options, launchOptionNames, "option");
  if (unknown !== undefined) throw new LaunchError("ARGUMENT_UNKNOWN", `launch of "${kernel}": ${unknown}`);
}

function noConstants(kernel: string, { constants }: LaunchOptions, made = "traced"): Specialization {
  if (constants !== undefined && Object.keys(constants).length > 0)
    throw new LaunchError(
      "CONSTANTS",
      `kernel "${kernel}" is ${made} already: its constants cannot be set by the launch`,
    );
  return {};
}

/** False for what is no multiple, true for what is no integer: that is for the check of the arguments to refuse. */
function isMultiple(value: LaunchValue | undefined, divisor: number): boolean {
  if (typeof value === "bigint") return value % BigInt(divisor) === 0n;
  return typeof value !== "number" || !Number.isInteger(value) || value % divisor === 0;
}

/** Constants as the launch gives them, dtype variables and facts as the arguments show them. */
function specializationOf(
  definition: KernelDefinition,
  values: LaunchValues,
  { constants = {} }: LaunchOptions,
): Specialization {
  const dtypes: Record<string, DType> = {};
  const facts: Record<string, ParameterFacts> = {};
  for (const { name, dtype, facts: declared } of definition.parameters) {
    const value = values[name];
    if (!(value instanceof Tensor)) {
      if (declared.divisibleBy !== undefined && !isMultiple(value, declared.divisibleBy))
        facts[name] = { divisibleBy: 1 };
      continue;
    }
    facts[name] = factsOf(value);
    if (!definition.dtypeVariables.includes(dtype)) continue;
    const bound = dtypes[dtype];
    if (bound !== undefined && bound !== value.dtype) {
      throw new LaunchError(
        "ARGUMENT_DTYPE",
        `kernel "${definition.name}": the argument "${name}" is ${value}, but another argument of dtype ${dtype} is ${bound}`,
      );
    }
    dtypes[dtype] = value.dtype;
  }
  const sorted = Object.fromEntries(Object.entries(constants).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { constants: sorted, dtypes, facts };
}
