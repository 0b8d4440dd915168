/**
 * @file The CUDA device: tensors in the memory of a GPU, kernels compiled to PTX for sm_80, which the driver compiles on for what the GPU
 * is. Everything goes through `CudaGpu`, so a GPU behind the driver and an emulated one differ in nothing else.
 */
import type { CompiledKernel } from "../../codegen/index.ts";
import { compile } from "../../codegen/index.ts";
import type { EmulatedGpuOptions, LaunchReport } from "../../emulator/index.ts";
import type { DType } from "../../ir/index.ts";
import { elementBytes } from "../../ir/index.ts";
import { DeviceError, LaunchError } from "../../support/errors.ts";
import type { Grid, LaunchValues } from "../arguments.ts";
import { resolveArguments, resolveGrid } from "../arguments.ts";
import type { LaunchOptions, PrintHandler } from "../device.ts";
import { Device } from "../device.ts";
import type { Launchable } from "../specialize.ts";
import { compiledAlready, isCompiled, Specializer } from "../specialize.ts";
import type { Storage } from "../storage.ts";
import type { LaunchTiming } from "../webgpu/timer.ts";
import { DriverGpu } from "./driver-gpu.ts";
import type { CudaGpu, GpuFunction, GpuMark } from "./gpu.ts";
import { loadCudaLibrary } from "./library.ts";
import { packParameters } from "./parameters.ts";

/** How a CUDA device is made. */
export interface CudaOptions {
  /** Run the PTX in the emulator instead of on a GPU: slow, checked; with options, checked as they say. Default: false. */
  readonly emulate?: boolean | EmulatedGpuOptions;
  /** Which GPU of the driver. Default: 0. */
  readonly ordinal?: number;
  /** Receives what `tl.print` writes in the emulator; a GPU prints to the process's standard output. Default: `console.log`. */
  readonly onPrint?: PrintHandler;
  /** Receives what the emulator counted in each launch: instructions, and for each access to memory its bank conflicts and sectors. */
  readonly onReport?: (kernel: string, report: LaunchReport) => void;
}

/**
 * Opens a GPU through the CUDA driver, or an emulated one.
 * @throws DeviceError `NO_DRIVER`, `NO_DEVICE`, `DEVICE_TOO_OLD`.
 */
export async function createCudaDevice(options: CudaOptions = {}): Promise<CudaDevice> {
  const { emulate = false, ordinal = 0, onPrint = console.log, onReport } = options;
  if (emulate !== false) {
    // Pages that do not ask for the emulator need not load it.
    const { EmulatedCudaGpu } = await import("./emulated-gpu.ts");
    return new CudaDevice(new EmulatedCudaGpu(onPrint, onReport, emulate === true ? {} : emulate));
  }
  const library = await loadCudaLibrary();
  if ("reason" in library) {
    throw new DeviceError(
      "NO_DRIVER",
      `${library.reason}; { backend: "cuda", emulate: true } runs the same PTX without a GPU`,
    );
  }
  return new CudaDevice(new DriverGpu(library.value, ordinal));
}

/** The oldest GPUs that the code is for. */
const MIN_CAPABILITY = 8;
/** Along x, y and z. */
const MAX_GRID = [2 ** 31 - 1, 65535, 65535] as const;

/** Device memory; freed with its last tensor. */
class GpuStorage implements Storage {
  readonly address: bigint;
  readonly byteLength: number;
  readonly alignment = 16;
  readonly #gpu: CudaGpu;

  constructor(gpu: CudaGpu, byteLength: number) {
    this.#gpu = gpu;
    this.byteLength = byteLength;
    this.address = gpu.allocate(Math.ceil(byteLength / 16) * 16);
  }

  async read(byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    const bytes = await this.#gpu.read(this.address + BigInt(byteOffset), byteLength);
    return bytes.buffer as ArrayBuffer;
  }

  write(byteOffset: number, bytes: Uint8Array): void {
    this.#gpu.write(this.address + BigInt(byteOffset), bytes);
  }

  free(): void {
    this.#gpu.free(this.address);
  }
}

/** The marks around one launch. */
interface Timed {
  readonly kernel: string;
  readonly start: GpuMark;
  readonly end: GpuMark;
}

export class CudaDevice extends Device {
  readonly backend = "cuda";
  readonly name: string;
  readonly computeCapability: readonly [major: number, minor: number];
  readonly #gpu: CudaGpu;
  readonly #functions = new WeakMap<CompiledKernel, GpuFunction>();
  readonly #compiled = new Specializer<CompiledKernel>((kernel, specialization) =>
    compile(kernel, "sm_80", specialization),
  );
  #timed: Timed[] | undefined;

  /** For `createCudaDevice` and tests. @throws DeviceError `DEVICE_TOO_OLD`. */
  constructor(gpu: CudaGpu) {
    super();
    this.#gpu = gpu;
    this.name = gpu.name;
    this.computeCapability = gpu.computeCapability;
    const [major, minor] = gpu.computeCapability;
    if (major < MIN_CAPABILITY) {
      gpu.dispose();
      throw new DeviceError(
        "DEVICE_TOO_OLD",
        `${gpu.name} has compute capability ${major}.${minor}; the code is for 8.0 (A100, RTX 30) and newer: use "webgpu"`,
      );
    }
  }

  protected allocate(dtype: DType, count: number): Storage {
    return new GpuStorage(this.#gpu, count * elementBytes[dtype]);
  }

  launch(launched: Launchable, values: LaunchValues, options: LaunchOptions = {}): void {
    const kernel = isCompiled(launched)
      ? compiledAlready(launched, options)
      : this.#compiled.get(launched, values, options);
    const { name, params, arguments: declared, grid: expressions, block } = kernel.metadata;
    const { tensors, scalars } = resolveArguments(name, declared, values, this);
    const grid = resolveGrid(name, options.grid, expressions, scalars);
    checkGrid(name, grid);
    const run = this.#function(kernel);
    if (grid.includes(0)) return;
    const addresses = new Map(
      [...tensors].map(([parameter, { storage, offset, dtype }]) => [
        parameter,
        (storage as GpuStorage).address + BigInt(offset * elementBytes[dtype]),
      ]),
    );
    const parameters = packParameters(params, addresses, scalars);
    const start = this.#timed && this.#gpu.mark();
    run({ grid, block, parameters });
    if (start) this.#timed!.push({ kernel: name, start, end: this.#gpu.mark() });
  }

  /** The loaded kernel, once for each compiled text. */
  #function(kernel: CompiledKernel): GpuFunction {
    const known = this.#functions.get(kernel);
    if (known !== undefined) return known;
    const { name, target, entry, sharedMemory } = kernel.metadata;
    if (!target.startsWith("sm_"))
      throw new LaunchError("NOT_PTX", `kernel "${name}" is compiled for ${target}: the cuda backend runs PTX`);
    const shared = sharedMemory.static + sharedMemory.dynamic;
    if (shared > this.#gpu.maxSharedMemory) {
      throw new DeviceError(
        "LIMIT",
        `kernel "${name}" needs ${shared} bytes of shared memory a block, ${this.name} has ${this.#gpu.maxSharedMemory}: use smaller blocks`,
      );
    }
    const loaded = this.#gpu.load(kernel.source, entry, sharedMemory.dynamic);
    this.#functions.set(kernel, loaded);
    return loaded;
  }

  /** Runs `work` and gives the time that each launch in it took on the device, in order. In the emulator: of this machine. */
  async profile(work: () => void | Promise<void>): Promise<LaunchTiming[]> {
    const timed: Timed[] = [];
    this.#timed = timed;
    try {
      await work();
      await this.#gpu.settle();
      return timed.map(({ kernel, start, end }) => ({ kernel, milliseconds: end.since(start) }));
    } finally {
      this.#timed = undefined;
      for (const { start, end } of timed) {
        start.dispose();
        end.dispose();
      }
    }
  }

  synchronize(): Promise<void> {
    return this.#gpu.settle();
  }

  dispose(): void {
    this.#gpu.dispose();
  }
}

function checkGrid(name: string, grid: Grid): void {
  const axis = grid.findIndex((extent, i) => extent > MAX_GRID[i]!);
  if (axis >= 0)
    throw new LaunchError(
      "GRID_TOO_LARGE",
      `kernel "${name}": the grid [${grid.join(", ")}] has more than ${MAX_GRID[axis]} programs along ${"xyz"[axis]}: use larger blocks or another axis`,
    );
}
