/**
 * @file Drops what ranges decide: comparisons with one possible answer (masks of whole tiles), `min`, `max` and `rem` that never change
 * their operand.
 */
import {
  type ComparePredicate,
  type Kernel,
  type Operation,
  rewriteKernel,
  type TileType,
  type Value,
} from "../ir/index.ts";
import { analyzeRanges, type Range, type Ranges } from "./ranges.ts";

export function foldRanges(kernel: Kernel): Kernel {
  const ranges = analyzeRanges(kernel);
  return rewriteKernel(kernel, (operation, operands, { builder }) => {
    const decided = decide(operation, ranges);
    if (decided === undefined) return undefined;
    if (typeof decided === "number") return [operands[decided]!];
    return [builder.constant(decided, "bool", (operation.results[0]!.type as TileType).shape)];
  });
}

/** The answer of a comparison, or the position of the operand that the result always equals. */
function decide(operation: Operation, ranges: Ranges): boolean | number | undefined {
  const { opcode, attributes } = operation;
  if (opcode !== "compare" && opcode !== "min" && opcode !== "max" && opcode !== "rem") return undefined;
  const [a, b] = operation.operands.map((value: Value) => ranges.of(value));
  if (!a || !b) return undefined;
  if (opcode === "compare") return answer(attributes.predicate as ComparePredicate, a, b);
  if (opcode === "rem") return a.low >= 0n && b.low > a.high ? 0 : undefined;
  const [smaller, larger] = opcode === "min" ? [a, b] : [b, a];
  return smaller.high <= larger.low ? 0 : larger.high <= smaller.low ? 1 : undefined;
}

function answer(predicate: ComparePredicate, a: Range, b: Range): boolean | undefined {
  switch (predicate) {
    case "lt":
      return a.high < b.low ? true : a.low >= b.high ? false : undefined;
    case "le":
      return a.high <= b.low ? true : a.low > b.high ? false : undefined;
    case "gt":
      return answer("lt", b, a);
    case "ge":
      return answer("le", b, a);
    default: {
      const apart = a.high < b.low || b.high < a.low;
      const equal = a.low === a.high && b.low === b.high && a.low === b.low;
      return apart || equal ? equal === (predicate === "eq") : undefined;
    }
  }
}
