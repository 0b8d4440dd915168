/**
 * @file A CUDA driver library without a GPU: it records every call, hands out numbers, keeps what is written to memory, and returns
 * the result that a test asks for. It stands in at the function table, so everything of the runtime but koffi's calls is exercised.
 */
import type { CudaFunction, CudaFunctionName, CudaLibrary, NativeMemory } from "../../../src/runtime/cuda/library.ts";

export interface FakeLaunch {
  readonly grid: readonly number[];
  readonly block: readonly number[];
  readonly sharedBytes: number;
  readonly parameters: Uint8Array;
}

export class FakeLibrary implements CudaLibrary {
  readonly calls: { readonly name: CudaFunctionName; readonly values: readonly unknown[] }[] = [];
  readonly launches: FakeLaunch[] = [];
  /** Results to give instead of success, by function. */
  readonly results: Partial<Record<CudaFunctionName, number>> = {};
  readonly attributes: Record<number, number> = { 75: 8, 76: 6, 97: 101376 };
  deviceCount = 1;
  /** What the driver's compiler writes into its error log. */
  log = "";
  /** How often the stream answers that it is not ready. */
  pending = 0;
  readonly memory = new Map<bigint, Uint8Array>();
  readonly #native: NativeMemory[] = [];
  #next = 0x1000n;

  readonly functions = new Proxy({} as Record<CudaFunctionName, CudaFunction>, {
    get:
      (_, name: CudaFunctionName): CudaFunction =>
      (...values) => {
        this.calls.push({ name, values });
        const asked = this.results[name];
        if (name === "cuModuleLoadDataEx" && asked) this.#writeLog(values[4] as BigUint64Array);
        return asked ?? this.#perform(name, values);
      },
  });

  allocate(bytes: number): NativeMemory {
    const memory = { address: this.#address(), bytes: new Uint8Array(bytes) };
    this.#native.push(memory);
    return memory;
  }

  named(name: CudaFunctionName): readonly (readonly unknown[])[] {
    return this.calls.filter((call) => call.name === name).map(({ values }) => values);
  }

  #address(): bigint {
    this.#next += 0x100000n;
    return this.#next;
  }

  #nativeAt(address: bigint): Uint8Array {
    return this.#native.find((memory) => memory.address === address)!.bytes;
  }

  #writeLog(values: BigUint64Array): void {
    new TextEncoder().encodeInto(this.log, this.#nativeAt(values[2]!));
  }

  #perform(name: CudaFunctionName, values: readonly unknown[]): number {
    const out = values[0] as { [index: number]: unknown };
    switch (name) {
      case "cuDeviceGetCount":
        out[0] = this.deviceCount;
        break;
      case "cuDeviceGetName":
        new TextEncoder().encodeInto("Fake GPU", values[0] as Uint8Array);
        break;
      case "cuDeviceGetAttribute":
        out[0] = this.attributes[values[1] as number]!;
        break;
      case "cuGetErrorName":
        (values[1] as unknown[])[0] = `CUDA_ERROR_NUMBER_${values[0]}`;
        break;
      case "cuMemAlloc":
        out[0] = this.#address();
        this.memory.set(out[0] as bigint, new Uint8Array(values[1] as number).fill(0xff));
        break;
      case "cuMemsetD8Async":
        this.memory.get(values[0] as bigint)!.fill(values[1] as number, 0, values[2] as number);
        break;
      case "cuMemcpyHtoDAsync":
        this.#at(values[0] as bigint).set(values[1] as Uint8Array);
        break;
      case "cuMemcpyDtoHAsync":
        (values[0] as Uint8Array).set(this.#at(values[1] as bigint).subarray(0, values[2] as number));
        break;
      case "cuStreamQuery":
        return this.pending-- > 0 ? 600 : 0;
      case "cuEventElapsedTime":
        out[0] = 1.5;
        break;
      case "cuLaunchKernel":
        this.#launch(values);
        break;
      case "cuDevicePrimaryCtxRetain":
      case "cuStreamCreate":
      case "cuEventCreate":
      case "cuModuleLoadDataEx":
      case "cuModuleGetFunction":
        out[0] = this.#address();
        break;
    }
    return 0;
  }

  /** The memory from an address on, which may lie inside of an allocation. */
  #at(address: bigint): Uint8Array {
    const [start, bytes] = [...this.memory].findLast(([base]) => base <= address)!;
    return bytes.subarray(Number(address - start));
  }

  #launch(values: readonly unknown[]): void {
    const extra = values[10] as BigUint64Array;
    const [, buffer, , size] = extra;
    const length = new DataView(this.#nativeAt(size!).buffer).getBigUint64(0, true);
    if (extra[0] !== 1n || extra[2] !== 2n || extra[4] !== 0n || values[9] !== null) throw new Error("parameters");
    this.launches.push({
      grid: values.slice(1, 4) as number[],
      block: values.slice(4, 7) as number[],
      sharedBytes: values[7] as number,
      parameters: this.#nativeAt(buffer!).slice(0, Number(length)),
    });
  }
}
