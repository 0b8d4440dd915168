/**
 * @file `codegen/ptx`: Tile IR to PTX. `compilePtx` gives the text and the launch metadata of one kernel. The way: layouts
 * (policy.ts) → instruction tree (lower.ts and the files it calls) → dead code, late reads, shared-memory places, barriers → text (module.ts). May
 * import `support`, `ir`, `passes` and `layout`.
 */
import type { Kernel } from "../../ir/index.ts";
import { assignLayouts, type LaidOutKernel } from "../../layout/index.ts";
import { CompileError } from "../../support/errors.ts";
import type { CompileDetails } from "../details.ts";
import { type CompiledKernel, launchArguments, launchParameters } from "../metadata.ts";
import { allocateShared } from "./allocate.ts";
import { insertBarriers } from "./barriers.ts";
import { removeDeadCode } from "./dead-code.ts";
import { Emitter } from "./emitter.ts";
import type { Node } from "./instruction.ts";
import { delayReads } from "./late-reads.ts";
import { CompilationLog, countInstructions } from "./log.ts";
import { lowerKernel } from "./lower.ts";
import { Lowering } from "./lowering.ts";
import { identifier, nameParameters, printModule } from "./module.ts";
import { ptxPolicy } from "./policy.ts";
import { findRoots } from "./roots.ts";
import { type TargetInfo, targetInfo } from "./target.ts";

export { type TargetInfo, targetInfo, targets } from "./target.ts";

export interface PtxOptions {
  /** A name of `targets`. */
  readonly target: string;
  /** Warps of a block, a power of two; the kernel's hint, or 4, if missing. */
  readonly numWarps?: number;
  /** Let ptxas fuse products and sums of f32 into one rounding, as nvcc does; true if missing. */
  readonly contract?: boolean;
  /** Name the author's lines in comments and `.loc`; true if missing. */
  readonly lineInfo?: boolean;
  /** Turns of a loop whose loads for dots are in shared memory or on their way; the kernel's hint, or 3, if missing; 1 for none ahead. */
  readonly numStages?: number;
  /** Told what was decided. */
  readonly onDetails?: (details: CompileDetails) => void;
}

const DEFAULT_STAGES = 3;

/** Throws `CompileError`: `UNKNOWN_TARGET`, `NUM_WARPS`, `SHARED_MEMORY`. */
export function compilePtx(kernel: Kernel, options: PtxOptions): CompiledKernel {
  const target = targetInfo(options.target);
  const numWarps = options.numWarps ?? kernel.hints.numWarps ?? 4;
  if (!Number.isInteger(numWarps) || numWarps < 1 || numWarps > target.maxWarps || (numWarps & (numWarps - 1)) !== 0)
    throw new CompileError(
      "NUM_WARPS",
      `kernel "${kernel.name}": numWarps must be a power of two up to ${target.maxWarps}, got ${numWarps}`,
    );
  const laidOut = assignLayouts(kernel, ptxPolicy(kernel, target, numWarps));
  const numStages = options.numStages ?? kernel.hints.numStages ?? DEFAULT_STAGES;
  const generateWith = (stages: number) =>
    generate(kernel, laidOut, target, { ...options, numWarps, numStages: stages });
  try {
    return generateWith(numStages);
  } catch (error) {
    // What a loop needs besides its pipeline is estimated. Loads ahead are never worth failing for.
    if (!(error instanceof CompileError) || error.code !== "SHARED_MEMORY" || numStages === 1) throw error;
    return generateWith(1);
  }
}

function generate(
  kernel: Kernel,
  laidOut: LaidOutKernel,
  target: TargetInfo,
  options: PtxOptions & { readonly numWarps: number; readonly numStages: number },
): CompiledKernel {
  const roots = findRoots(laidOut.kernel);
  const emitter = new Emitter(target, options.numWarps);
  if (options.onDetails) emitter.log = new CompilationLog(emitter);
  const lowering = new Lowering(laidOut.kernel, emitter, laidOut.layouts, roots, {
    contract: options.contract ?? true,
    lineInfo: options.lineInfo ?? true,
    numStages: options.numStages,
  });
  const launched = launchArguments(kernel.parameters, roots.access);
  const parameters = launchParameters(launched, "i64");
  const names = nameParameters(parameters);
  lowerKernel(lowering, names);

  const nodes = emitter.nodes as Node[];
  removeDeadCode(nodes);
  delayReads(nodes);
  const bytes = allocateShared(nodes, target.sharedMemoryLimit, emitter.comfortableSharedMemory);
  insertBarriers(nodes, emitter.barrier());
  const sharedMemory =
    bytes > target.staticSharedMemoryLimit ? { static: 0, dynamic: bytes } : { static: bytes, dynamic: 0 };
  const entry = identifier(kernel.name);
  options.onDetails?.({
    laidOut,
    shared: emitter.log!.tiles(),
    pipelines: emitter.log!.pipelines,
    text: { language: `PTX ${target.ptxVersion}`, ...countInstructions(nodes) },
  });
  return {
    source: printModule(emitter, { entry, kernel, parameters, names, sharedMemory }),
    metadata: {
      name: kernel.name,
      target: target.name,
      entry,
      params: parameters,
      arguments: launched,
      block: [emitter.threads, 1, 1],
      grid: kernel.grid,
      sharedMemory,
      constants: kernel.constants,
    },
  };
}
