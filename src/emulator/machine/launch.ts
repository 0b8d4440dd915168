/**
 * @file One launch: what all its blocks share, and what it reports.
 */
import type { Region } from "../region.ts";

export interface Launch {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly threads: number;
  readonly dynamicSharedMemory: number;
  readonly parameters: Region;
  readonly check: boolean;
  readonly checkGlobalRaces: boolean;
  readonly maxInstructions: number;
  /** Warp instructions so far. */
  instructions: number;
  readonly prints: string[];
  /** The address of a byte of global memory. */
  addressOf(region: Region, offset: number): number;
  /** An address of global memory with what is known of it. */
  describe(address: number): string;
}
