/**
 * @file From a kernel to text for a target: trace, optimise, lower. No device is needed.
 */
import { isKernelDefinition, type KernelDefinition, type Specialization } from "../dsl/index.ts";
import type { Kernel } from "../ir/index.ts";
import { type OptimizeOptions, optimize } from "../passes/index.ts";
import { CompileError } from "../support/errors.ts";
import { type NamesOf, unknownName } from "../support/names.ts";
import type { CompileDetails } from "./details.ts";
import type { CompiledKernel } from "./metadata.ts";
import { compilePtx } from "./ptx/index.ts";
import { compileWgsl, defaultCapabilities, type WgslCapabilities } from "./wgsl/index.ts";

/** What `compile` can produce: PTX for an NVIDIA architecture, or WGSL. */
export const targets = ["sm_80", "wgsl"] as const;
export type Target = (typeof targets)[number];

export interface CompileOptions extends Specialization, OptimizeOptions {
  /** Of the WebGPU device to compile for; WebGPU's default limits and no feature when left out. */
  readonly capabilities?: WgslCapabilities;
  /** Told what the code generator decided: layouts, shared memory, what is copied ahead. */
  readonly onDetails?: (details: CompileDetails) => void;
}

const optionNames: NamesOf<CompileOptions> = {
  constants: true,
  dtypes: true,
  facts: true,
  hints: true,
  capabilities: true,
  onDetails: true,
  onPass: true,
};

/** Throws `CompileError` (`TARGET`) for a text that is not the name of a target. */
export function parseTarget(text: string): Target {
  const target = targets.find((name) => name === text);
  if (!target) throw new CompileError("TARGET", `unknown target "${text}": the targets are ${targets.join(", ")}`);
  return target;
}

/**
 * Compiles a kernel definition (specialised by `constants`, `dtypes`, `facts`), or a kernel that is traced already.
 * @throws TraceError where the kernel's own code breaks a rule, CompileError where the target cannot express it; CompileError `OPTIONS`.
 */
export function compile(
  kernel: KernelDefinition | Kernel,
  target: Target,
  options: CompileOptions = {},
): CompiledKernel {
  const unknown = unknownName(options, optionNames, "option");
  if (unknown !== undefined) throw new CompileError("OPTIONS", `kernel "${kernel.name}": ${unknown}`);
  const { constants, dtypes, facts, hints } = options;
  const traced = isKernelDefinition(kernel)
    ? kernel.trace({ constants, dtypes, facts, hints } as Specialization)
    : kernel;
  const optimized = optimize(traced, options);
  return target === "wgsl"
    ? compileWgsl(optimized, options.capabilities ?? defaultCapabilities, options.onDetails)
    : compilePtx(optimized, { target, onDetails: options.onDetails });
}
