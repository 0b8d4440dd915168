/**
 * @file `Device`: what every backend offers. A device makes tensors and launches kernels on them; launches are enqueued in order and
 * `read()` or `synchronize()` waits for them. What is common to all backends is here: a backend adds its memory and its launch.
 */
import type { DType } from "../ir/index.ts";
import { elementBytes } from "../ir/index.ts";
import { ArgumentError } from "../support/errors.ts";
import { unknownName } from "../support/names.ts";
import type { LaunchValues } from "./arguments.ts";
import type { HostData } from "./elements.ts";
import { storedBits } from "./elements.ts";
import type { Launchable } from "./specialize.ts";
import type { MemoryUse, Storage } from "./storage.ts";
import { SharedStorage } from "./storage.ts";
import { checkShape, rowMajorStrides, sizeOf } from "./strides.ts";
import { Tensor } from "./tensor.ts";

/** Where kernels run. */
export type Backend = "cuda" | "webgpu" | "wasm" | "cpu";

/** How a kernel is launched. */
export interface LaunchOptions {
  /** Number of programs along x, y, z (missing ones are 1). Default: what the kernel says. */
  readonly grid?: readonly number[];
  /** Values for the kernel's compile-time constants; those left out have the kernel's defaults. */
  readonly constants?: Readonly<Record<string, number | string | boolean>>;
}

/** Receives each line that `tl.print` writes. */
export type PrintHandler = (line: string) => void;

export abstract class Device implements Disposable {
  abstract readonly backend: Backend;
  /** The adapter's or processor's own name. */
  abstract readonly name: string;

  #memory: MemoryUse = { current: 0, peak: 0 };

  /** Memory for `count` elements, all zero; unless `defined`, reading what was never written may be reported. */
  protected abstract allocate(dtype: DType, count: number, defined: boolean): Storage;

  /**
   * Enqueues a kernel and returns at once (the cpu backend runs it at once). A failed launch leaves its arguments intact.
   * @throws LaunchError, CompileError, DeviceError where the launch is refused; what goes wrong on the device is thrown by the next
   * `read()` or `synchronize()`.
   */
  abstract launch(kernel: Launchable, values: LaunchValues, options?: LaunchOptions): void;

  /** Waits for every launch so far. @throws KernelError, DeviceError: the first thing that went wrong since the last wait. */
  abstract synchronize(): Promise<void>;

  /**
   * The bytes that tensors on this device hold, counted when they are made and when the last view of them is disposed of (never for tensors left
   * to the garbage collector). Not counted: a user's own buffers, and what a backend needs besides, such as uniforms and staging for reads.
   */
  memory(): MemoryUse {
    return this.#memory;
  }

  /** Lets `memory().peak` begin anew from what is held now. */
  resetPeakMemory(): void {
    this.#hold(0, this.#memory.current);
  }

  #hold(bytes: number, peak = this.#memory.peak): void {
    const current = this.#memory.current + bytes;
    this.#memory = { current, peak: Math.max(peak, current) };
  }

  /** Gives up the device and all memory on it. */
  abstract dispose(): void;

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * A row-major tensor with these elements. f16 and bf16 take a `Float32Array` (rounded to nearest even) or a `Uint16Array` of bits;
   * f32 a `Float32Array` or `Float64Array`; the others exactly their own array: i8 `Int8Array`, i32 `Int32Array`, u32 `Uint32Array`,
   * i64 `BigInt64Array`, bool `Uint8Array` of 0 and 1.
   * @throws ArgumentError `TENSOR_DATA`, `SHAPE`, `DTYPE`, `ARGUMENT_UNKNOWN`; DeviceError where the device has no such memory.
   */
  tensor<D extends DType>(data: HostData, options: { shape: readonly number[]; dtype: D }): Tensor<D> {
    const unknown = unknownName(options ?? {}, { shape: true, dtype: true }, "option");
    if (unknown !== undefined) throw new ArgumentError("ARGUMENT_UNKNOWN", `tensor: ${unknown}`);
    const { shape, dtype } = options ?? {};
    checkDtype(dtype);
    const bits = storedBits(dtype, data);
    checkShape(shape);
    if (bits.length !== sizeOf(shape)) {
      throw new ArgumentError(
        "TENSOR_DATA",
        `shape [${shape.join(", ")}] has ${sizeOf(shape)} elements, the data ${bits.length}`,
      );
    }
    const tensor = this.zeros(shape, dtype);
    tensor.write(bits);
    return tensor;
  }

  /** A row-major tensor whose elements are not defined until they are written. */
  empty<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    return this.#make(shape, dtype, false);
  }

  /** A row-major tensor of zeros. */
  zeros<D extends DType>(shape: readonly number[], dtype: D): Tensor<D> {
    return this.#make(shape, dtype, true);
  }

  #make<D extends DType>(shape: readonly number[], dtype: D, defined: boolean): Tensor<D> {
    checkShape(shape);
    checkDtype(dtype);
    const storage = this.allocate(dtype, sizeOf(shape), defined);
    const memory = new SharedStorage(storage, () => this.#hold(-storage.byteLength));
    this.#hold(storage.byteLength);
    return new Tensor(this, memory, dtype, { shape, strides: rowMajorStrides(shape), offset: 0 });
  }
}

function checkDtype(dtype: DType): void {
  if (!Object.hasOwn(elementBytes, dtype))
    throw new ArgumentError(
      "DTYPE",
      `dtype ${JSON.stringify(dtype)} is unknown: use one of ${Object.keys(elementBytes).join(", ")}`,
    );
}
