/**
 * @file Edges that variants are drawn with. The distance of key n from query m is N - M + m - n: the last query stands at the last key,
 * and what lies in its future has a negative distance.
 */
import { type Index, tl } from "../../dsl/index.ts";
import type { Edge, Place } from "./variant.ts";

/** Before it lie the keys at least `distance` behind the query. Distance 0: the query's own key and its past. Any i32. */
export function diagonal(at: Place, distance: Index): Edge {
  // From N on no key is that far behind, up to -M every key is; nothing overflows in between.
  const bounded = tl.maximum(tl.minimum(at.keys, distance), at.queries.neg());
  const shift = at.keys.sub(at.queries).sub(bounded);
  return { key: (query) => query.add(shift.add(1)), query: (key) => key.sub(shift) };
}

/** Before it lie the keys below `end`, for every query. */
export const column = (at: Place, end: Index): Edge => ({
  key: (query) => tl.zerosLike(query).add(end),
  query: (key) => tl.where(key.lt(end), 0, at.queries),
});

/** Before it lie the keys that are before both edges. */
export const nearer = (a: Edge, b: Edge): Edge => ({
  key: (query) => tl.minimum(a.key(query), b.key(query)),
  query: (key) => tl.maximum(a.query(key), b.query(key)),
});

/** Before it lie the keys that are before one of the edges. */
export const farther = (a: Edge, b: Edge): Edge => ({
  key: (query) => tl.maximum(a.key(query), b.key(query)),
  query: (key) => tl.minimum(a.query(key), b.query(key)),
});
