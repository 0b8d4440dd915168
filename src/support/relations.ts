/** @file The six relations of two numbers, as JavaScript has them: with a NaN, only `ne` holds. */
export type Relation = "eq" | "ne" | "lt" | "le" | "gt" | "ge";

type Comparable = number | bigint | boolean;

export const relations: Readonly<Record<Relation, (a: Comparable, b: Comparable) => boolean>> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
};
