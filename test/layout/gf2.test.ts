import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyColumns, extendBasis, intersectSpans, rankOf, Span } from "../../src/layout/gf2.ts";

const vectors = fc.array(fc.nat(63), { maxLength: 7 });

/** All members of a span, by adding up all subsets. */
function members(basis: readonly number[]): Set<number> {
  const sums = new Set([0]);
  for (const vector of basis) for (const sum of [...sums]) sums.add(sum ^ vector);
  return sums;
}

describe("GF(2)", () => {
  it("rank and membership agree with the subset sums", () => {
    fc.assert(
      fc.property(vectors, (list) => {
        const all = members(list);
        expect(2 ** rankOf(list)).toBe(all.size);
        const span = new Span(list);
        for (let vector = 0; vector < 64; vector++)
          if (span.contains(vector) !== all.has(vector)) expect.fail(`${vector}`);
      }),
    );
  });

  it("solves for a combination of the inserted vectors", () => {
    fc.assert(
      fc.property(vectors, fc.nat(127), (list, chosen) => {
        const span = new Span();
        list.forEach((vector, i) => {
          span.insert(vector, 1 << i);
        });
        const target = applyColumns(list, chosen & ((1 << list.length) - 1));
        expect(applyColumns(list, span.solve(target)!)).toBe(target);
      }),
    );
  });

  it("intersects spans", () => {
    fc.assert(
      fc.property(vectors, vectors, (left, right) => {
        const basis = intersectSpans(left, right);
        const inRight = members(right);
        const common = new Set([...members(left)].filter((vector) => inRight.has(vector)));
        expect(members(basis)).toEqual(common);
        expect(2 ** basis.length).toBe(common.size);
      }),
    );
  });

  it("extends a basis by independent candidates only", () => {
    fc.assert(
      fc.property(vectors, vectors, (list, candidates) => {
        const added = extendBasis(list, candidates);
        expect(rankOf(list) + added.length).toBe(rankOf([...list, ...candidates]));
        for (const vector of added) expect(candidates).toContain(vector);
      }),
    );
  });
});
