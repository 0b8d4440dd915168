/**
 * @file An entry ready to run: its steps, the layout of its registers, and where its shared and local variables lie.
 */
import type { Frame } from "../translate/frame.ts";
import type { Step } from "./step.ts";

/** The first address of shared memory: not 0, so that an address without its base is found. */
export const SHARED_BASE = 1024;

/** A variable's place. */
export interface Placed {
  readonly name: string;
  readonly offset: number;
  /** Undefined for dynamic shared memory. */
  readonly bytes: number | undefined;
}

export interface Program {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly frame: Frame;
  readonly sharedBase: number;
  /** Shared memory from address 0: the base, variables, and so many bytes of dynamic memory. */
  sharedBytes(dynamic: number): number;
  /** A shared address with the variable it lies in. */
  describeShared(address: number): string;
  /** A thread's local memory. */
  readonly localBytes: number;
  /** Width of the narrowest access to shared memory, in bytes, at most 4. */
  readonly granule: number;
  /** The same of global memory. */
  readonly globalGranule: number;
  readonly parameterBytes: number;
}
