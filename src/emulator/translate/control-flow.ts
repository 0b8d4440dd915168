/**
 * @file Where lanes that part at a branch meet again: the immediate post-dominator of the branch's basic block.
 */
import { immediateDominators, predecessorsOf } from "../../support/index.ts";

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

  const postDominators = immediateDominators(predecessorsOf([...successors, []]), exit);
  return Int32Array.from({ length: end }, (_, at) => {
    const meeting = postDominators[blockOf[at]!]!;
    // Blocks from which there is no way to the exit (endless loops) have none.
    return meeting === -1 || meeting === exit ? end : leaders[meeting]!;
  });
}
