/** @file What the child of suite `memory` is asked and what it answers. */
import type { AttentionMemory } from "../../test/kernels/attention-memory.ts";
import type { BackendName } from "../accuracy/measured.ts";

export interface MemoryInput {
  readonly backend: BackendName;
  readonly lengths: readonly number[];
}

export type MemoryRow = AttentionMemory & { readonly kind: string; readonly length: number; readonly seconds: number };

export type MemoryResult =
  | { readonly device: string; readonly rows: readonly MemoryRow[] }
  | { readonly missing: string };
