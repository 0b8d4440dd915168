/**
 * @file Removes instructions whose result nothing reads: parameters that are not used, arithmetic made for an attempt that was given up.
 */
import type { Node, Operand } from "./instruction.ts";

export function removeDeadCode(nodes: Node[]): void {
  const read = new Set<string>();
  const use = (operand: Operand): void => {
    if (typeof operand !== "object") return;
    if (operand.kind === "register") read.add(operand.name);
    else if (operand.kind === "vector") operand.elements.forEach(use);
    else if (operand.kind === "address" && typeof operand.base === "object") read.add(operand.base.name);
  };
  // Backwards: what is assigned once is read only after. A loop's own registers are never removable.
  const visit = (list: Node[]): void => {
    let kept = list.length;
    for (let i = list.length - 1; i >= 0; i--) {
      const node = list[i]!;
      if (node.kind === "instruction") {
        const { operands } = node;
        if (node.removable && !read.has((operands[0] as { name: string }).name)) continue;
        if (node.guard) read.add(node.guard.predicate.name);
        for (let j = node.removable ? 1 : 0; j < operands.length; j++) use(operands[j]!);
      } else if (node.kind === "loop") {
        read.add(node.repeat.predicate.name);
        if (node.enter) read.add(node.enter.predicate.name);
        visit(node.body);
      } else if (node.kind === "if") {
        read.add(node.condition.predicate.name);
        visit(node.whenTrue);
        visit(node.whenFalse);
      }
      list[--kept] = node;
    }
    list.splice(0, kept);
  };
  visit(nodes);
}
