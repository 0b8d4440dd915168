/**
 * @file The standard pipeline. Every pass gives back the very kernel it got when it changes nothing, so that a fixpoint is seen at
 * once; the number of rounds is bounded all the same.
 */
import type { Kernel } from "../ir/index.ts";
import { canonicalize } from "./canonicalize.ts";
import { eliminateCommonSubexpressions } from "./cse.ts";
import { eliminateDeadCode } from "./dce.ts";
import { hoistLoopInvariants } from "./licm.ts";
import { foldRanges } from "./range-folding.ts";

export type Pass = (kernel: Kernel) => Kernel;

/** The passes of one round, in order. */
export const passes: readonly (readonly [name: string, pass: Pass])[] = [
  ["canonicalize", canonicalize],
  ["ranges", foldRanges],
  ["cse", eliminateCommonSubexpressions],
  ["licm", hoistLoopInvariants],
  ["dce", eliminateDeadCode],
];

const maximumRounds = 8;

export interface OptimizeOptions {
  /** Called after each pass that changed something, with the pass's name. */
  readonly onPass?: (name: string, kernel: Kernel) => void;
}

/** Simplifies a kernel as far as the passes go. The result means the same, bit for bit. */
export function optimize(kernel: Kernel, { onPass }: OptimizeOptions = {}): Kernel {
  let current = kernel;
  /** The kernel in which a pass last found nothing to do: it would find nothing again. */
  const settled = new Map<Pass, Kernel>();
  for (let round = 0; round < maximumRounds; round++) {
    const before = current;
    for (const [name, pass] of passes) {
      if (settled.get(pass) === current) continue;
      const after = pass(current);
      if (after === current) settled.set(pass, current);
      else onPass?.(name, after);
      current = after;
    }
    if (current === before) break;
  }
  return current;
}
