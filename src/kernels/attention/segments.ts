/**
 * @file From a variant's spans to loops. A program keeps a block of one axis of the score matrix and walks the other; for its block every
 * edge is crossed by a few tiles, and all others lie wholly on one side. So each span gives a loop over tiles that it fills, without mask
 * code and bounds checks, and one over the tiles that the outer edges cut; where two spans touch, one loop more for the tiles that hold
 * both. Tiles that hold nothing are in none.
 */
import { type Index, type Scalar, type Shape, type Tile, tl } from "../../dsl/index.ts";
import { type Edge, type Place, type RuntimeIndex, type Side, type Span, termsOf, type Variant } from "./variant.ts";

/** Where along the walked axis an edge lies, for kept indices. Does not decrease. */
type Limit = <S extends Shape>(kept: Tile<"i32", S>) => Tile<"i32", S>;

/**
 * Spans that touch, in walking order: span i holds, for a kept row, the walked indices from limits[i] to limits[i + 1]. The first limit may
 * be missing (from 0) and the last (to the end of the axis).
 */
interface Chain {
  readonly limits: readonly (Limit | undefined)[];
  readonly terms: readonly number[];
}

/** A part of a segment's tiles that has the logits of one term. A bound that every tile of the segment keeps is missing. */
export interface Part<R extends number> {
  readonly term: number;
  readonly from: Tile<"i32", readonly [R]> | undefined;
  readonly to: Tile<"i32", readonly [R]> | undefined;
}

/** Tiles that need the same code. */
export interface Segment<R extends number> {
  /** Everything along the walked axis exists and is seen, so loads and logits need no check. */
  readonly full: boolean;
  /** In walking order, touching. */
  readonly parts: readonly Part<R>[];
  /** Where what is seen begins and ends in each row; unless `full`. */
  readonly from: Tile<"i32", readonly [R]> | undefined;
  readonly to: Tile<"i32", readonly [R]> | undefined;
  /** Runs `body` for the first index of every tile. */
  loop<S extends tl.State>(state: S, body: (first: RuntimeIndex, state: S) => S): S;
}

/** The block that a program keeps. */
export interface KeptBlock<R extends number> {
  readonly side: Side;
  readonly first: RuntimeIndex;
  readonly extent: R;
}

/** The chains of a variant's spans as a program that keeps `side` walks them. */
function chainsOf(spans: readonly Span[], side: Side): Chain[] {
  const chains: { edges: (Edge | undefined)[]; terms: number[] }[] = [];
  for (const [i, { from, to, term = 0 }] of spans.entries()) {
    tl.staticAssert(
      to !== undefined || i === spans.length - 1,
      `span ${i} reaches to the last key, so none can follow`,
    );
    if (i === 0 || from !== undefined) chains.push({ edges: [from], terms: [] });
    const chain = chains.at(-1)!;
    chain.edges.push(to);
    chain.terms.push(term);
  }
  if (side === "queries")
    return chains.map(({ edges, terms }) => ({ limits: edges.map((edge) => edge && ((i) => edge.key(i))), terms }));
  // A key is seen by the queries from the span's end on to its beginning.
  return chains.map(({ edges, terms }) => ({
    limits: edges.map((edge): Limit | undefined => edge && ((i) => edge.query(i))).reverse(),
    terms: terms.reverse(),
  }));
}

/**
 * The keys that a block of queries may see, [from, to), `from` a multiple of `step`: none outside, and what lies between spans inside. Empty for a block
 * beyond the last query.
 */
export function keysInReach(
  { variant, p, c }: { readonly variant: Variant; readonly p: any; readonly c: any },
  { first, extent }: KeptBlock<number>,
  step: number,
  at: Place,
): { readonly from: RuntimeIndex; readonly to: RuntimeIndex } {
  const last = tl.minimum(first.add(extent - 1), at.queries.sub(1));
  const all = tl.where(first.lt(at.queries), at.keys, 0);
  const ends = chainsOf(variant.spans?.(p, at, c) ?? [{}], "queries").map(({ limits }) => ({
    from: limits[0]?.(first) ?? 0,
    to: limits.at(-1)?.(last) ?? all,
  }));
  const onAxis = (index: Index) => tl.maximum(tl.minimum(all, index), 0);
  const from = ends.map((end) => onAxis(end.from)).reduce((a, b) => tl.minimum(a, b));
  const to = ends.map((end) => onAxis(end.to)).reduce((a, b) => tl.maximum(a, b));
  return { from: from.div(step).mul(step), to: tl.maximum(to, from) };
}

/** How many keys each query of a block sees. Rows beyond the last query are as that, but in a block that has no query see none. */
export function keysSeen<R extends number>(
  { variant, p, c }: { readonly variant: Variant; readonly p: any; readonly c: any },
  { first, extent }: KeptBlock<R>,
  at: Place,
): Tile<"i32", readonly [R]> {
  const rows = tl.minimum(tl.arange(0, extent).add(first), at.queries.sub(1)) as Tile<"i32", readonly [R]>;
  const all = tl.zerosLike(rows).add(tl.where(first.lt(at.queries), at.keys, 0)) as Tile<"i32", readonly [R]>;
  const onAxis = (limit: Limit | undefined) => limit && tl.maximum(tl.minimum(all, limit(rows)), 0);
  return chainsOf(variant.spans?.(p, at, c) ?? [{}], "queries")
    .map(({ limits }) => {
      const [from, to] = [onAxis(limits[0]), onAxis(limits.at(-1)) ?? all];
      return from ? tl.maximum(to.sub(from), 0) : to;
    })
    .reduce((a, b) => a.add(b));
}

/**
 * The segments of a block, within the place's key range if it has one; each tile begins at a multiple of `step`. `apart`: with tiles that need less code
 * apart from those that need more; else all tiles of spans that touch are one segment, for kernels that seldom walk.
 */
export function segmentsOf<R extends number>(
  variant: Variant,
  block: KeptBlock<R>,
  step: number,
  p: any,
  at: Place,
  c: any,
  apart: boolean,
): Segment<R>[] {
  const spans = variant.spans?.(p, at, c) ?? [{}];
  for (const { term = 0 } of spans)
    tl.staticAssert(termsOf(variant)[term] !== undefined, `variant "${variant.name}": there is no term ${term}`);
  return chainsOf(spans, block.side).flatMap((chain) => segmentsOfChain(chain, block, step, at, apart));
}

function segmentsOfChain<R extends number>(
  { limits, terms }: Chain,
  { side, first, extent }: KeptBlock<R>,
  step: number,
  at: Place,
  apart: boolean,
): Segment<R>[] {
  const [kept, all] = side === "queries" ? [at.queries, at.keys] : [at.keys, at.queries];
  const range = side === "queries" ? at.keyRange : undefined;
  // Where the grid is larger than the sequence, a block may begin beyond its last row: it walks nothing.
  const reachable = at.firstRow?.[side] === undefined ? all : tl.where(first.lt(kept), all, 0);
  const [origin, walked] = range ? [range.from, range.to] : [0, reachable];
  const last = kept.sub(1);
  const row = tl.arange(0, extent).add(first);
  const rows = tl.minimum(row, last);
  const onAxis = <S extends Shape>(index: Tile<"i32", S>): Tile<"i32", S> =>
    tl.maximum(index.minimum(walked as never), origin as never) as Tile<"i32", S>;
  const roundDown = (index: RuntimeIndex) => index.div(step).mul(step);
  const roundUp = (index: RuntimeIndex) => roundDown(index.add(step - 1));
  const clamp = (index: RuntimeIndex, low: Index, high: Index) => tl.maximum(tl.minimum(index, high), low);

  /** Each limit in the block's first row, where it is smallest, in its last row, and in every row. */
  const bounds = limits.map(
    (limit) =>
      limit && {
        least: onAxis(limit(first)),
        most: onAxis(limit(tl.minimum(first.add(extent - 1), last))),
        each: onAxis(limit(rows)),
      },
  );
  const [begin, end] = [bounds[0], bounds.at(-1)];
  const start = range ? range.from : tl.full([], 0, "i32");
  const fullFrom = begin ? roundUp(begin.most) : start;
  const lastFull = roundDown(end ? end.least : walked);
  const stop = roundUp(end ? end.most : walked);
  // No query's lse knows of keys beyond the last: where it is far below 0, their weights would be infinite. So they are hidden.
  const hidesRows = side === "keys";
  const ofRow = (there: Tile<"i32", readonly [R]>, beyond: Index) =>
    hidesRows ? tl.where(row.lt(kept), there, beyond) : there;
  const fullTo = hidesRows ? tl.where(first.add(extent).le(kept), lastFull, 0) : lastFull;
  const fromEach = begin && ofRow(begin.each, walked);
  const lastSeen = end ? end.each : (tl.zeros([extent], "i32").add(walked) as Tile<"i32", readonly [R]>);
  const toEach = begin ? lastSeen : ofRow(lastSeen, 0);

  const segments: Segment<R>[] = [];
  let cursor = begin ? roundDown(begin.least) : start;
  const make = (full: boolean, spans: readonly [number, number], loop: Segment<R>["loop"]): void => {
    const parts = terms.slice(...spans).map((term, i) => ({
      term,
      from: i === 0 ? undefined : bounds[spans[0] + i]!.each,
      to: spans[0] + i + 1 === spans[1] ? undefined : bounds[spans[0] + i + 1]!.each,
    }));
    const seen = full ? { from: undefined, to: undefined } : { from: fromEach, to: toEach };
    segments.push({ full, parts, ...seen, loop });
  };

  if (!apart) {
    make(false, [0, terms.length], overTiles(side, cursor, stop, step));
    return segments;
  }
  for (let i = 0; i < terms.length; i++) {
    const next = i + 1 < terms.length ? bounds[i + 1]! : undefined;
    const alone = next ? clamp(roundDown(next.least), origin, stop) : stop;
    // [cursor, cut) and [whole, rest) hold the outer edges, [cut, whole) is full.
    const cut = begin ? clamp(fullFrom, cursor, tl.maximum(alone, cursor)) : cursor;
    const whole = clamp(fullTo, cut, tl.maximum(alone, cut));
    const rest = tl.maximum(whole, alone);
    make(true, [i, i + 1], overTiles(side, cut, whole, step));
    make(false, [i, i + 1], begin ? overTwoRuns(cursor, cut, whole, rest, step) : overTiles(side, whole, rest, step));
    cursor = rest;
    if (!next) break;
    const mixed = clamp(roundUp(next.most), cursor, tl.maximum(stop, cursor));
    make(false, [i, terms.length], overTiles(side, cursor, mixed, step));
    cursor = mixed;
  }
  return segments;
}

/** The loop over the tiles of [from, to). The name of the index survives into generated code. */
const overTiles =
  <R extends number>(side: Side, from: RuntimeIndex, to: RuntimeIndex, step: number): Segment<R>["loop"] =>
  (state, body) =>
    side === "queries"
      ? tl.loop({ from, to, step }, state, (key, s) => body(key, s) as never)
      : tl.loop({ from, to, step }, state, (query, s) => body(query, s) as never);

/** One loop over the tiles of [from, cut) and of [whole, to), so that their code exists once. */
const overTwoRuns =
  <R extends number>(
    from: RuntimeIndex,
    cut: RuntimeIndex,
    whole: RuntimeIndex,
    to: RuntimeIndex,
    step: number,
  ): Segment<R>["loop"] =>
  (state, body) => {
    const [early, late] = [cut.sub(from).div(step), to.sub(whole).div(step)];
    const [firstEarly, firstLate]: Scalar<"i32">[] = [from.div(step), whole.div(step).sub(early)];
    return tl.loop({ to: early.add(late) }, state, (tile, s) => {
      const number = tl.where(tile.lt(early), firstEarly!, firstLate!).add(tile);
      return body(number.mul(step), s) as never;
    });
  };
