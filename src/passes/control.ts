/**
 * @file Rebuilding `loop` and `if` with fewer results: what dead-code elimination and canonicalization share.
 */
import { makeOperation, type Operation, type RewriteContext, type Value, yieldedValues } from "../ir/index.ts";

/**
 * Rebuilds a loop without the carried values i for which `keep[i]` is false. Inside, a dropped one is `standIn[i]` (none: it is not
 * used); so is its result. Gives what replaces the loop's results.
 */
export function rebuildLoop(
  operation: Operation,
  operands: readonly Value[],
  keep: readonly boolean[],
  standIn: readonly (Value | undefined)[],
  context: RewriteContext,
): readonly Value[] {
  const [block] = operation.blocks;
  const [induction, ...carried] = block!.parameters;
  const kept = <T>(items: readonly T[]): T[] => items.filter((_, i) => keep[i]);
  const rebuilt = context.builder.block([induction!, ...kept(carried)], () => {
    context.inline(block!, [induction, ...carried.map((value, i) => (keep[i] ? value : standIn[i]))]);
    yieldKept(block!.operations.at(-1)!, keep, context);
  });
  const { results } = context.builder.create(
    "loop",
    [...operands.slice(0, 3), ...kept(operands.slice(3))],
    {},
    { blocks: [rebuilt], location: operation.location, names: kept(operation.results).map((value) => value.name) },
  );
  return spread(results, keep, standIn);
}

/** Rebuilds an `if` without the results i for which `keep[i]` is false; those are `standIn[i]`. */
export function rebuildIf(
  operation: Operation,
  operands: readonly Value[],
  keep: readonly boolean[],
  standIn: readonly (Value | undefined)[],
  context: RewriteContext,
): readonly Value[] {
  const blocks = operation.blocks.map((block) =>
    context.builder.block([], () => {
      context.inline(block, []);
      yieldKept(block.operations.at(-1)!, keep, context);
    }),
  );
  const names = operation.results.filter((_, i) => keep[i]).map((value) => value.name);
  const { results } = context.builder.create("if", operands, {}, { blocks, location: operation.location, names });
  return spread(results, keep, standIn);
}

/** Runs a block's operations in place of the loop or if that owns it; gives what it yields. */
export function inlineBlock(
  operation: Operation,
  index: number,
  parameters: readonly Value[],
  context: RewriteContext,
): readonly Value[] {
  const block = operation.blocks[index]!;
  context.inline(block, parameters);
  return yieldedValues(block).map(context.get);
}

function yieldKept({ operands, location }: Operation, keep: readonly boolean[], context: RewriteContext): void {
  // The condition of a loop comes after them.
  const values = operands.filter((_, i) => keep[i] ?? true).map(context.get);
  context.builder.append(makeOperation("yield", values, {}, { location }));
}

/** The kept results at their old positions, the stand-ins at the others. A value that nothing uses may be missing. */
function spread(
  results: readonly Value[],
  keep: readonly boolean[],
  standIn: readonly (Value | undefined)[],
): readonly Value[] {
  let next = 0;
  return keep.map((kept, i) => (kept ? results[next++]! : standIn[i]!));
}
