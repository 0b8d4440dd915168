/**
 * @file Position maps: which positions the rotary embedding gives queries and keys that are near each other, and those that are far. A
 * query i and a key j are far iff i - j >= threshold. PiecewiseAttention takes queries and keys embedded both ways (q1, k1 near; q2, k2
 * far) and one softmax over both, so a text of any length shows the model only distances that it has learned.
 *
 * Sources: ReRoPE and Leaky ReRoPE, github.com/bojone/rerope; Self-Extend, Jin et al., arXiv 2401.01325. Aquila2-34B's NLPE is published
 * only as the operator, without its positions: a general map expresses it, no map here claims to be it.
 */
import { ArgumentError } from "../../support/errors.ts";
import { type NamesOf, refuseUnknownNames } from "../../support/names.ts";

/** A map is plain formulas; anyone may write one. Positions may be any real numbers. */
export interface PositionMap {
  /** For messages and tables, such as "rerope(window=512)". */
  readonly name: string;
  /** Far iff query position - key position >= threshold. An integer, at least 0. */
  readonly threshold: number;
  /** Position of a near query; default: its own. */
  nearQuery?(position: number): number;
  /** Position of a near key; default: its own. */
  nearKey?(position: number): number;
  farQuery(position: number): number;
  farKey(position: number): number;
  /** Multiplies all logits of the query at this position; default 1. */
  queryScale?(position: number): number;
}

export interface LogScaleOptions {
  /**
   * Trained length L0: logits of the query at position i are multiplied by max(1, ln(i + 1) / ln(L0)), which keeps attention over a
   * longer text as sharp as it was. Default: no such factor.
   */
  readonly logScale?: number;
}

/** ReRoPE: all keys at least `window` behind the query appear at distance `window`. */
export function reRope(options: { readonly window: number } & LogScaleOptions): PositionMap {
  refuseUnknownNames("reRope", options, { window: true, logScale: true });
  const { window, logScale } = options;
  count("reRope", "window", window);
  return {
    name: nameOf("rerope", { window, logScale }),
    threshold: window,
    farQuery: () => window,
    farKey: () => 0,
    ...logScaleOf("reRope", logScale),
  };
}

/** Leaky ReRoPE: a distance d >= `window` appears as window + (d - window) / factor. */
export function leakyReRope(
  options: { readonly window: number; readonly factor: number } & LogScaleOptions,
): PositionMap {
  refuseUnknownNames("leakyReRope", options, { window: true, factor: true, logScale: true });
  const { window, factor, logScale } = options;
  count("leakyReRope", "window", window);
  if (!(factor >= 1 && factor < Number.POSITIVE_INFINITY))
    wrong("leakyReRope", "factor", factor, "a number of at least 1");
  return {
    name: nameOf("leaky", { window, factor, logScale }),
    threshold: window,
    farQuery: (position) => (position + window * (factor - 1)) / factor,
    farKey: (position) => position / factor,
    ...logScaleOf("leakyReRope", logScale),
  };
}

/** Self-Extend: beyond `window`, positions are those of groups of `group` tokens, shifted so that the two parts meet. */
export function selfExtend(
  options: { readonly group: number; readonly window: number } & LogScaleOptions,
): PositionMap {
  refuseUnknownNames("selfExtend", options, { group: true, window: true, logScale: true });
  const { group, window, logScale } = options;
  count("selfExtend", "group", group);
  count("selfExtend", "window", window);
  const shift = window - Math.floor(window / group);
  return {
    name: nameOf("selfextend", { window, group, logScale }),
    threshold: window,
    farQuery: (position) => Math.floor(position / group) + shift,
    farKey: (position) => Math.floor(position / group),
    ...logScaleOf("selfExtend", logScale),
  };
}

/** Query i minus key j as the rotary embedding sees them. */
export function mappedDistance(map: PositionMap, query: number, key: number): number {
  const isFar = query - key >= map.threshold;
  return isFar
    ? map.farQuery(query) - map.farKey(key)
    : (map.nearQuery?.(query) ?? query) - (map.nearKey?.(key) ?? key);
}

/** A map's formulas at the positions 0 to n - 1, for `ropeTable`: each [n]. */
export interface MappedPositions {
  readonly nearQuery: Float64Array;
  readonly nearKey: Float64Array;
  readonly farQuery: Float64Array;
  readonly farKey: Float64Array;
  readonly queryScale: Float64Array;
}

const mapNames: NamesOf<PositionMap> = {
  name: true,
  threshold: true,
  nearQuery: true,
  nearKey: true,
  farQuery: true,
  farKey: true,
  queryScale: true,
};

/**
 * @throws ArgumentError `POSITION_MAP`: a threshold that is no integer of at least 0, or a position or scale that is not finite; `ARGUMENT_UNKNOWN`: a formula
 * that maps do not have.
 */
export function mappedPositions(map: PositionMap, length: number): MappedPositions {
  refuseUnknownNames(`the position map ${map.name}`, map, mapNames, "entry");
  if (!Number.isSafeInteger(map.threshold) || map.threshold < 0)
    wrong(map.name, "threshold", map.threshold, "an integer of at least 0");
  const table = (name: string, of: (position: number) => number) =>
    Float64Array.from({ length }, (_, position) => {
      const value = of(position);
      return Number.isFinite(value) ? value : wrong(map.name, `${name}(${position})`, value, "a finite number");
    });
  return {
    nearQuery: table("nearQuery", (position) => map.nearQuery?.(position) ?? position),
    nearKey: table("nearKey", (position) => map.nearKey?.(position) ?? position),
    farQuery: table("farQuery", (position) => map.farQuery(position)),
    farKey: table("farKey", (position) => map.farKey(position)),
    queryScale: table("queryScale", (position) => map.queryScale?.(position) ?? 1),
  };
}

function logScaleOf(of: string, length: number | undefined): Pick<PositionMap, "queryScale"> {
  if (length === undefined) return {};
  count(of, "logScale", length, 2);
  return { queryScale: (position) => Math.max(1, Math.log(position + 1) / Math.log(length)) };
}

const nameOf = (scheme: string, options: Readonly<Record<string, number | undefined>>): string => {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return `${scheme}(${given.map(([key, value]) => `${key}=${value}`).join(", ")})`;
};

function count(of: string, name: string, value: number, least = 1): void {
  if (!Number.isSafeInteger(value) || value < least) wrong(of, name, value, `an integer of at least ${least}`);
}

function wrong(of: string, name: string, value: number, accepted: string): never {
  throw new ArgumentError("POSITION_MAP", `${of}: ${name} is ${value}; accepted: ${accepted}.`);
}
