/**
 * @file Removes instructions whose result nothing reads: parameters that are not used, arithmetic made for an attempt that was given up.
 */
import { addRegisterNames, type Node, type Register } from "./instruction.ts";

export function removeDeadCode(nodes: Node[]): void {
  const read = new Set<string>();
  // Backwards: what is assigned once is read only after. A loop's own registers are never removable.
  const visit = (list: Node[]): void => {
    let kept = list.length;
    for (let i = list.length - 1; i >= 0; i--) {
      const node = list[i]!;
      if (node.kind === "instruction") {
        if (node.removable && !read.has((node.operands[0] as Register).name)) continue;
        if (node.guard) read.add(node.guard.predicate.name);
        addRegisterNames(node.operands, read, node.removable ? 1 : 0);
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
