/**
 * @file What the PTX back end knows of a GPU: a description, asked by layouts, the shared-memory allocator and pipelining. A new
 * target is a new entry here.
 */
import { CompileError } from "../../support/errors.ts";

export interface TargetInfo {
  /** As in `.target` and in `TargetName` of the public surface. */
  readonly name: string;
  /** The PTX ISA version that is asked for: the oldest that has all we emit, so that older drivers take it too. */
  readonly ptxVersion: string;
  readonly warpSize: number;
  readonly maxWarps: number;
  /** Bytes that a block may have with an opt-in (CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_MEMORY_SIZE_BYTES). */
  readonly sharedMemoryLimit: number;
  /** Bytes that may be declared statically; more must be dynamic. */
  readonly staticSharedMemoryLimit: number;
  /** Bytes of the widest load or store of one thread. */
  readonly maxVectorBytes: number;
  readonly sharedMemoryBanks: number;
  readonly registersPerThread: number;
  readonly registersPerMultiprocessor: number;
  /** Tensor-core instructions for pairs of operands in 16 bits and in tf32, whose accumulators are f32, and in 8 bits, whose are i32. */
  readonly mma: { readonly half: "m16n8k16"; readonly tf32: "m16n8k8"; readonly byte: "m16n8k32" };
  /** Copies global memory to shared memory without registers. */
  readonly asyncCopy: boolean;
}

export const targets: Readonly<Record<string, TargetInfo>> = {
  // A100. PTX 7.0 came with it (CUDA 11.0): mma on bf16 and tf32, cp.async, cvt.rn.bf16x2.
  sm_80: {
    name: "sm_80",
    ptxVersion: "7.0",
    warpSize: 32,
    maxWarps: 32,
    sharedMemoryLimit: 163 * 1024,
    staticSharedMemoryLimit: 48 * 1024,
    maxVectorBytes: 16,
    sharedMemoryBanks: 32,
    registersPerThread: 255,
    registersPerMultiprocessor: 64 * 1024,
    mma: { half: "m16n8k16", tf32: "m16n8k8", byte: "m16n8k32" },
    asyncCopy: true,
  },
};

/** Throws `CompileError` (`UNKNOWN_TARGET`) for a name that is not in the table. */
export function targetInfo(name: string): TargetInfo {
  const target = targets[name];
  if (!target)
    throw new CompileError(
      "UNKNOWN_TARGET",
      `PTX target "${name}" is not known; known targets: ${Object.keys(targets).join(", ")}`,
    );
  return target;
}
