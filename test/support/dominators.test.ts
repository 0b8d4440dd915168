import fc from "fast-check";
import { expect, it } from "vitest";
import { dominates, immediateDominators } from "../../src/support/index.ts";

/** What can be reached from node 0 when `without` is taken out of the graph. */
function reach(successors: readonly (readonly number[])[], without = -1): Set<number> {
  const found = new Set<number>();
  const visit = (node: number): void => {
    if (node === without || found.has(node)) return;
    found.add(node);
    successors[node]!.forEach(visit);
  };
  visit(0);
  return found;
}

it("a dominates b if b cannot be reached without a, in random graphs", () => {
  const graphs = fc
    .integer({ min: 1, max: 12 })
    .chain((count) => fc.array(fc.array(fc.nat(count - 1), { maxLength: 3 }), { minLength: count, maxLength: count }));
  fc.assert(
    fc.property(graphs, (successors) => {
      const reachable = reach(successors);
      const dominators = immediateDominators(successors, 0);
      for (const b of successors.keys()) {
        expect(dominators[b] !== -1).toBe(reachable.has(b));
        if (!reachable.has(b)) continue;
        for (const a of reachable) expect(dominates(dominators, a, b)).toBe(a === b || !reach(successors, a).has(b));
      }
    }),
    { numRuns: 300, seed: 1 },
  );
});
