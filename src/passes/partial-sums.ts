/**
 * @file Sums that a loop carries: `s = s · r + sum(x)`. What such a loop carries is linear in its sums, so that each thread may carry the sum of
 * its own elements, and the threads add up theirs once, after the loop.
 */
import type { Operation, Value } from "../ir/index.ts";

/** A carried value and the reduction that feeds it. */
export interface PartialSum {
  /** Number of the carried value. */
  readonly carried: number;
  readonly reduce: Operation;
}

/** The carried values of a loop that may be kept in parts: nothing in the loop reads them but what makes their next value. */
export function findPartialSums(loop: Operation, usersOf: (value: Value) => readonly Operation[]): PartialSum[] {
  const block = loop.blocks[0]!;
  const last = block.operations.at(-1)!;
  const found: PartialSum[] = [];
  const onlyUser = (value: Value): Operation | undefined => {
    const users = usersOf(value);
    return users.length === 1 && users[0]!.operands.filter((operand) => operand === value).length === 1
      ? users[0]
      : undefined;
  };
  const sumOf = (value: Value): Operation | undefined => {
    const { definition } = value;
    const isSum = definition?.opcode === "reduce" && definition.attributes.kind === "sum" && onlyUser(value);
    return isSum && block.operations.includes(definition) ? definition : undefined;
  };
  block.parameters.slice(1).forEach((parameter, carried) => {
    if (parameter.type.kind !== "tile" || parameter.type.dtype !== "f32") return;
    let value: Value = parameter;
    let reduce: Operation | undefined;
    for (;;) {
      const user = onlyUser(value);
      if (!user) return;
      if (user === last) break;
      if (!block.operations.includes(user)) return;
      const others = user.operands.filter((operand) => operand !== value);
      const added = user.opcode === "add" ? others[0]! : user.opcode === "fma" ? user.operands[2]! : undefined;
      if (added === undefined && user.opcode !== "mul") return;
      if (added !== undefined) {
        if (reduce || added === value) return;
        reduce = sumOf(added);
        if (!reduce) return;
      }
      value = user.results[0]!;
    }
    if (reduce && last.operands[carried] === value) found.push({ carried, reduce });
  });
  return found;
}
