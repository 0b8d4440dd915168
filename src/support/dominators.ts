/**
 * @file Dominators of a directed graph: `a` dominates `b` if every way from the root to `b` leads through `a`.
 * (Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm", 2001.)
 */

/** Nodes that can be reached from `root`, each after all it leads to but for the way back in a cycle. */
export function postorder(successors: readonly (readonly number[])[], root: number): number[] {
  const order: number[] = [];
  const seen = new Set([root]);
  const stack = [{ node: root, next: 0 }];
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const successor = successors[top.node]![top.next++];
    if (successor === undefined) order.push(stack.pop()!.node);
    else if (!seen.has(successor)) {
      seen.add(successor);
      stack.push({ node: successor, next: 0 });
    }
  }
  return order;
}

/** The reversed graph. */
export function predecessorsOf(successors: readonly (readonly number[])[]): number[][] {
  const predecessors: number[][] = successors.map(() => []);
  successors.forEach((next, node) => {
    for (const successor of next) predecessors[successor]!.push(node);
  });
  return predecessors;
}

/** The closest dominator of each node but itself; of the root the root, of nodes that cannot be reached -1. */
export function immediateDominators(successors: readonly (readonly number[])[], root: number): Int32Array {
  const order = postorder(successors, root);
  const number = new Int32Array(successors.length).fill(-1);
  order.forEach((node, at) => {
    number[node] = at;
  });
  const predecessors = predecessorsOf(successors);
  const dominators = new Int32Array(successors.length).fill(-1);
  dominators[root] = root;
  const meet = (first: number, second: number): number => {
    let [a, b] = [first, second];
    while (a !== b) {
      while (number[a]! < number[b]!) a = dominators[a]!;
      while (number[b]! < number[a]!) b = dominators[b]!;
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of order.toReversed()) {
      if (node === root) continue;
      const found = predecessors[node]!.filter((from) => dominators[from] !== -1).reduce(meet);
      if (dominators[node] === found) continue;
      dominators[node] = found;
      changed = true;
    }
  }
  return dominators;
}

/** Whether `a` dominates `b`, which can be reached; a node dominates itself. */
export function dominates(dominators: Int32Array, a: number, b: number): boolean {
  let node = b;
  while (node !== a && dominators[node] !== node) node = dominators[node]!;
  return node === a;
}
