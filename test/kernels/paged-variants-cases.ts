/**
 * @file The cases of the conformance test of variants over paged caches, named after the models that need them, and of packed queries, of which some
 * sequences decode and some are being read.
 */
import fc from "fast-check";
import { makePagedCase as make, type PagedCase } from "./paged-cases.ts";

export const pagedVariantCases: readonly PagedCase[] = [
  // Mistral: a window, smaller than a page, than a tile, than the context; in parts; reading a chunk.
  make({ queryHeads: 4, keyHeads: 1, contexts: [200, 33], splits: 3, variant: { window: [40, 0] } }),
  make({
    queries: 20,
    queryHeads: 6,
    keyHeads: 2,
    contexts: [130, 20],
    pageSize: 24,
    splits: 1,
    variant: { window: [6, 0] },
  }),
  make({ contexts: [100, 5, 0], pageSize: 64, splits: 2, layout: "keys first", variant: { window: [1000, 0] } }),
  // Gemma 2: a window and a cap of the logits.
  make({
    queryHeads: 6,
    keyHeads: 1,
    contexts: [150, 70],
    headDim: 32,
    magnitude: 3,
    splits: 2,
    variant: { window: [63, 0], softcap: 5 },
  }),
  // GPT-OSS: a window and learned sinks; a sequence without keys has its sinks.
  make({
    dtype: "bf16",
    queryHeads: 8,
    keyHeads: 1,
    contexts: [90, 0, 17],
    splits: 4,
    variant: { window: [31, 0], sinks: true },
  }),
  make({ queries: 5, queryHeads: 6, keyHeads: 1, contexts: [90, 3], variant: { sinks: true } }),
  // BLOOM and MPT: ALiBi; StreamingLLM: tokens that stay visible.
  make({ queryHeads: 4, keyHeads: 4, contexts: [70, 50], dtype: "f32", variant: { alibi: true } }),
  make({ queries: 3, queryHeads: 6, keyHeads: 2, contexts: [70, 2], pageSize: 5, splits: 2, variant: { alibi: true } }),
  make({ queries: 9, contexts: [200, 90], pageSize: 32, splits: 3, variant: { window: [20, 0], sinkTokens: 4 } }),
  // A prefix, a window to both sides, biases.
  make({ queries: 4, contexts: [60, 33], splits: 2, pageSize: 8, variant: { bias: [true, true, true], softcap: 4 } }),
  make({ queries: 12, causal: false, contexts: [60, 33], variant: { window: [10, 4] } }),
  make({ queryHeads: 2, keyHeads: 1, contexts: [60, 33], variant: { bias: [false, true, false] } }),
  make({ queries: 20, queryHeads: 6, keyHeads: 1, contexts: [60, 33], splits: 1, variant: { prefix: [50, 7] } }),
  // PiecewiseAttention with a cache of keys for each term, and raw.
  make({
    threshold: 30,
    queryHeads: 6,
    keyHeads: 1,
    contexts: [90, 40],
    splits: 2,
    variant: { window: [50, 0], sinks: true },
  }),
  make({ threshold: 10, queries: 5, contexts: [70, 20], pageSize: 5, variant: { softcap: 3, alibi: true } }),
  make({
    threshold: 20,
    raw: true,
    queryHeads: 6,
    keyHeads: 1,
    contexts: [70, 33],
    splits: 2,
    variant: { window: [40, 0], sinkTokens: 3, softcap: 6 },
  }),
  make({ raw: true, queries: 3, contexts: [70, 33], variant: { window: [20, 0], sinks: true } }),
  // Packed queries: decoding and reading mixed, sequences without queries, rows left over, groups.
  make({ queries: [1, 1, 1], queryHeads: 6, keyHeads: 1, contexts: [70, 33, 5], splits: 2 }),
  make({ queries: [20, 1, 0, 40, 3], queryHeads: 6, keyHeads: 2, contexts: [70, 33, 9, 40, 0], pageSize: 8 }),
  make({ queries: [5, 90, 7], contexts: [30, 90], dtype: "f32", splits: 3, layout: "keys first" }),
  make({ queries: [4, 9, 2], queryHeads: 2, keyHeads: 1, contexts: [40, 9, 30], causal: false, pageSize: 24 }),
  make({ queries: [40, 1, 30], contexts: [40, 70], splits: 1, variant: { sinks: true } }),
  // The same in one part: heads of groups are written to their places at once.
  make({
    queries: [30, 1, 0, 1, 7, 3],
    queryHeads: 6,
    keyHeads: 1,
    contexts: [70, 33, 9, 0, 3],
    headDim: 24,
    valueDim: 40,
    splits: 1,
    variant: { sinks: true },
  }),
  make({ queries: [1, 20, 1, 2], queryHeads: 12, keyHeads: 2, contexts: [90, 20, 5], splits: 1, layout: "keys first" }),
  make({ queries: [1, 5, 1], threshold: 9, queryHeads: 6, keyHeads: 1, contexts: [50, 20, 1], splits: 1 }),
  make({ queries: [1, 12, 4], threshold: 9, raw: true, queryHeads: 6, keyHeads: 1, contexts: [50, 20, 33] }),
  make({ queries: [2, 20], queryHeads: 4, keyHeads: 2, contexts: [50, 20], variant: { prefix: [30, 9], alibi: true } }),
  make({
    queries: [1, 33, 1, 2],
    queryHeads: 8,
    keyHeads: 1,
    contexts: [120, 50, 64],
    splits: 2,
    variant: { window: [25, 0], sinks: true, softcap: 7 },
  }),
  make({
    queries: [1, 12],
    threshold: 9,
    queryHeads: 6,
    keyHeads: 1,
    contexts: [50, 20],
    variant: { window: [30, 0] },
  }),
  make({ queries: [5], contexts: [], pageSize: 4 }),
];

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 1 });

/** Random combinations on random shapes, in f32: of a few elements in 16 bits the naive computation may be right by luck, and the rule asks for twice that. */
export const randomPagedVariantCases: fc.Arbitrary<PagedCase> = fc
  .record({
    keyHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.constantFrom(1, 2, 6),
    sequences: fc.array(fc.tuple(fc.integer({ min: 0, max: 90 }), fc.integer({ min: 0, max: 20 })), {
      minLength: 1,
      maxLength: 3,
    }),
    queries: fc.constantFrom(0, 1, 2, 5, 9, 20),
    rest: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined, freq: 1 }),
    headDim: fc.constantFrom(8, 16, 24),
    pageSize: fc.constantFrom(1, 3, 8, 16, 32, 40, 64),
    causal: fc.boolean(),
    splits: fc.integer({ min: 1, max: 4 }),
    threshold: maybe(fc.integer({ min: -20, max: 60 })),
    layout: fc.constantFrom("heads first" as const, "keys first" as const),
    window: maybe(fc.tuple(fc.integer({ min: -1, max: 60 }), fc.integer({ min: -1, max: 20 }))),
    sinkTokens: fc.integer({ min: 0, max: 20 }),
    prefix: maybe(fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 3, maxLength: 3 })),
    softcap: maybe(fc.constantFrom(3, 10)),
    alibi: fc.boolean(),
    sinks: fc.boolean(),
    bias: maybe(fc.tuple(fc.boolean(), fc.boolean(), fc.boolean())),
  })
  .map(({ group, sequences, queries, rest, causal, window, sinkTokens, prefix, softcap, alibi, sinks, bias, ...c }) =>
    make({
      ...c,
      causal,
      dtype: "f32",
      queryHeads: c.keyHeads * group,
      contexts: sequences.map(([context]) => context),
      // Packed, or a chunk of as many of each.
      queries: rest === undefined ? queries : [...sequences.map(([, count]) => count), rest],
      variant: {
        ...(window && { window, ...(window[0] !== -1 && { sinkTokens }) }),
        ...(causal && prefix && { prefix: prefix.slice(0, sequences.length) }),
        ...(softcap && { softcap }),
        ...(rest === undefined && bias && { bias }),
        alibi,
        sinks,
      },
    }),
  );
