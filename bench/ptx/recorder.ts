/**
 * @file A CUDA device that compiles what operators launch, with the constants and facts of the launch, and runs nothing: so what is measured is
 * what is launched. Its tensors have no memory.
 */
import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import { compilePtx } from "../../src/codegen/ptx/index.ts";
import { isKernelDefinition } from "../../src/dsl/index.ts";
import { type DType, elementBytes } from "../../src/ir/index.ts";
import { optimize } from "../../src/passes/index.ts";
import type { LaunchValues } from "../../src/runtime/arguments.ts";
import { Device, type LaunchOptions } from "../../src/runtime/device.ts";
import { isCompiled, type Launchable, Specializer } from "../../src/runtime/specialize.ts";
import type { Storage } from "../../src/runtime/storage.ts";

export class RecordingDevice extends Device {
  readonly backend = "cuda";
  readonly name = "recorder";
  readonly #compiled = new Specializer<CompiledKernel>((kernel, specialization) =>
    // Without the author's lines, which are read from a stack for each operation and cost more than the rest.
    compilePtx(optimize(isKernelDefinition(kernel) ? kernel.trace(specialization) : kernel), {
      target: "sm_80",
      lineInfo: false,
    }),
  );
  #launched: CompiledKernel[] = [];

  /** The kernels that `work` launches. */
  record(work: () => void): readonly CompiledKernel[] {
    this.#launched = [];
    work();
    return this.#launched;
  }

  protected allocate(dtype: DType, count: number): Storage {
    return {
      byteLength: count * elementBytes[dtype],
      alignment: 16,
      read: () => Promise.reject(new Error("nothing runs here")),
      write() {},
      free() {},
    };
  }

  launch(launched: Launchable, values: LaunchValues, options: LaunchOptions = {}): void {
    this.#launched.push(isCompiled(launched) ? launched : this.#compiled.get(launched, values, options));
  }

  async synchronize(): Promise<void> {}

  dispose(): void {}
}
