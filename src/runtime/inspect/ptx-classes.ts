/**
 * @file The classes of PTX instructions, named as those of machine instructions, so that both counts can be read side by side.
 */
import type { OpcodeCounts } from "../../codegen/index.ts";
import { type InstructionClass, instructionClasses } from "../cuda/sass/index.ts";
import type { ClassCounts } from "./report.ts";

/** The first pattern that fits decides. */
const rules: readonly (readonly [RegExp, InstructionClass])[] = [
  [/^mma\./, "mma"],
  [/^ldmatrix\./, "ldmatrix"],
  [/^cp\.async\.(commit|wait)/, "synchronization"],
  [/^cp\.async\./, "asyncCopy"],
  [/^ld\.shared/, "sharedLoad"],
  [/^(st\.shared|(atom|red)\.shared)/, "sharedStore"],
  [/^ld\.global/, "globalLoad"],
  [/^(st\.global|atom\.|red\.)/, "globalStore"],
  [/^(ld|st)\.local/, "local"],
  [/^ld\.(param|const)/, "constant"],
  [/^(ex2|lg2|rcp|rsqrt|sqrt|sin|cos|tanh)\.approx/, "special"],
  [/^cvta?\./, "conversion"],
  [/^(setp|set|selp|slct)\.|\.pred$/, "compare"],
  [/^(shfl|vote|match|redux)\./, "shuffle"],
  [/^(mov|prmt)\./, "move"],
  [/^(bar|barrier|membar|fence)\b/, "synchronization"],
  [/^(bra|call|ret|exit)\b/, "branch"],
  [/\.f64$/, "fp64"],
  [/\.(f16|bf16)(x2)?$/, "fp16"],
  [/\.f32$/, "fp32"],
  [/\.([usb](8|16|32|64))$/, "integer"],
];

export const sumOf = (counts: OpcodeCounts): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** The counts by class, in the order of the classes. */
export function classesOf(opcodes: OpcodeCounts): ClassCounts {
  const counted = new Map<InstructionClass, number>();
  for (const [opcode, count] of Object.entries(opcodes)) {
    const kind = rules.find(([pattern]) => pattern.test(opcode))?.[1] ?? "other";
    counted.set(kind, (counted.get(kind) ?? 0) + count);
  }
  return Object.fromEntries(
    instructionClasses.flatMap((kind) => (counted.has(kind) ? [[kind, counted.get(kind)]] : [])),
  );
}
