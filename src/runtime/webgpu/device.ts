/**
 * @file The WebGPU device: buffers, the pipeline cache and the launch. A launch checks everything that can be checked, enqueues and
 * returns; error scopes and the debug buffer are read at the next wait.
 */
import type { CompiledKernel, DebugOutput } from "../../codegen/index.ts";
import { compile } from "../../codegen/index.ts";
import type { WgslCapabilities } from "../../codegen/wgsl/index.ts";
import type { DType } from "../../ir/index.ts";
import { elementBytes } from "../../ir/index.ts";
import { ArgumentError, DeviceError, KernelError, LaunchError } from "../../support/errors.ts";
import type { Grid, LaunchValues } from "../arguments.ts";
import { checkAddresses32, resolveArguments, resolveGrid } from "../arguments.ts";
import { decodeDebugOutput } from "../debug-output.ts";
import type { LaunchOptions, PrintHandler } from "../device.ts";
import { Device } from "../device.ts";
import type { Launchable } from "../specialize.ts";
import { compiledAlready, isCompiled, Specializer } from "../specialize.ts";
import type { Storage } from "../storage.ts";
import { SharedStorage } from "../storage.ts";
import { checkShape, extentOf, rowMajorStrides } from "../strides.ts";
import { Tensor } from "../tensor.ts";
import type { AdapterDescription, AdapterKind, OpenedAdapter } from "./adapter.ts";
import { adapterKindOf, openAdapter } from "./adapter.ts";
import { type BoundRange, boundRanges, type Gathering, packUniform, shareRanges } from "./bindings.ts";
import { bufferGranularity, bufferUsage, mapModeRead, roundUp } from "./constants.ts";
import { Failures } from "./failures.ts";
import type { Pipeline } from "./pipeline.ts";
import { makePipeline } from "./pipeline.ts";
import type { BufferQueue } from "./storage.ts";
import { BufferStorage } from "./storage.ts";
import type { LaunchTiming } from "./timer.ts";
import { LaunchTimer } from "./timer.ts";

/** How a WebGPU device is made. */
export interface WebGpuOptions {
  /** Which kind of adapter. Default: the environment variable `TILEWRIGHT_ADAPTER`, else the best one. */
  readonly adapter?: AdapterKind;
  /** The user's own device, instead of one made here. Tilewright never destroys it. */
  readonly device?: GPUDevice;
  /** Which optional features to use if the adapter has them. Default: all that are of use. */
  readonly features?: readonly GPUFeatureName[];
  /** `"adapter"`: the largest that the adapter offers; `"default"`: those that every WebGPU device has. Default: `"adapter"`. */
  readonly limits?: "adapter" | "default";
  /** Receives what `tl.print` writes. Default: `console.log`. */
  readonly onPrint?: PrintHandler;
}

/** The optional features that the compiler can make use of, and the one for `profile`. */
const usefulFeatures: readonly GPUFeatureName[] = ["shader-f16", "subgroups", "timestamp-query"];

/** Opens an adapter and a device on it. @throws DeviceError `NO_ADAPTER`, `NO_DEVICE`. */
export async function createWebGpuDevice(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
  if (options.device !== undefined) return new WebGpuDevice(options.device, undefined, options);
  const opened = await openAdapter(options.adapter);
  const { adapter, description } = opened;
  const requiredFeatures = (options.features ?? usefulFeatures).filter((feature) => adapter.features.has(feature));
  if (![undefined, "adapter", "default"].includes(options.limits))
    throw new ArgumentError("LIMITS", `"limits" must be "adapter" or "default", got ${JSON.stringify(options.limits)}`);
  const requiredLimits = options.limits === "default" ? {} : description.limits;
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({ requiredFeatures, requiredLimits, label: "tilewright" });
  } catch (error) {
    throw new DeviceError("NO_DEVICE", `the adapter "${description.name}" gives no device`, { cause: error });
  }
  return new WebGpuDevice(device, opened, options);
}

/** Describes a live device to the compiler. */
function capabilitiesOf(
  { features, limits, adapterInfo }: GPUDevice,
  adapter: AdapterDescription | undefined,
): WgslCapabilities {
  const sizes = { min: adapterInfo?.subgroupMinSize ?? 0, max: adapterInfo?.subgroupMaxSize ?? 0 };
  const known = sizes.min > 0 && sizes.max >= sizes.min;
  return {
    kind: adapter?.kind ?? (adapterInfo === undefined ? "hardware" : adapterKindOf(adapterInfo)),
    features: { shaderF16: features.has("shader-f16"), subgroups: features.has("subgroups") },
    ...(known ? { subgroupMinSize: sizes.min, subgroupMaxSize: sizes.max } : {}),
    limits: {
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    },
  };
}

export class WebGpuDevice extends Device implements BufferQueue {
  readonly backend = "webgpu";
  readonly name: string;
  /** The WebGPU device itself, for mixing Tilewright's launches with other work. */
  readonly gpuDevice: GPUDevice;
  /** What the adapter is; undefined if the device is the user's and does not say. */
  readonly adapter: AdapterDescription | undefined;
  /** What the compiler may use on this device. */
  readonly capabilities: WgslCapabilities;
  // Dawn in Node lives only as long as the objects that it was reached through.
  readonly #opened: OpenedAdapter | undefined;
  readonly #failures: Failures;
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #onPrint: PrintHandler;
  readonly #compiled = new Specializer((kernel, specialization) =>
    compile(kernel, "wgsl", { ...specialization, capabilities: this.capabilities }),
  );
  #timer: LaunchTimer | undefined;

  /** For `createWebGpuDevice`. */
  constructor(device: GPUDevice, opened: OpenedAdapter | undefined, { onPrint = console.log }: WebGpuOptions) {
    super();
    this.gpuDevice = device;
    this.#opened = opened;
    this.adapter = opened?.description;
    this.name = opened?.description.name || device.adapterInfo?.description || device.label || "WebGPU device";
    this.capabilities = capabilitiesOf(device, this.adapter);
    this.#failures = new Failures(device);
    this.#onPrint = onPrint;
  }

  /**
   * The user's own buffer as a tensor, without a copy. It must have the usages STORAGE, COPY_SRC and COPY_DST, and is never destroyed here.
   * @param options.strides In elements; default: row-major. `options.offset`: the first element.
   */
  fromBuffer<D extends DType>(
    buffer: GPUBuffer,
    options: { shape: readonly number[]; dtype: D; strides?: readonly number[]; offset?: number },
  ): Tensor<D> {
    const { shape, dtype, strides = rowMajorStrides(shape), offset = 0 } = options;
    checkShape(shape);
    const wanted = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyDestination;
    if ((buffer.usage & wanted) !== wanted) {
      throw new ArgumentError(
        "BUFFER_USAGE",
        `the buffer "${buffer.label}" has usage ${buffer.usage}: it needs STORAGE, COPY_SRC and COPY_DST (${wanted})`,
      );
    }
    if (
      strides.length !== shape.length ||
      ![...strides, offset].every((value) => Number.isSafeInteger(value) && value >= 0)
    ) {
      throw new ArgumentError(
        "VIEW",
        `strides [${strides.join(", ")}] and offset ${offset} do not fit shape [${shape.join(", ")}]`,
      );
    }
    const need = (offset + extentOf({ shape, strides, offset })) * elementBytes[dtype];
    if (need > buffer.size || buffer.size % 4 !== 0) {
      throw new ArgumentError(
        "BUFFER_SIZE",
        `the buffer "${buffer.label}" has ${buffer.size} bytes; the tensor spans ${need}, and the size must be a multiple of 4`,
      );
    }
    const memory = new SharedStorage(new BufferStorage(this, buffer, buffer.size, false));
    return new Tensor(this, memory, dtype, { shape, strides, offset });
  }

  /** The buffer that holds a tensor of this device. The tensor starts `tensor.offset` elements into it. */
  bufferOf(tensor: Tensor): GPUBuffer {
    if (tensor.device !== this) throw new ArgumentError("ARGUMENT_DEVICE", `${tensor} is on another device`);
    return (tensor.storage as BufferStorage).buffer;
  }

  protected allocate(dtype: DType, count: number): Storage {
    this.assertUsable();
    const byteLength = count * elementBytes[dtype];
    const size = Math.max(roundUp(byteLength, bufferGranularity), bufferGranularity);
    const { maxBufferSize } = this.gpuDevice.limits;
    if (size > maxBufferSize) {
      throw new DeviceError(
        "LIMIT",
        `a tensor of ${byteLength} bytes is larger than a buffer of this device can be: ${maxBufferSize} (maxBufferSize)`,
      );
    }
    const usage = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyDestination;
    const buffer = this.#failures.watch(`allocating ${size} bytes`, () => this.gpuDevice.createBuffer({ size, usage }));
    return new BufferStorage(this, buffer, byteLength, true);
  }

  launch(launched: Launchable, values: LaunchValues, options: LaunchOptions = {}): void {
    this.assertUsable();
    const kernel = isCompiled(launched)
      ? compiledAlready(launched, options)
      : this.#compiled.get(launched, values, options);
    const { metadata } = kernel;
    const { name } = metadata;
    const resolved = resolveArguments(name, metadata.arguments, values, this);
    checkAddresses32(name, resolved.tensors);
    const grid = resolveGrid(name, options.grid, metadata.grid, resolved.scalars);
    this.#checkGrid(name, grid);
    const pipeline = this.#pipeline(kernel);
    const ranges = boundRanges(metadata, pipeline.bindings.buffers, resolved, this.gpuDevice.limits);
    if (grid.includes(0)) return;

    const { bindings, uniform } = pipeline;
    const { queue } = this.gpuDevice;
    const encoder = this.gpuDevice.createCommandEncoder({ label: name });
    const copies = shareRanges(metadata, bindings.buffers, ranges, this.gpuDevice.limits).map((gathering) =>
      this.#gather(gathering, ranges, encoder),
    );
    this.#failures.watch(`kernel "${name}"`, () => {
      const debug = metadata.debug && this.#debugBuffer(metadata.debug);
      const entries = new Map<number, GPUBindGroupEntry>();
      for (const { parameter, binding } of bindings.buffers) {
        const range = ranges.get(parameter);
        if (range !== undefined) {
          const { buffer, byteOffset: offset, byteLength: size } = range;
          entries.set(binding, { binding, resource: { buffer, offset, size } });
        } else if (parameter === "debug" && debug !== undefined)
          entries.set(binding, { binding, resource: { buffer: debug } });
        else throw new LaunchError("BINDING", `kernel "${name}": nothing to bind for "${parameter}"`);
      }
      if (uniform !== undefined) {
        queue.writeBuffer(uniform, 0, packUniform(name, bindings.uniform!, resolved, ranges));
        const { binding } = bindings.uniform!;
        entries.set(binding, { binding, resource: { buffer: uniform } });
      }
      const pass = encoder.beginComputePass({ label: name, timestampWrites: this.#timer?.next(name) });
      pass.setPipeline(pipeline.pipeline);
      const group = { label: name, layout: pipeline.layout, entries: [...entries.values()] };
      pass.setBindGroup(0, this.gpuDevice.createBindGroup(group));
      pass.dispatchWorkgroups(...grid);
      pass.end();
      const readDebug = debug && this.#copyDebugBuffer(encoder, debug);
      queue.submit([encoder.finish()]);
      if (readDebug !== undefined) this.#failures.check(this.#reportDebug(name, metadata.debug!, readDebug));
    });
    for (const copy of copies) copy.dispose(); // The launch, being submitted, keeps them.
  }

  /** Copies tensors that share a binding into one buffer, and binds them there. */
  #gather({ byteLength, parts }: Gathering, ranges: Map<string, BoundRange>, encoder: GPUCommandEncoder): Tensor {
    const copy = this.empty([byteLength / 4], "u32");
    const buffer = this.bufferOf(copy);
    for (const { parameter, from, byteOffset, elementOffset } of parts) {
      encoder.copyBufferToBuffer(from.buffer, from.byteOffset, buffer, byteOffset, from.byteLength);
      ranges.set(parameter, { buffer, byteOffset: 0, byteLength, elementOffset });
    }
    return copy;
  }

  #checkGrid(name: string, grid: Grid): void {
    const limit = this.gpuDevice.limits.maxComputeWorkgroupsPerDimension;
    if (grid.some((extent) => extent > limit)) {
      throw new LaunchError(
        "GRID_TOO_LARGE",
        `kernel "${name}": the grid [${grid.join(", ")}] has an axis of more than ${limit} programs (maxComputeWorkgroupsPerDimension): use larger blocks or another axis`,
      );
    }
  }

  #pipeline(kernel: CompiledKernel): Pipeline {
    const known = this.#pipelines.get(kernel.source);
    if (known !== undefined) return known;
    const made = makePipeline(this.gpuDevice, this.#failures, kernel);
    this.#pipelines.set(kernel.source, made);
    return made;
  }

  #debugBuffer({ words }: DebugOutput): GPUBuffer {
    return this.gpuDevice.createBuffer({
      label: "debug",
      size: words * 4,
      usage: bufferUsage.storage | bufferUsage.copySource,
    });
  }

  #copyDebugBuffer(encoder: GPUCommandEncoder, debug: GPUBuffer): GPUBuffer {
    const staging = this.gpuDevice.createBuffer({
      label: "debug",
      size: debug.size,
      usage: bufferUsage.mapRead | bufferUsage.copyDestination,
    });
    encoder.copyBufferToBuffer(debug, 0, staging, 0, debug.size);
    return staging;
  }

  async #reportDebug(name: string, debug: DebugOutput, staging: GPUBuffer): Promise<Error | undefined> {
    try {
      await staging.mapAsync(mapModeRead);
    } catch {
      return undefined; // The launch itself failed, which its error scope reports.
    }
    const { lines, failures } = decodeDebugOutput(name, debug, new Uint32Array(staging.getMappedRange()));
    staging.destroy();
    for (const line of lines) this.#onPrint(line);
    if (failures.length === 0) return undefined;
    const more = failures.length > 1 ? ` (and ${failures.length - 1} more)` : "";
    return new KernelError("ASSERT", `${failures[0]}${more}`);
  }

  /**
   * Runs `work` and gives the time that each launch in it took on the device, in order.
   * @throws DeviceError `MISSING_FEATURE` without `timestamp-query`.
   */
  async profile(work: () => void | Promise<void>): Promise<LaunchTiming[]> {
    this.assertUsable();
    const timer = new LaunchTimer(this.gpuDevice);
    this.#timer = timer;
    try {
      await work();
    } finally {
      this.#timer = undefined;
    }
    const timings = await timer.read();
    timer.dispose();
    await this.settle();
    return timings;
  }

  async synchronize(): Promise<void> {
    this.assertUsable();
    await this.gpuDevice.queue.onSubmittedWorkDone();
    await this.settle();
  }

  settle(): Promise<void> {
    return this.#failures.settle();
  }

  /** @throws DeviceError `DEVICE_LOST` once the device is lost or disposed of. */
  assertUsable(): void {
    if (this.#failures.lost !== undefined) throw this.#failures.lost;
  }

  dispose(): void {
    this.#failures.dispose();
    this.#pipelines.clear();
    if (this.#opened !== undefined) this.gpuDevice.destroy();
  }
}
