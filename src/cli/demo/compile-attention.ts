/** @file The demo's first step: the forward kernel to every target, with what came out. */
import { compile, type Target, targets } from "../../codegen/index.ts";
import { libraryKernels } from "../../kernels/registry.ts";

export interface CompiledSummary {
  readonly target: Target;
  readonly lines: number;
  readonly bytes: number;
  readonly sharedMemory: number;
  readonly threads: number;
  readonly milliseconds: number;
}

export function compileAttention(): CompiledSummary[] {
  const { definition, example } = libraryKernels.attention_forward!;
  return targets.map((target) => {
    const start = performance.now();
    const { source, metadata } = compile(definition, target, example);
    return {
      target,
      milliseconds: performance.now() - start,
      lines: source.split("\n").length,
      bytes: source.length,
      sharedMemory: metadata.sharedMemory.static + metadata.sharedMemory.dynamic,
      threads: metadata.block.reduce((product, extent) => product * extent, 1),
    };
  });
}
