/**
 * @file The CPU device: the interpreter on typed arrays. Exact, checked (bounds, undefined values, NaN from finite values, broken promises) and
 * slow; for debugging kernels and where nothing else is. A launch runs to its end at once, so it throws what goes wrong itself.
 */

import { accessOf } from "../../codegen/access.ts";
import { type LaunchArgument, launchArguments } from "../../codegen/metadata.ts";
import type { Argument, Checks, PreparedKernel, StorageArray } from "../../interpreter/index.ts";
import { checksOf, prepare } from "../../interpreter/index.ts";
import type { DType, Kernel } from "../../ir/index.ts";
import { elementBytes } from "../../ir/index.ts";
import { DeviceError } from "../../support/errors.ts";
import type { LaunchValues } from "../arguments.ts";
import { passedStrides, resolveArguments, resolveGrid } from "../arguments.ts";
import type { LaunchOptions, PrintHandler } from "../device.ts";
import { Device } from "../device.ts";
import { bitsOver } from "../elements.ts";
import type { Launchable } from "../specialize.ts";
import { isCompiled, Specializer } from "../specialize.ts";
import type { Storage } from "../storage.ts";

/** How a CPU device is made. */
export interface CpuOptions {
  /** Changes what the interpreter looks for. */
  readonly checks?: Partial<Checks>;
  /** Receives what `tl.print` writes. Default: `console.log`. */
  readonly onPrint?: PrintHandler;
}

/** Memory as one typed array of the stored bits. */
class ArrayStorage implements Storage {
  readonly data: StorageArray;
  readonly alignment = 16;
  /** One byte an element, 0 where it was never written; undefined where every element is defined. */
  readonly written: Uint8Array | undefined;

  constructor(dtype: DType, count: number, defined: boolean) {
    try {
      this.data = bitsOver(dtype, new ArrayBuffer(count * elementBytes[dtype]));
      this.written = defined ? undefined : new Uint8Array(count);
    } catch (cause) {
      const bytes = count * elementBytes[dtype];
      throw new DeviceError("OUT_OF_MEMORY", `JavaScript has no array of ${bytes} bytes: use smaller tensors`, {
        cause,
      });
    }
  }

  get byteLength(): number {
    return this.data.byteLength;
  }

  async read(byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    return this.data.buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  }

  write(byteOffset: number, bytes: Uint8Array): void {
    new Uint8Array(this.data.buffer).set(bytes, byteOffset);
    const size = this.data.BYTES_PER_ELEMENT;
    this.written?.fill(1, byteOffset / size, (byteOffset + bytes.byteLength) / size);
  }

  free(): void {
    // Left to the garbage collector.
  }
}

export class CpuDevice extends Device {
  readonly backend = "cpu";
  readonly name = "interpreter";
  readonly #checks: Checks;
  readonly #onPrint: PrintHandler;
  readonly #prepared: Specializer<PreparedKernel & { readonly declared: readonly LaunchArgument[] }>;
  #disposed = false;

  constructor({ checks = {}, onPrint = console.log }: CpuOptions = {}) {
    super();
    this.#checks = checksOf(checks);
    this.#onPrint = onPrint;
    this.#prepared = new Specializer((definition, specialization) =>
      this.#prepare("trace" in definition ? definition.trace(specialization) : definition),
    );
  }

  protected allocate(dtype: DType, count: number, defined: boolean): Storage {
    this.#assertUsable();
    return new ArrayStorage(dtype, count, defined);
  }

  #prepare(kernel: Kernel): PreparedKernel & { readonly declared: readonly LaunchArgument[] } {
    return { ...prepare(kernel, this.#checks), declared: launchArguments(kernel.parameters, accessOf(kernel)) };
  }

  launch(kernel: Launchable, values: LaunchValues, options: LaunchOptions = {}): void {
    this.#assertUsable();
    if (isCompiled(kernel)) {
      throw new DeviceError(
        "NOT_INTERPRETABLE",
        `kernel "${kernel.metadata.name}" is compiled for ${kernel.metadata.target}: the cpu backend runs kernels and Tile IR`,
      );
    }
    const prepared = this.#prepared.get(kernel, values, options);
    const { name, parameters, grid: expressions } = prepared.kernel;
    const { tensors, scalars } = resolveArguments(name, prepared.declared, values, this);
    const grid = resolveGrid(name, options.grid, expressions, scalars);
    const given = Object.fromEntries(
      parameters.map((parameter): [string, Argument] => {
        const tensor = tensors.get(parameter.name);
        if (tensor === undefined) return [parameter.name, scalars[parameter.name]!];
        const { data, written } = tensor.storage as ArrayStorage;
        const view = parameter.kind === "tensor" ? { shape: tensor.shape, strides: passedStrides(tensor) } : {};
        return [parameter.name, { data, written, offset: tensor.offset, ...view }];
      }),
    );
    prepared.run({ arguments: given, grid, onPrint: this.#onPrint });
  }

  async synchronize(): Promise<void> {
    this.#assertUsable();
  }

  #assertUsable(): void {
    if (this.#disposed) throw new DeviceError("DEVICE_DISPOSED", "the device was used after it was disposed of");
  }

  dispose(): void {
    this.#disposed = true;
  }
}
