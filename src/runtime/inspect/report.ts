/**
 * @file What an inspection finds, as plain data: it serialises to JSON, and text (text.ts) and pictures (page.ts) are made from it alone.
 */
import type { CompiledKernel, OpcodeCounts, SharedAccess, Target } from "../../codegen/index.ts";
import type { DType, Location } from "../../ir/index.ts";
import type { Occupancy } from "../cuda/occupancy.ts";
import type { InstructionClass, LoopMix } from "../cuda/sass/index.ts";
import type { Optional } from "../node/modules.ts";

export interface Inspection {
  readonly kernel: string;
  readonly target: Target;
  readonly constants: Readonly<Record<string, number | string | boolean>>;
  readonly launch: Pick<CompiledKernel["metadata"], "block" | "grid" | "sharedMemory" | "arguments">;
  readonly source: SourceReport;
  /** Bindings, uniforms and features; of WGSL only. */
  readonly wgsl?: CompiledKernel["metadata"]["wgsl"];
  readonly pipelines: readonly PipelineReport[];
  /** Every tile of rank 1 and more, in program order; the names are those of `tilewright ir`, after layout assignment. */
  readonly tiles: readonly TileReport[];
  /** The layouts of those tiles, each once. */
  readonly layouts: readonly LayoutReport[];
  /** Tiles in shared memory; of PTX only. */
  readonly shared: readonly SharedTileReport[];
  /** What ptxas makes of the text, or why nobody asked it; of PTX only. */
  readonly machine?: Optional<MachineReport>;
}

export interface SourceReport {
  /** "PTX 7.0", "WGSL". */
  readonly language: string;
  readonly bytes: number;
  readonly lines: number;
  /** Instructions of PTX. */
  readonly instructions?: number;
  /** Of PTX: the instructions of each loop, without those of inner loops and with both arms of branches. */
  readonly loops?: readonly {
    readonly label: string;
    readonly location: Location | undefined;
    readonly depth: number;
    readonly total: number;
    readonly classes: ClassCounts;
    readonly opcodes: OpcodeCounts;
  }[];
}

/** Instructions by class; classes without one are left out. */
export type ClassCounts = Readonly<Partial<Record<InstructionClass, number>>>;

/** A value of the kernel. */
export interface ValueReport {
  /** As `tilewright ir` prints it. */
  readonly name: string;
  /** The parameter whose memory it was loaded from, if it was. */
  readonly parameter?: string;
  /** Of the operation that makes it. */
  readonly location: Location | undefined;
}

export interface PipelineReport {
  /** Of the loop. */
  readonly location: Location | undefined;
  readonly stages: number;
  readonly copies: readonly (ValueReport & {
    readonly bytes: number;
    readonly places: number;
    readonly turnsAhead: number;
  })[];
}

export interface TileReport extends ValueReport {
  /** What makes it; "loop" or "if" for what these carry and give. */
  readonly opcode: string;
  readonly shape: readonly number[];
  /** "pointer f16" for pointers. */
  readonly dtype: string;
  /** Bytes of it that a thread holds. */
  readonly threadBytes: number;
  /** `id` of its layout. */
  readonly layout: string;
}

/** A linear layout: the element of a place is the XOR of the coordinates that the place's set bits stand for. */
export interface BasesReport {
  /** "dim0": 64, ... */
  readonly extents: Readonly<Record<string, number>>;
  /** For each input (warp, lane, register; thread, register; offset), slowest first, the coordinates that its bits 1, 2, 4, ... stand for. */
  readonly bases: Readonly<Record<string, readonly (readonly number[])[]>>;
}

export interface LayoutReport extends BasesReport {
  readonly id: string;
  readonly title: string;
}

export interface SharedTileReport extends ValueReport, BasesReport {
  readonly id: string;
  /** See `SharedTile`. */
  readonly purpose: string;
  readonly dtype: DType | "pointer";
  readonly elementBytes: number;
  /** Bytes of the tile, and from the start of the block's shared memory. */
  readonly bytes: number;
  readonly offset: number;
  readonly places: number;
  readonly accesses: readonly SharedAccess[];
}

export interface MachineReport {
  /** Of ptxas. */
  readonly assembler: string;
  /** The architecture that it assembled for. */
  readonly gpu: string;
  readonly registers: number;
  readonly stackBytes: number;
  readonly spills: { readonly stores: number; readonly loads: number };
  readonly warnings: readonly string[];
  readonly occupancy: Occupancy;
  /** Missing for architectures whose machine code is not read: those after sm_89. */
  readonly code?: MachineCode;
}

export interface MachineCode {
  /** Machine instructions of the whole kernel. */
  readonly instructions: number;
  /** The innermost loops, in the order of the code. */
  readonly loops: readonly LoopMix[];
  /** Index of the loop with the most products a turn (among equals the shortest); without products of the longest. */
  readonly mainLoop: number | undefined;
}
