/**
 * @file A device that compiles every launch to PTX, with the block sizes that ship for CUDA, and hands it with its arguments to a function that
 * runs it: ptxemu, unless told. (The package's own emulator is `createDevice({ backend: "cuda", emulate: true })`.)
 */
import { type CompiledKernel, compile } from "../../src/codegen/index.ts";
import type { Argument, Arguments } from "../../src/interpreter/index.ts";
import { type DType, elementBytes } from "../../src/ir/index.ts";
import { passedStrides, resolveArguments, resolveGrid } from "../../src/runtime/arguments.ts";
import { Device, type LaunchOptions } from "../../src/runtime/device.ts";
import { bitsOver } from "../../src/runtime/elements.ts";
import type { LaunchValues } from "../../src/runtime/index.ts";
import { isCompiled, type Launchable, Specializer } from "../../src/runtime/specialize.ts";
import type { Storage } from "../../src/runtime/storage.ts";
import { runPtxemu } from "../ptx/ptxemu.ts";

class ArrayStorage implements Storage {
  readonly data: ReturnType<typeof bitsOver>;
  readonly alignment = 16;

  constructor(dtype: DType, count: number) {
    this.data = bitsOver(dtype, new ArrayBuffer(count * elementBytes[dtype]));
  }

  get byteLength(): number {
    return this.data.byteLength;
  }

  async read(byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    return this.data.buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  }

  write(byteOffset: number, bytes: Uint8Array): void {
    new Uint8Array(this.data.buffer).set(bytes, byteOffset);
  }

  free(): void {}
}

type Run = (compiled: CompiledKernel, launch: { arguments: Arguments; grid: readonly number[] }) => unknown;

export class PtxEmulatorDevice extends Device {
  readonly #run: Run;
  readonly backend = "cuda";
  readonly name = "PTX emulator";
  readonly #compiled = new Specializer<CompiledKernel>((kernel, specialization) =>
    compile(kernel, "sm_80", specialization),
  );

  /** `run` executes a launch: in ptxemu, unless told. */
  constructor(run: Run = runPtxemu) {
    super();
    this.#run = run;
  }

  protected allocate(dtype: DType, count: number): Storage {
    return new ArrayStorage(dtype, count);
  }

  launch(kernel: Launchable, values: LaunchValues, options: LaunchOptions = {}): void {
    const compiled = isCompiled(kernel) ? kernel : this.#compiled.get(kernel, values, options);
    const { name, arguments: declared, grid: expressions } = compiled.metadata;
    const { tensors, scalars } = resolveArguments(name, declared, values, this);
    const grid = resolveGrid(name, options.grid, expressions, scalars);
    const given = declared.map(({ name }): [string, Argument] => {
      const tensor = tensors.get(name);
      if (tensor === undefined) return [name, scalars[name]!];
      const { data } = tensor.storage as ArrayStorage;
      return [name, { data, offset: tensor.offset, shape: tensor.shape, strides: passedStrides(tensor) }];
    });
    if (!grid.includes(0)) this.#run(compiled, { arguments: Object.fromEntries(given), grid });
  }

  async synchronize(): Promise<void> {}

  dispose(): void {}
}
