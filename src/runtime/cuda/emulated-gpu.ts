/**
 * @file A GPU that is emulated: the same PTX, run by `src/emulator` at once, so a launch throws what it does wrong itself. A failed
 * `tl.assert`, which in PTX is a line of printf and a trap, becomes the `ASSERT` that other backends report.
 */
import { EmulatedGpu, type EmulatedGpuOptions, type LaunchReport, PtxFault } from "../../emulator/index.ts";
import { DeviceError, KernelError } from "../../support/errors.ts";
import type { CudaGpu, GpuFunction, GpuMark } from "./gpu.ts";

/** Of sm_80, which the emulator executes. */
const MAX_SHARED_BYTES = 163 * 1024;

/** What the code generator has a failed assertion print before it stops the kernel. */
const ASSERTION = /^kernel ".*", program \(.*\), assert at .*: assertion failed: /;

const linesOf = (prints: readonly string[]): string[] => prints.flatMap((text) => text.replace(/\n$/, "").split("\n"));

export class EmulatedCudaGpu implements CudaGpu {
  readonly name = "PTX emulator";
  readonly computeCapability = [8, 0] as const;
  readonly maxSharedMemory = MAX_SHARED_BYTES;
  readonly #gpu: EmulatedGpu;
  readonly #onPrint: (line: string) => void;
  readonly #onReport: (kernel: string, report: LaunchReport) => void;
  #disposed = false;

  constructor(
    onPrint: (line: string) => void,
    onReport: (kernel: string, report: LaunchReport) => void = () => {},
    options: EmulatedGpuOptions = {},
  ) {
    this.#gpu = new EmulatedGpu(options);
    this.#onPrint = onPrint;
    this.#onReport = onReport;
  }

  #use(): EmulatedGpu {
    if (this.#disposed) throw new DeviceError("DEVICE_DISPOSED", "the device was used after it was disposed of");
    return this.#gpu;
  }

  allocate(bytes: number): bigint {
    return this.#use().allocate(Math.max(bytes, 1), "a tensor");
  }

  free(address: bigint): void {
    if (!this.#disposed) this.#gpu.free(address);
  }

  write(address: bigint, bytes: Uint8Array): void {
    if (bytes.length > 0) this.#use().write(address, bytes);
  }

  async read(address: bigint, byteLength: number): Promise<Uint8Array> {
    const gpu = this.#use();
    return byteLength === 0 ? new Uint8Array(0) : gpu.read(address, byteLength).slice();
  }

  load(ptx: string, entry: string, sharedBytes: number): GpuFunction {
    const module = this.#use().loadModule(ptx);
    return (launch) => {
      try {
        const report = this.#use().launch(module, entry, { ...launch, dynamicSharedMemory: sharedBytes });
        this.#print(linesOf(report.prints));
        this.#onReport(entry, report);
      } catch (fault) {
        if (!(fault instanceof PtxFault)) throw fault;
        const lines = linesOf(fault.prints);
        const failures = fault.code === "PTX_TRAP" ? lines.filter((line) => ASSERTION.test(line)) : [];
        this.#print(lines.filter((line) => !failures.includes(line)));
        if (failures.length === 0) throw fault;
        const more = failures.length > 1 ? ` (and ${failures.length - 1} more)` : "";
        throw new KernelError("ASSERT", `${failures[0]}${more}`);
      }
    };
  }

  #print(lines: readonly string[]): void {
    for (const line of lines) this.#onPrint(line);
  }

  async settle(): Promise<void> {
    this.#use();
  }

  /** The host's time: an emulated launch is over when it returns. */
  mark(): GpuMark {
    return new HostMark();
  }

  dispose(): void {
    this.#disposed = true;
  }
}

class HostMark implements GpuMark {
  readonly time = performance.now();

  since(earlier: GpuMark): number {
    return this.time - (earlier as HostMark).time;
  }

  dispose(): void {
    // Nothing is held.
  }
}
