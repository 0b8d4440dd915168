/**
 * @file Occupancy: how many blocks of a kernel a multiprocessor runs at a time, and what would have to shrink for one more. The limits are
 * those of the CUDA C++ Programming Guide's table "Technical specifications per compute capability"; the rules of allocation are those of
 * NVIDIA's occupancy calculator.
 */
import { ArgumentError } from "../../support/errors.ts";

/** What one multiprocessor of an architecture has. */
export interface MultiprocessorLimits {
  readonly warps: number;
  readonly blocks: number;
  readonly registers: number;
  /** Bytes of shared memory, with what the driver keeps of each block. */
  readonly sharedBytes: number;
  /** The most that one block may ask for. */
  readonly sharedBytesOfBlock: number;
}

const KIB = 1024;
const WARP_SIZE = 32;
const THREADS_OF_BLOCK = 1024;
const REGISTERS_OF_THREAD = 255;
/** A multiprocessor has four schedulers, each with a quarter of the registers and warps of its own. */
const SCHEDULERS = 4;
/** Registers are given out by the warp in units of so many. */
const REGISTER_UNIT = 256;
/** Shared memory is given out in units of so many bytes; the driver keeps 1 KiB of each block. */
const SHARED_UNIT = 128;
const SHARED_RESERVED = 1 * KIB;

const large = { warps: 64, registers: 64 * KIB };
const small = { warps: 48, registers: 64 * KIB, sharedBytes: 100 * KIB, sharedBytesOfBlock: 99 * KIB };

export const multiprocessors: Readonly<Record<string, MultiprocessorLimits>> = {
  // A100, A30
  sm_80: { ...large, blocks: 32, sharedBytes: 164 * KIB, sharedBytesOfBlock: 163 * KIB },
  // A10, A40, RTX 30
  sm_86: { ...small, blocks: 16 },
  // Orin
  sm_87: { ...large, warps: 48, blocks: 16, sharedBytes: 164 * KIB, sharedBytesOfBlock: 163 * KIB },
  // L4, L40, RTX 40
  sm_89: { ...small, blocks: 24 },
  // H100, H200
  sm_90: { ...large, blocks: 32, sharedBytes: 228 * KIB, sharedBytesOfBlock: 227 * KIB },
};

export type OccupancyLimit = "warps" | "registers" | "shared memory" | "blocks";

export interface BlockNeeds {
  readonly threads: number;
  /** Of a thread. */
  readonly registers: number;
  /** Static and dynamic. */
  readonly sharedBytes: number;
}

export interface Occupancy {
  /** Blocks that run at a time on a multiprocessor; 0 for a kernel that cannot be launched there. */
  readonly blocks: number;
  readonly warps: number;
  /** `warps` of all that there is room for, 0 to 1. */
  readonly share: number;
  /** The blocks that each resource alone would allow. */
  readonly allowed: Readonly<Record<OccupancyLimit, number>>;
  /** The resources that allow no more than `blocks`. */
  readonly limitedBy: readonly OccupancyLimit[];
}

/** @throws ArgumentError `ARCHITECTURE` for one that is not in the table. */
export function occupancy(architecture: string, { threads, registers, sharedBytes }: BlockNeeds): Occupancy {
  const limits = limitsOf(architecture);
  const warps = Math.ceil(threads / WARP_SIZE);
  const allowed = {
    warps: threads > THREADS_OF_BLOCK ? 0 : Math.floor(limits.warps / warps),
    registers: byRegisters(limits, warps, registers),
    "shared memory": bySharedMemory(limits, sharedBytes),
    blocks: limits.blocks,
  };
  const blocks = Math.min(...Object.values(allowed));
  const limitedBy = (Object.keys(allowed) as OccupancyLimit[]).filter((limit) => allowed[limit] === blocks);
  return { blocks, warps: blocks * warps, share: (blocks * warps) / limits.warps, allowed, limitedBy };
}

/** @throws ArgumentError `ARCHITECTURE` for one that is not in the table. */
export function limitsOf(architecture: string): MultiprocessorLimits {
  if (Object.hasOwn(multiprocessors, architecture)) return multiprocessors[architecture]!;
  const known = Object.keys(multiprocessors).join(", ");
  throw new ArgumentError("ARCHITECTURE", `the limits of "${architecture}" are not known; the table has ${known}`);
}

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

function byRegisters(limits: MultiprocessorLimits, warps: number, registers: number): number {
  const ofWarp = roundUp(Math.max(1, registers) * WARP_SIZE, REGISTER_UNIT);
  // A launch is checked as if every scheduler took its share of the block, whole warps of it.
  if (registers > REGISTERS_OF_THREAD || ofWarp * roundUp(warps, SCHEDULERS) > limits.registers) return 0;
  return Math.floor((Math.floor(limits.registers / SCHEDULERS / ofWarp) * SCHEDULERS) / warps);
}

function bySharedMemory(limits: MultiprocessorLimits, bytes: number): number {
  const allocated = roundUp(bytes + SHARED_RESERVED, SHARED_UNIT);
  if (allocated > limits.sharedBytesOfBlock + SHARED_RESERVED) return 0;
  return Math.floor(limits.sharedBytes / allocated);
}
