/**
 * @file What a code generator decided on the way from Tile IR to text, for those who want to look at it (`inspectKernel` of the runtime):
 * layouts, what passes through shared memory and how, what is copied ahead, and the instructions of loops.
 */
import type { DType, Location, Value } from "../ir/index.ts";
import type { BankConflicts, LaidOutKernel, LinearLayout } from "../layout/index.ts";

export interface CompileDetails {
  /** The kernel as it was lowered, with the layout of every tile. */
  readonly laidOut: LaidOutKernel;
  /** Of targets with warps; empty for others. */
  readonly shared: readonly SharedTile[];
  readonly pipelines: readonly PipelineDetails[];
  /** Of PTX only. */
  readonly text?: TextDetails;
}

/** A tile in shared memory. */
export interface SharedTile {
  /** "ring" and "tiles" (copied ahead, in several places and in one), "operand", "convert", "left", "right". */
  readonly purpose: string;
  /** The value that lies there: loaded, converted, or the operand of a dot. */
  readonly value: Value | undefined;
  readonly dtype: DType | "pointer";
  /** From the offset in elements to the tile. */
  readonly memory: LinearLayout;
  /** Bytes from the start of the block's shared memory; of a ring its first place. */
  readonly offset: number;
  /** Places of a ring; 1 for any other tile. */
  readonly places: number;
  readonly accesses: readonly SharedAccess[];
}

/** How the threads access a tile in shared memory; every instruction of the access is like the first one. */
export interface SharedAccess {
  readonly kind: "write" | "read";
  /** "cp.async", "st.shared", "ld.shared", "ldmatrix.x4.trans". */
  readonly instruction: string;
  /** Bytes next to each other that a lane accesses (of ldmatrix: the row that it names). */
  readonly bytes: number;
  /** The bytes from the start of the tile that lane 1, 2, 4, ... of a warp adds (by XOR) to the place of lane 0. */
  readonly lanes: readonly number[];
  readonly conflicts: BankConflicts;
  readonly location: Location | undefined;
}

/** Loads of a loop that are copied ahead. */
export interface PipelineDetails {
  /** Of the loop. */
  readonly location: Location | undefined;
  /** Turns whose tiles a ring keeps. */
  readonly stages: number;
  readonly copies: readonly {
    /** Of the load. */
    readonly value: Value;
    /** Bytes of one tile. */
    readonly bytes: number;
    /** Places in shared memory. */
    readonly places: number;
    /** The copy is issued so many turns before the tile is read; 0 for earlier in the same turn. */
    readonly turnsAhead: number;
  }[];
}

/** Instructions by opcode, as `counts["fma.rn.f32"]`. */
export type OpcodeCounts = Readonly<Record<string, number>>;

export interface TextDetails {
  /** "PTX 7.0". */
  readonly language: string;
  /** All instructions of the kernel. */
  readonly opcodes: OpcodeCounts;
  readonly loops: readonly {
    /** In the text. */
    readonly label: string;
    /** The author's loop; undefined for one that the compiler made. */
    readonly location: Location | undefined;
    /** 1 for a loop that is in no other. */
    readonly depth: number;
    /** Without those of inner loops, with both arms of branches. */
    readonly opcodes: OpcodeCounts;
  }[];
}
