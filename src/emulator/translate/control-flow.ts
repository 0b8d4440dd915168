/**
 * @file Where lanes that part at a branch meet again: the immediate post-dominator of the branch's basic block.
 * (Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm", 2001, on the reversed graph.)
 */

/** An instruction as this file sees it. */
export interface FlowNode {
  /** Indices it may branch to. */
  readonly targets: readonly number[];
  /** Whether the next instruction may follow. */
  readonly continues: boolean;
}

/** For each instruction, the index of the first instruction of the block that post-dominates its own; `nodes.length` if none does. */
export function reconvergencePoints(nodes: readonly FlowNode[]): Int32Array {
  const end = nodes.length;
  const starts = new Set([0]);
  nodes.forEach(({ targets, continues }, at) => {
    for (const target of targets) starts.add(target);
    if (targets.length > 0 || !continues) starts.add(at + 1);
  });
  const leaders = [...starts].filter((start) => start < end).sort((a, b) => a - b);
  const blockOf = new Int32Array(end + 1);
  leaders.forEach((start, block) => {
    blockOf.fill(block, start, leaders[block + 1] ?? end);
  });
  const exit = leaders.length;
  blockOf[end] = exit;
  const successors = leaders.map((_, block) => {
    const last = (leaders[block + 1] ?? end) - 1;
    const { targets, continues } = nodes[last]!;
    const next = [...targets, ...(continues ? [last + 1] : [])];
    return [...new Set(next.length === 0 ? [exit] : next.map((at) => blockOf[at]!))];
  });

  // Blocks in post-order of the reversed graph, from the exit.
  const predecessors: number[][] = Array.from({ length: exit + 1 }, () => []);
  successors.forEach((next, block) => {
    for (const successor of next) predecessors[successor]!.push(block);
  });
  const order: number[] = [];
  const number = new Int32Array(exit + 1).fill(-1);
  const stack: { block: number; next: number }[] = [{ block: exit, next: 0 }];
  const visited = new Set([exit]);
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const follower = predecessors[top.block]![top.next++];
    if (follower === undefined) {
      number[top.block] = order.length;
      order.push(top.block);
      stack.pop();
    } else if (!visited.has(follower)) {
      visited.add(follower);
      stack.push({ block: follower, next: 0 });
    }
  }

  const dominator = new Int32Array(exit + 1).fill(-1);
  dominator[exit] = exit;
  const meet = (first: number, second: number): number => {
    let [a, b] = [first, second];
    while (a !== b) {
      while (number[a]! < number[b]!) a = dominator[a]!;
      while (number[b]! < number[a]!) b = dominator[b]!;
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of [...order].reverse()) {
      if (block === exit) continue;
      const known = successors[block]!.filter((successor) => dominator[successor] !== -1);
      if (known.length === 0) continue;
      const found = known.reduce(meet);
      if (dominator[block] !== found) {
        dominator[block] = found;
        changed = true;
      }
    }
  }

  return Int32Array.from({ length: end }, (_, at) => {
    const meeting = dominator[blockOf[at]!]!;
    // Blocks from which there is no way to the exit (endless loops) have none.
    return meeting === -1 || meeting === exit ? end : leaders[meeting]!;
  });
}
