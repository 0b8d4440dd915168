/**
 * @file A device for the PTX that we emit, where there is no GPU: kernels are compiled for sm_80 and run in the ptxemu emulator, which
 * also looks for races, stray accesses and undefined reads: whatever it finds is thrown.
 */
import { type CompiledKernel, compile } from "../../src/codegen/index.ts";
import type { Argument, StorageArray } from "../../src/interpreter/index.ts";
import { type DType, elementBytes } from "../../src/ir/index.ts";
import { type LaunchValues, passedStrides, resolveArguments, resolveGrid } from "../../src/runtime/arguments.ts";
import { bitsOver } from "../../src/runtime/elements.ts";
import { Device, type LaunchOptions } from "../../src/runtime/index.ts";
import { isCompiled, type Launchable, Specializer } from "../../src/runtime/specialize.ts";
import type { Storage } from "../../src/runtime/storage.ts";
import { noEmulator, runPtx } from "../../test/ptx/emulator.ts";

class ArrayStorage implements Storage {
  readonly data: StorageArray;
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

  free(): void {
    // Left to the garbage collector.
  }
}

export class EmulatedDevice extends Device {
  /** So that operators choose as they would for a GPU. */
  readonly backend = "cuda";
  readonly name = "ptxemu, sm_80";
  readonly #compiled = new Specializer((kernel, specialization) => compile(kernel, "sm_80", specialization));

  constructor() {
    super();
    if (noEmulator !== undefined) throw new Error(noEmulator);
  }

  protected allocate(dtype: DType, count: number): Storage {
    return new ArrayStorage(dtype, count);
  }

  launch(launched: Launchable, values: LaunchValues, options: LaunchOptions = {}): void {
    const kernel: CompiledKernel = isCompiled(launched) ? launched : this.#compiled.get(launched, values, options);
    const { name, arguments: declared, grid: expressions } = kernel.metadata;
    const { tensors, scalars } = resolveArguments(name, declared, values, this);
    const grid = resolveGrid(name, options.grid, expressions, scalars);
    if (grid.includes(0)) return;
    const given = declared.map((parameter): [string, Argument] => {
      const tensor = tensors.get(parameter.name);
      if (tensor === undefined) return [parameter.name, scalars[parameter.name]!];
      const { data } = tensor.storage as ArrayStorage;
      return [parameter.name, { data, offset: tensor.offset, shape: tensor.shape, strides: passedStrides(tensor) }];
    });
    runPtx(kernel, { arguments: Object.fromEntries(given), grid });
  }

  async synchronize(): Promise<void> {
    // Launches run to their end at once.
  }

  dispose(): void {
    // Nothing is held.
  }
}
