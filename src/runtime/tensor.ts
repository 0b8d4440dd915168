/**
 * @file `Tensor`: a strided view on device memory. Views (`permute`, `slice`, `reshape`, `expand`) share the memory of the tensor they
 * are made from and never copy; the memory lives until each of them is disposed of.
 */
import type { DType } from "../ir/index.ts";
import { elementBytes } from "../ir/index.ts";
import { ArgumentError, DeviceError } from "../support/errors.ts";
import type { Device } from "./device.ts";
import type { HostData, TensorBits, TensorValues } from "./elements.ts";
import { bitsOver, gather, storedBits, valuesOf } from "./elements.ts";
import type { SharedStorage, Storage } from "./storage.ts";
import type { View } from "./strides.ts";
import { expandView, extentOf, isRowMajor, permuteView, reshapeView, sizeOf, sliceView } from "./strides.ts";

/** A tensor on a device. Made by `device.tensor`, `device.empty` and `device.zeros`, and by operators. */
export class Tensor<D extends DType = DType> implements Disposable, View {
  readonly device: Device;
  readonly dtype: D;
  readonly shape: readonly number[];
  /** Distance between neighbours along each axis, in elements; 0 along an expanded axis. */
  readonly strides: readonly number[];
  /** Where the first element lies in the memory, in elements. */
  readonly offset: number;
  #memory: SharedStorage | undefined;

  /** For devices; users call `device.tensor` and its like. */
  constructor(device: Device, memory: SharedStorage, dtype: D, view: View) {
    this.device = device;
    this.dtype = dtype;
    this.shape = Object.freeze([...view.shape]);
    this.strides = Object.freeze([...view.strides]);
    this.offset = view.offset;
    this.#memory = memory.acquire();
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Whether the elements lie dense in row-major order. */
  get isRowMajor(): boolean {
    return isRowMajor(this);
  }

  /** Whether `dispose` was called on this tensor. */
  get isDisposed(): boolean {
    return this.#memory === undefined;
  }

  /** The memory under this tensor. Throws `DeviceError` (`DISPOSED`) after `dispose`. */
  get storage(): Storage {
    return this.#shared.storage;
  }

  get #shared(): SharedStorage {
    if (this.#memory === undefined) throw new DeviceError("DISPOSED", `${this} was used after it was disposed of`);
    return this.#memory;
  }

  /**
   * Waits for the launches enqueued so far and gives the elements in row-major order; f16 and bf16 as f32.
   * @throws KernelError, DeviceError: also what went wrong in an earlier launch.
   */
  async read(): Promise<TensorValues[D]> {
    return valuesOf(this.dtype, await this.readRaw());
  }

  /** As `read`, but gives the stored bits: f16 and bf16 as `Uint16Array`. */
  async readRaw(): Promise<TensorBits[D]> {
    const { storage } = this;
    const bytes = elementBytes[this.dtype];
    const memory = await storage.read(this.offset * bytes, extentOf(this) * bytes);
    return gather(this.dtype, bitsOver(this.dtype, memory), this);
  }

  /**
   * Replaces every element, after the launches enqueued so far. `data` is in row-major order and of the kinds that `device.tensor`
   * takes. The tensor must be row-major.
   */
  write(data: HostData): void {
    const bits = storedBits(this.dtype, data);
    if (bits.length !== this.size)
      throw new ArgumentError("TENSOR_DATA", `${this} has ${this.size} elements, the data ${bits.length}`);
    if (!this.isRowMajor)
      throw new ArgumentError("TENSOR_DATA", `${this} is not row-major, so it cannot be written to from the host`);
    this.storage.write(
      this.offset * elementBytes[this.dtype],
      new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength),
    );
  }

  /** Axis `i` of the result is axis `order[i]` of this. */
  permute(order: readonly number[]): Tensor<D> {
    return this.#view(permuteView(this, order));
  }

  /** Exchanges two axes (default: the last two). Negative axes count from the end. */
  transpose(a = -2, b = -1): Tensor<D> {
    const order = this.shape.map((_, axis) => axis);
    const [first, second] = [a < 0 ? a + this.rank : a, b < 0 ? b + this.rank : b];
    if (order[first] === undefined || order[second] === undefined) {
      throw new ArgumentError("VIEW", `transpose: axes ${a} and ${b} are out of range for ${this}`);
    }
    [order[first], order[second]] = [second, first];
    return this.permute(order);
  }

  /** The elements `from <= i < to` (by `step`) along `axis`. Negative numbers count from the end. */
  slice(axis: number, from: number, to: number = Number.NaN, step = 1): Tensor<D> {
    return this.#view(sliceView(this, axis, from, Number.isNaN(to) ? (this.shape.at(axis) ?? 0) : to, step));
  }

  /** Another shape over the same elements; one extent may be -1. Throws `ArgumentError` where only a copy could do it. */
  reshape(shape: readonly number[]): Tensor<D> {
    return this.#view(reshapeView(this, shape));
  }

  /** Repeats axes of extent 1, and adds leading axes, to reach `shape`. Such a view can be read, not written. */
  expand(shape: readonly number[]): Tensor<D> {
    return this.#view(expandView(this, shape));
  }

  #view(view: View): Tensor<D> {
    return new Tensor(this.device, this.#shared, this.dtype, view);
  }

  /** Frees the memory, unless another view still uses it. Does nothing the second time. */
  dispose(): void {
    const memory = this.#memory;
    this.#memory = undefined;
    memory?.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor<${this.dtype}, [${this.shape.join(", ")}]>`;
  }
}
