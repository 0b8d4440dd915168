/**
 * @file An instruction as it is executed: what it does to a warp, and where it stands in the text.
 */
import type { Warp } from "./warp.ts";

/** What an instruction does to the lanes of `mask`, which is never empty. */
export type Operation = (warp: Warp, mask: number) => void;

/** What changes the course of a warp; all else is an operation. */
export type Flow =
  | { readonly kind: "branch"; readonly target: number; readonly uniform: boolean }
  /** To one of several places, by a register's value in each lane. */
  | { readonly kind: "table"; readonly row: number; readonly targets: readonly number[] }
  | { readonly kind: "exit" }
  | {
      readonly kind: "barrier";
      /** Rows with the barrier's number and, unless all threads take part, how many do. */
      readonly barrier: number;
      readonly threads: number | undefined;
      /** `arrive` goes on without waiting. */
      readonly arrive: boolean;
      /** After the barrier: what is made of all threads' predicates. */
      readonly reduce?: BarrierReduction;
    };

export interface BarrierReduction {
  readonly kind: "popc" | "and" | "or";
  readonly predicate: (predicates: Int32Array) => number;
  /** Row (`popc`) or predicate. */
  readonly target: number;
}

export interface Step {
  readonly operation: Operation | undefined;
  readonly flow: Flow | undefined;
  /** Index of the guarding predicate; -1 without one. */
  readonly guard: number;
  readonly negated: boolean;
  /** Where lanes that part here meet again; the number of steps where they never do. */
  readonly reconvergence: number;
  readonly line: number;
  readonly text: string;
  readonly source: string | undefined;
}
