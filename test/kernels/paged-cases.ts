/**
 * @file The cases of the conformance test of attention over paged caches: FlagAttention's grid scaled down, and what it has not: groups of 6,
 * pages of any size, chunks of queries, PiecewiseAttention.
 */
import type { FloatDType } from "../../src/kernels/index.ts";
import type { VariantCase } from "./attention-variants-cases.ts";
import { completed } from "./case-defaults.ts";

export interface PagedCase {
  readonly dtype: FloatDType;
  readonly queryHeads: number;
  readonly keyHeads: number;
  /** 0: one query a sequence, without an axis of queries. A list: so many of each sequence, packed, and then rows of no sequence. */
  readonly queries: number | readonly number[];
  readonly headDim: number;
  readonly valueDim: number;
  readonly pageSize: number;
  /** Of each sequence. */
  readonly contexts: readonly number[];
  readonly splits: number | undefined;
  readonly causal: boolean;
  readonly threshold?: number;
  readonly scale: number;
  readonly magnitude: number;
  /** Queries and keys are those before the rotary embedding. */
  readonly raw: boolean;
  /** How a page lies in memory. */
  readonly layout: "heads first" | "keys first";
  /** Arguments of variants, as in attention-variants-cases.ts. */
  readonly variant?: PagedVariant;
}

export type PagedVariant = Pick<
  VariantCase,
  "window" | "sinkTokens" | "prefix" | "softcap" | "alibi" | "bias" | "sinks"
>;

const base = {
  dtype: "f16",
  queryHeads: 2,
  keyHeads: 2,
  queries: 0,
  headDim: 16,
  pageSize: 16,
  contexts: [70, 33],
  splits: undefined,
  causal: true,
  magnitude: 1,
  raw: false,
  layout: "heads first",
} as const;

export const makePagedCase = (change: Partial<PagedCase>): PagedCase => completed({ ...base, ...change });

const make = makePagedCase;

export const pagedCases: readonly PagedCase[] = [
  // FlagAttention's: group 1 and 8, D 64 and 128, pages of 16, 128 and 256.
  ...[1, 8].flatMap((group) =>
    [16, 128, 256].map((pageSize) =>
      make({ queryHeads: group, keyHeads: 1, pageSize, headDim: pageSize === 16 ? 128 : 64, contexts: [130, 257] }),
    ),
  ),
  // Its cases by splits: one sequence and many, 1 to 8 splits.
  ...[1, 2, 3, 5, 8].map((splits) => make({ splits, contexts: [200], headDim: 32 })),
  make({ splits: 6, contexts: [100, 1, 64, 0, 16, 17], queryHeads: 12, keyHeads: 2 }),
  // Pages of any size, below and above a tile.
  ...[1, 2, 5, 8, 24, 32, 33, 48, 64, 96].map((pageSize) =>
    make({ pageSize, contexts: [pageSize, 77, 3], splits: 2, queryHeads: 6, keyHeads: 1 }),
  ),
  // Chunks of queries, each sequence with its own context; longer than a context, too.
  ...[1, 2, 4, 20].map((queries) => make({ queries, contexts: [70, 33, 5], queryHeads: 6, keyHeads: 1 })),
  make({ queries: 40, contexts: [70, 40, 90], splits: 2, pageSize: 64, headDim: 80, valueDim: 48 }),
  // Head dims that are no powers of two, in rows that are looked up one by one and by pages.
  ...[16, 24].map((pageSize) =>
    make({ pageSize, headDim: 80, valueDim: 96, contexts: [150, 7], queryHeads: 6, keyHeads: 1 }),
  ),
  make({ queries: 20, contexts: [50, 21], causal: false, queryHeads: 4, keyHeads: 2 }),
  // FlashAttention's and vLLM's layout, by strides.
  make({ layout: "keys first", queryHeads: 6, keyHeads: 2 }),
  make({ layout: "keys first", pageSize: 64, queries: 3 }),
  // Dtypes, magnitudes.
  make({ dtype: "bf16", queryHeads: 8, keyHeads: 1 }),
  make({ dtype: "f32", queryHeads: 6, keyHeads: 1, splits: 3 }),
  make({ magnitude: 10, splits: 2, contexts: [100, 61] }),
  // No keys at all.
  make({ contexts: [0, 0] }),
  // PiecewiseAttention with a cache of keys for each term.
  ...[-5, 0, 1, 20, 64, 1000].map((threshold) =>
    make({ threshold, queryHeads: 6, keyHeads: 1, contexts: [70, 33, 8], splits: 2 }),
  ),
  make({ threshold: 30, queries: 20, contexts: [70, 20], pageSize: 32, layout: "keys first" }),
  make({ threshold: 10, queries: 4, contexts: [70, 20], pageSize: 5, queryHeads: 4, keyHeads: 2 }),
  // The same with raw queries and keys that are turned while they are loaded; and plain attention.
  make({ raw: true, queries: 3, queryHeads: 6, keyHeads: 2, contexts: [70, 33], splits: 2 }),
  ...[16, 24, 64].map((pageSize) =>
    make({ threshold: 20, raw: true, pageSize, queryHeads: 6, keyHeads: 1, contexts: [70, 33, 0], splits: 2 }),
  ),
  make({ threshold: 0, raw: true, dtype: "f32", headDim: 80, valueDim: 40, contexts: [50] }),
  make({ threshold: 30, raw: true, queries: 20, contexts: [70, 20], headDim: 32, layout: "keys first" }),
];

export const titleOf = (c: PagedCase): string =>
  [
    `${c.dtype} H${c.queryHeads}/${c.keyHeads} ${c.queries === 0 ? "one query" : `M${c.queries}`}`,
    ` contexts ${c.contexts.join(", ")} D${c.headDim}`,
    c.valueDim === c.headDim ? "" : `/${c.valueDim}`,
    ` pages of ${c.pageSize}`,
    c.layout === "heads first" ? "" : ` ${c.layout}`,
    c.causal ? "" : " not causal",
    c.splits === undefined ? "" : ` splits ${c.splits}`,
    c.threshold === undefined ? "" : ` threshold ${c.threshold}`,
    c.raw ? " raw" : "",
    c.magnitude === 1 ? "" : ` x${c.magnitude}`,
    ...Object.entries(c.variant ?? {}).map(([name, value]) => (value === undefined ? "" : ` ${name} ${value}`)),
  ].join("");
