/**
 * @file The emulated device: memory, modules and launches.
 */
import { LaunchError, type NamesOf, refuseUnknownNames } from "../support/index.ts";
import { PtxError } from "./errors.ts";
import { GlobalMemory } from "./global-memory.ts";
import type { AccessCount } from "./machine/access-counts.ts";
import { Block } from "./machine/block.ts";
import type { Launch } from "./machine/launch.ts";
import type { Step } from "./machine/step.ts";
import type { PtxEntry, PtxModule, PtxParameter } from "./module.ts";
import { Region } from "./region.ts";
import { type ModuleTree, parseModule, type Variable } from "./syntax/index.ts";
import { type Translated, translateEntry } from "./translate/program.ts";

export interface EmulatedGpuOptions {
  /** Capacity of the device's memory; 8 GiB unless told. Host memory is taken only as allocations are made. */
  readonly memoryBytes?: number;
  /** Look for races, uninitialised shared memory and copies not waited for, and count bank conflicts. Default true. */
  readonly check?: boolean;
  /** Look for races in global memory, too; only with `check`. Default true. */
  readonly checkGlobalRaces?: boolean;
  /** Warp instructions after which a launch is taken to hang. Default 2^31. */
  readonly maxInstructions?: number;
}

const optionNames: NamesOf<EmulatedGpuOptions> = {
  memoryBytes: true,
  check: true,
  checkGlobalRaces: true,
  maxInstructions: true,
};

export interface LaunchConfiguration {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  /** Bytes of `.extern .shared` memory. Default 0. */
  readonly dynamicSharedMemory?: number;
  /** The packed kernel parameter buffer: each parameter at the offset that the entry gives. */
  readonly parameters: Uint8Array;
}

/** An instruction of the PTX. */
export interface PtxPlace {
  /** Line of the PTX text, from 1. */
  readonly line: number;
  readonly instruction: string;
  /** File and line of the author, where the PTX has `.loc`. */
  readonly source?: string;
}

/** Accesses to shared memory by one instruction. */
export interface SharedAccessCount extends PtxPlace {
  /** Requests of at most 128 bytes: the least number of wavefronts. */
  readonly accesses: number;
  /** Wavefronts with bank conflicts counted: equal to `accesses` where there are none. */
  readonly wavefronts: number;
}

/** Accesses to global memory by one instruction. */
export interface GlobalAccessCount extends PtxPlace {
  /** Sectors of 32 bytes that are touched, added up over warp instructions. */
  readonly sectors: number;
  /** Sectors that would hold the same bytes side by side: equal to `sectors` where accesses are coalesced. */
  readonly leastSectors: number;
}

export interface LaunchReport {
  /** Warp instructions executed. */
  readonly instructions: number;
  /** What the kernel printed, a string each call. */
  readonly prints: readonly string[];
  readonly warnings: readonly string[];
  /** By line; empty without `check`. */
  readonly sharedAccesses: readonly SharedAccessCount[];
  /** By line; empty without `check`. */
  readonly globalAccesses: readonly GlobalAccessCount[];
}

/** A module with what this device needs to run it. */
interface LoadedModule extends PtxModule {
  readonly programs: ReadonlyMap<string, Translated>;
}

const MAX_THREADS = 1024;
/** Of a block, on sm_80. */
const MAX_SHARED_BYTES = 163 * 1024;

export class EmulatedGpu {
  readonly #memory: GlobalMemory;
  readonly check: boolean;
  readonly checkGlobalRaces: boolean;
  readonly maxInstructions: number;

  /** @throws ArgumentError `ARGUMENT_UNKNOWN`. */
  constructor(options: EmulatedGpuOptions = {}) {
    refuseUnknownNames("EmulatedGpu", options, optionNames);
    const { memoryBytes = 8 * 2 ** 30, check = true, checkGlobalRaces = true, maxInstructions = 2 ** 31 } = options;
    this.#memory = new GlobalMemory(memoryBytes);
    this.check = check;
    this.checkGlobalRaces = check && checkGlobalRaces;
    this.maxInstructions = maxInstructions;
  }

  /** A device address: 256-byte aligned, never 0. The bytes are zero. */
  allocate(bytes: number, label = "an unnamed allocation"): bigint {
    return BigInt(this.#memory.allocate(bytes, label).base);
  }

  /** Throws `DeviceError` unless `address` is the start of a live allocation. */
  free(address: bigint): void {
    this.#memory.free(address);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#memory.write(address, bytes);
  }

  read(address: bigint, byteLength: number): Uint8Array {
    return this.#memory.read(address, byteLength);
  }

  /** Throws `PtxError` for text that is not PTX or holds an instruction that the emulator does not know. */
  loadModule(ptx: string): PtxModule {
    const tree = parseModule(ptx);
    const addresses = this.#placeVariables(tree);
    const shared = tree.variables.filter(({ space }) => space === "shared");
    const programs = new Map<string, Translated>();
    const entries = new Map<string, PtxEntry>();
    for (const entry of tree.entries) {
      const translated = translateEntry(entry, { memory: this.#memory, addresses, shared });
      programs.set(entry.name, translated);
      const maxThreads = entry.requiredThreads ?? entry.maxThreads;
      entries.set(entry.name, {
        name: entry.name,
        parameters: translated.parameters,
        parameterBytes: translated.program.parameterBytes,
        staticSharedBytes: translated.staticSharedBytes,
        ...(maxThreads && { maxThreads }),
      });
    }
    const module: LoadedModule = { target: tree.target, entries, programs };
    return module;
  }

  #placeVariables(tree: ModuleTree): ReadonlyMap<Variable, number> {
    const placed = tree.variables.filter(({ space }) => space === "global" || space === "const");
    const allocations = new Map(
      placed.map((variable) => [
        variable,
        this.#memory.allocate(variable.bytes ?? 0, variable.name, variable.space === "const"),
      ]),
    );
    const byName = new Map([...allocations].map(([{ name }, { base }]) => [name, base]));
    for (const [{ initial, pointers = [] }, { region }] of allocations) {
      if (initial) region.u8.set(initial);
      for (const { at, name, addend } of pointers) {
        const address = byName.get(name);
        if (address === undefined) throw new PtxError("PTX_UNKNOWN_SYMBOL", 1, `${name} is not declared`);
        new DataView(region.u8.buffer).setBigUint64(at, BigInt(address + addend), true);
      }
    }
    return new Map([...allocations].map(([variable, { base }]) => [variable, base]));
  }

  /**
   * Runs a kernel to its end. Throws `LaunchError` for a launch that no device of sm_80 would take, and `PtxFault` at the first thing
   * that the kernel does wrong; memory is then as the kernel left it.
   */
  launch(module: PtxModule, entry: string, configuration: LaunchConfiguration): LaunchReport {
    const translated = (module as LoadedModule).programs.get(entry);
    if (!translated)
      throw new LaunchError(
        "UNKNOWN_ENTRY",
        `the module has no entry ${entry}; it has ${[...module.entries.keys()].join(", ")}`,
      );
    const { program } = translated;
    const { grid, block, dynamicSharedMemory = 0 } = configuration;
    const threads = block[0] * block[1] * block[2];
    this.#checkLaunch(
      module.entries.get(entry)!,
      configuration,
      program.sharedBytes(dynamicSharedMemory) - program.sharedBase,
    );
    const parameters = new Region(program.parameterBytes);
    parameters.u8.set(configuration.parameters);
    const launch: Launch = {
      grid,
      block,
      threads,
      dynamicSharedMemory,
      parameters,
      check: this.check,
      checkGlobalRaces: this.checkGlobalRaces,
      maxInstructions: this.maxInstructions,
      instructions: 0,
      prints: [],
      addressOf: (region, offset) => this.#memory.baseOf(region) + offset,
      describe: (address) => this.#describe(address, module.entries.get(entry)!.parameters, parameters),
    };
    const worker = new Block(launch, program);
    for (let z = 0; z < grid[2]; z++)
      for (let y = 0; y < grid[1]; y++) for (let x = 0; x < grid[0]; x++) worker.run([x, y, z]);
    return {
      instructions: launch.instructions,
      prints: launch.prints,
      warnings: translated.warnings,
      sharedAccesses: byLine(worker.sharedCounts, ({ least, actual }) => ({ accesses: least, wavefronts: actual })),
      globalAccesses: byLine(worker.globalCounts, ({ least, actual }) => ({ sectors: actual, leastSectors: least })),
    };
  }

  /** An address of global memory, with the parameter that points into the same allocation. */
  #describe(address: number, declared: readonly PtxParameter[], { u8 }: Region): string {
    const place = this.#memory.describe(address);
    const there = this.#memory.find(address, 1);
    const values = new DataView(u8.buffer);
    const pointer = declared.find(
      ({ size, offset }) =>
        size === 8 && there && this.#memory.find(Number(values.getBigUint64(offset, true)), 1) === there,
    );
    return pointer === undefined || there?.label === pointer.name ? place : `${place}, of parameter ${pointer.name}`;
  }

  #checkLaunch(entry: PtxEntry, { grid, block, parameters }: LaunchConfiguration, sharedBytes: number): void {
    const fail = (code: string, message: string): never => {
      throw new LaunchError(code, `entry ${entry.name}: ${message}`);
    };
    const threads = block[0] * block[1] * block[2];
    if (![...grid, ...block].every((extent) => Number.isInteger(extent) && extent > 0))
      fail("INVALID_GRID", `grid ${grid.join(" x ")}, block ${block.join(" x ")}: positive integers are needed`);
    if (threads > MAX_THREADS) fail("INVALID_BLOCK", `${threads} threads in a block; at most ${MAX_THREADS}`);
    const { maxThreads } = entry;
    if (maxThreads && threads > maxThreads[0] * maxThreads[1] * maxThreads[2])
      fail("INVALID_BLOCK", `${threads} threads in a block; .maxntid is ${maxThreads.join(", ")}`);
    if (sharedBytes > MAX_SHARED_BYTES)
      fail("SHARED_MEMORY", `${sharedBytes} bytes of shared memory; a block of sm_80 has at most ${MAX_SHARED_BYTES}`);
    if (parameters.length !== entry.parameterBytes)
      fail(
        "PARAMETER_SIZE",
        `a parameter buffer of ${parameters.length} bytes; the entry takes ${entry.parameterBytes}`,
      );
  }
}

function byLine<Count>(
  counts: ReadonlyMap<Step, AccessCount>,
  show: (count: AccessCount) => Count,
): readonly (PtxPlace & Count)[] {
  return [...counts]
    .map(([{ line, text, source }, count]) => ({
      line,
      instruction: text,
      ...(source !== undefined && { source }),
      ...show(count),
    }))
    .sort((a, b) => a.line - b.line);
}
