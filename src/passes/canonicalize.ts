/**
 * @file Canonicalization: every operation in its simplest form, in one walk. The rules are in `rules-*.ts`, the engine that applies
 * them in `simplify.ts`; here is what concerns control flow. Runs before layouts are assigned.
 */
import {
  type Kernel,
  type KernelParameter,
  type Operation,
  type RewriteContext,
  rewriteKernel,
  type Value,
  yieldedValues,
} from "../ir/index.ts";
import { inlineBlock, rebuildIf, rebuildLoop } from "./control.ts";
import { constantOf, integerConstantOf } from "./fold.ts";
import { arithmeticRules } from "./rules-arithmetic.ts";
import { memoryRules } from "./rules-memory.ts";
import { shapeRules } from "./rules-shape.ts";
import { Maker } from "./simplify.ts";

const rules = { ...arithmeticRules, ...shapeRules, ...memoryRules };

export function canonicalize(kernel: Kernel): Kernel {
  const parameters = new Map<Value, KernelParameter>(
    kernel.parameters.map((parameter, i) => [kernel.body.parameters[i]!, parameter]),
  );
  let maker: Maker | undefined;
  return rewriteKernel(kernel, (operation, operands, context) => {
    if (operation.opcode === "loop") return canonicalizeLoop(operation, operands, context);
    if (operation.opcode === "if") return canonicalizeIf(operation, operands, context);
    maker ??= new Maker(context.builder, rules, parameters);
    return maker.place(operation, operands);
  });
}

/** A loop that runs never or once, and carried values that do not change. */
function canonicalizeLoop(
  operation: Operation,
  operands: readonly Value[],
  context: RewriteContext,
): readonly Value[] | undefined {
  const [from, to, step] = operands.slice(0, 3).map(integerConstantOf);
  const initial = operands.slice(3);
  if (from !== undefined && to !== undefined) {
    if (from >= to) return initial;
    if (step !== undefined && step > 0n && from + step >= to)
      return inlineBlock(operation, 0, [operands[0]!, ...initial], context);
  }
  const block = operation.blocks[0]!;
  const yielded = yieldedValues(block);
  const changes = initial.map(
    (_, i) => yielded[i] !== block.parameters[i + 1] && yielded[i] !== operation.operands[i + 3],
  );
  return changes.includes(false) ? rebuildLoop(operation, operands, changes, initial, context) : undefined;
}

/** A known condition, and results that both arms take from outside. */
function canonicalizeIf(
  operation: Operation,
  operands: readonly Value[],
  context: RewriteContext,
): readonly Value[] | undefined {
  const condition = constantOf(operands[0]!);
  if (condition !== undefined) return inlineBlock(operation, condition ? 0 : 1, [], context);
  const [inThen, inElse] = operation.blocks.map(yieldedValues);
  const differs = inThen!.map((value, i) => value !== inElse![i]);
  if (!differs.includes(false)) return undefined;
  const outer = inThen!.map((value, i) => (differs[i] ? undefined : context.get(value)));
  return rebuildIf(operation, operands, differs, outer, context);
}
