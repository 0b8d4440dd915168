/**
 * @file Which keys a query sees, narrowed or widened for any variant by moving the ends of its spans: a sliding window, tokens that stay visible
 * outside of it, a prefix that is visible from before. All are edges, so tiles that hold nothing are never visited.
 */
import { type Constants, tl } from "../../dsl/index.ts";
import { column, diagonal, farther, nearer } from "./edges.ts";
import type { Edge, Span, Variant } from "./variant.ts";

const windowParameters = {
  /** Keys up to so far behind the query are seen, and up to so far ahead. */
  windowLeft: tl.scalar("i32"),
  windowRight: tl.scalar("i32"),
  /** Keys below it are seen whatever their distance behind. */
  sinkTokens: tl.scalar("i32"),
};

const windowConstants = {
  /** Whether the bound is there. */
  WINDOW_LEFT: true,
  WINDOW_RIGHT: false,
  SINK_TOKENS: false,
};

/**
 * The variant with only those keys whose distance is from -windowRight to windowLeft (FlashAttention's `window_size`; Longformer, arXiv
 * 2004.05150), and with the first `sinkTokens` keys of those beyond on the left (StreamingLLM, arXiv 2309.17453).
 */
export function withWindow<C extends Constants>(variant: Variant<any, C>): Variant<any, C & typeof windowConstants> {
  const spans: Variant<typeof windowParameters, typeof windowConstants>["spans"] = (p, at, c) => {
    const own = spansOf(variant, p, at, c);
    const right = diagonal(at, p.windowRight.neg());
    const seen = c.WINDOW_RIGHT ? endAlsoAt(own, right) : own;
    if (!c.WINDOW_LEFT) return seen;
    const left = diagonal(at, p.windowLeft.add(1));
    if (!c.SINK_TOKENS) return beginAlsoAt(seen, left);
    const sinks = column(at, p.sinkTokens);
    return [...endAlsoAt(seen, sinks), ...beginAlsoAt(seen, farther(left, sinks))];
  };
  return {
    ...variant,
    name: `${variant.name}_window`,
    parameters: { ...variant.parameters, ...windowParameters },
    constants: { ...(variant.constants as C), ...windowConstants },
    spans,
  };
}

const prefixParameters = {
  /** [B], or one for each document of packed sequences: keys below it are seen by every query. */
  prefixLengths: tl.tensor("i32", 1),
};

/** The variant, whose spans must touch, with every key of the prefix visible to every query (prefix-LM, arXiv 1910.10683). */
export function withPrefix<C extends Constants>(variant: Variant<any, C>): Variant<any, C> {
  const spans: Variant<typeof prefixParameters, C>["spans"] = (p, at, c) => {
    const own = spansOf(variant, p, at, c);
    tl.staticAssert(
      own.every(({ from }) => from === undefined),
      `variant "${variant.name}" has spans with gaps, which a prefix would close: add the prefix first`,
    );
    const last = p.prefixLengths.shape(0).sub(1);
    const prefix = column(at, p.prefixLengths.load([tl.minimum(at.sequence, last)], []));
    return own.map((span, i) => (i === own.length - 1 && span.to ? { ...span, to: farther(span.to, prefix) } : span));
  };
  return {
    ...variant,
    name: `${variant.name}_prefix`,
    parameters: { ...variant.parameters, ...prefixParameters },
    spans,
  };
}

const spansOf = (variant: Variant, ...hook: Parameters<NonNullable<Variant["spans"]>>): readonly Span[] =>
  variant.spans?.(...hook) ?? [{}];

/** Of every run of touching spans, only what is before the edge too. */
const endAlsoAt = (spans: readonly Span[], edge: Edge): Span[] =>
  spans.map((span, i) => {
    const touched = i + 1 < spans.length && spans[i + 1]!.from === undefined;
    return touched ? span : { ...span, to: span.to ? nearer(span.to, edge) : edge };
  });

/** Of every run of touching spans, only what is not before the edge. */
const beginAlsoAt = (spans: readonly Span[], edge: Edge): Span[] =>
  spans.map((span, i) =>
    i === 0 || span.from ? { ...span, from: span.from ? farther(span.from, edge) : edge } : span,
  );
