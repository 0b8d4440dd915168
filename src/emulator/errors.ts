/**
 * @file The errors of the emulator. `PtxError`: text that is not PTX that it can run, found when a module is loaded. `PtxFault`: what a
 * kernel does wrong while it runs. Both name the line of the PTX and quote the instruction.
 */
import { KernelError, TilewrightError } from "../support/index.ts";

export type PtxErrorCode =
  | "PTX_SYNTAX"
  | "PTX_UNKNOWN_INSTRUCTION"
  | "PTX_UNKNOWN_SYMBOL"
  | "PTX_OPERAND"
  | "PTX_UNSUPPORTED";

/** PTX that cannot be loaded. */
export class PtxError extends TilewrightError {
  declare readonly code: PtxErrorCode;
  /** Line of the PTX text, from 1. */
  readonly line: number;

  constructor(code: PtxErrorCode, line: number, message: string) {
    super(code, `PTX line ${line}: ${message}`);
    this.line = line;
  }
}

export type PtxFaultCode =
  | "PTX_OUT_OF_BOUNDS"
  | "PTX_MISALIGNED"
  | "PTX_READ_ONLY"
  | "PTX_UNINITIALISED_SHARED"
  | "PTX_COPY_NOT_AWAITED"
  | "PTX_SHARED_RACE"
  | "PTX_GLOBAL_RACE"
  | "PTX_WARP_HAZARD"
  | "PTX_BARRIER_DIVERGENCE"
  | "PTX_BRANCH_DIVERGENCE"
  | "PTX_WARP_SYNC"
  | "PTX_DEADLOCK"
  | "PTX_INSTRUCTION_LIMIT"
  | "PTX_ASSERTION"
  | "PTX_TRAP";

/** Where a fault happened. */
export interface FaultPlace {
  /** Line of the PTX text, from 1. */
  readonly line: number;
  /** The instruction as it stands there. */
  readonly instruction: string;
  /** File and line of the author, where the PTX has `.loc`. */
  readonly source?: string;
  readonly block: readonly [number, number, number];
  readonly warp: number;
  /** The thread's index in its block; undefined where a whole warp is at fault. */
  readonly thread?: readonly [number, number, number];
  /** The address that was accessed, for memory faults. */
  readonly address?: bigint;
  /** Of a race in global memory: the access that was made before. */
  readonly other?: FaultPlace;
}

/** What a kernel does wrong while it runs; the launch stops there. */
export class PtxFault extends KernelError {
  declare readonly code: PtxFaultCode;
  readonly place: FaultPlace;
  /** What the launch had printed. */
  readonly prints: readonly string[];

  constructor(code: PtxFaultCode, message: string, place: FaultPlace, prints: readonly string[]) {
    const { line, instruction, source, block, warp, thread } = place;
    const who = `${thread ? `thread (${thread.join(", ")}) of ` : ""}block (${block.join(", ")}), warp ${warp}`;
    const from = source === undefined ? "" : `, from ${source}`;
    super(code, `${message}\n  PTX line ${line}: ${instruction}${from}\n  ${who}`);
    this.place = place;
    this.prints = prints;
  }
}
