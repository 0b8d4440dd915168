/**
 * @file Calls of the attention operators, one for each way in which they may be asked: dtype, head dim, variant, raw or turned operands, many queries
 * or few, pages. What they launch on CUDA (recorder.ts) is every attention kernel that ships, with its block sizes.
 */

import type { CompiledKernel } from "../../src/codegen/metadata.ts";
import type { DType } from "../../src/ir/index.ts";
import {
  attention,
  attentionBackward,
  mergeAttention,
  pagedAttention,
  pagedPiecewiseAttention,
  piecewiseAttention,
  piecewiseAttentionBackward,
} from "../../src/kernels/index.ts";
import type { Tensor } from "../../src/runtime/index.ts";
import type { RecordingDevice } from "./recorder.ts";
import { BATCH, KEYS, packsQueries, singleVariants, type VariantName, variantArguments } from "./variants.ts";

/** What is asked of one call. */
export interface Shipped {
  readonly call: "forward" | "backward" | "paged" | "merge";
  readonly terms: "dense" | "piecewise";
  /** Queries and keys before the rotary embedding: with the pairs' channels apart or side by side, or some that do not turn. */
  readonly raw?: "half" | "interleaved" | "partial" | undefined;
  readonly arguments?: VariantName | undefined;
  readonly dtype: "f16" | "bf16" | "f32";
  readonly headDim: number;
  readonly causal: boolean;
  /** Default: 4096. */
  readonly queries?: number;
  /** Query heads a key head. Default: 1. */
  readonly group?: number;
  /** Default: 1. */
  readonly splits?: number;
  /** Of paged caches. */
  readonly pageSize?: number;
}

/** Dtype, head dim and mask of a call. */
export type Size = Pick<Shipped, "dtype" | "headDim" | "causal">;
const commonHeadDims = [128, 64, 256];
// Then two that are no power of two, in whole vectors and in rows that are aligned to 4 bytes only, and small ones.
const sizes: readonly Size[] = [[128, 64], [256], [80, 50, 32, 16]].flatMap((some) =>
  (["f16", "bf16", "f32"] as const).flatMap((dtype) =>
    some.flatMap((headDim) => [true, false].map((causal) => ({ dtype, headDim, causal }))),
  ),
);

type Problem = Size & Pick<Shipped, "terms" | "raw" | "arguments">;

/** Many queries; the keys split, for one query of one head and for those of a group; the gradients. */
const alone = (problem: Problem): Shipped[] => [
  { call: "forward", ...problem },
  { call: "forward", ...problem, queries: 1, splits: 4 },
  { call: "forward", ...problem, queries: 1, splits: 4, group: 8 },
  { call: "backward", ...problem },
];

/** Fewer queries, which have smaller blocks; pages that hold a tile, that a tile holds, and others. */
const others = (problem: Problem): Shipped[] => [
  ...[16, 32, 64].map((queries) => ({ call: "forward", ...problem, queries }) as const),
  ...[32, 64].map((queries) => ({ call: "forward", ...problem, queries, splits: 4 }) as const),
  ...[4, 8].map((queries) => ({ call: "forward", ...problem, queries, splits: 4, group: 8 }) as const),
  ...[16, 24, 128].flatMap((pageSize) => [
    { call: "paged", ...problem, pageSize, queries: 1, group: 8 } as const,
    { call: "paged", ...problem, pageSize, queries: 64 } as const,
  ]),
];

/** Pages with variants, and with packed queries: one of each sequence, and more. */
const pagedVariants = (problem: Problem): Shipped[] =>
  [16, 24, 128].flatMap((pageSize) => [
    ...(["pagedBias", "packedQueries", "packedQueriesFull"] as const).flatMap((name) => {
      const call = { call: "paged", ...problem, pageSize, arguments: name } as const;
      return [
        { ...call, queries: 1, group: 8 },
        { ...call, queries: 64 },
      ];
    }),
    { call: "paged", ...problem, pageSize, arguments: "packedQueriesFull", queries: 64, group: 8 } as const,
  ]);

/** Everything that may be asked at this size: each argument alone and as many as go together. */
const callsOf = (size: Size, terms: Shipped["terms"]): Shipped[] => {
  const of = (raw: Shipped["raw"], name?: VariantName): Problem => ({ terms, raw, arguments: name, ...size });
  const full = ([undefined, "half"] as const).flatMap((raw) => [
    ...alone(of(raw)),
    ...others(of(raw)),
    ...(["undropped", "padded", "packed", "packedWide"] as const).flatMap((name) => alone(of(raw, name))),
    { call: "backward", ...of(raw, "paddedRows") } as const,
    ...pagedVariants(of(raw)),
  ]);
  // The other head dims have the blocks of the next common one: there the arguments alone were seen, with more channels in registers.
  if (!commonHeadDims.includes(size.headDim))
    return size.causal ? full : [undefined, "half" as const].flatMap((raw) => alone(of(raw)));
  return [
    ...full,
    ...(["interleaved", "partial"] as const).flatMap((raw) => alone(of(raw))),
    ...singleVariants.flatMap((name) => alone(of(undefined, name))),
  ];
};

/** The calls, those of the commonest sizes first. */
export const shipped: readonly Shipped[] = sizes.flatMap((size) => [
  ...callsOf(size, "dense"),
  ...callsOf(size, "piecewise"),
  { call: "merge", terms: "dense", ...size } as const,
]);

export function describeShipped(one: Shipped): string {
  const { call, terms, raw, arguments: name, dtype, headDim, causal, queries, group, splits, pageSize } = one;
  const parts = [
    terms,
    raw && `raw (${raw})`,
    name,
    call,
    dtype,
    `D=${headDim}`,
    causal && "causal",
    queries !== undefined && `M=${queries}`,
    group !== undefined && `group ${group}`,
    splits !== undefined && `${splits} splits`,
    pageSize !== undefined && `pages of ${pageSize}`,
  ];
  return parts.filter(Boolean).join(" ");
}

/** The kernels that the operators launch for a call. */
export function compileShipped(device: RecordingDevice, one: Shipped): readonly CompiledKernel[] {
  const { terms, raw, dtype, headDim, causal, queries = 4096, group = 1, splits = 1, pageSize, call } = one;
  const make = (shape: readonly number[], of: DType = dtype) => device.empty(shape, of);
  const own = one.arguments && variantArguments[one.arguments](make, { heads: group, queries, dtype, causal });
  const [queryShape, keyShape] = [
    packsQueries(one.arguments) ? [BATCH * queries, group, headDim] : [BATCH, group, queries, headDim],
    pageSize === undefined ? [BATCH, 1, KEYS, headDim] : [Math.floor(KEYS / pageSize), 1, pageSize, headDim],
  ];
  const pairs = raw === "partial" ? headDim / 4 : headDim / 2;
  const angles = () => make([2, terms === "piecewise" ? 2 : 1, 2, KEYS, pairs], "f32");
  const rope = raw && {
    angles: angles() as Tensor<"f32">,
    layout: raw === "interleaved" ? ("interleaved" as const) : ("half" as const),
    [Symbol.dispose]() {},
  };
  const threshold = 1024;
  const twice = terms === "piecewise" && raw === undefined;
  const operands = (name: string, shape: readonly number[]) =>
    Object.fromEntries((twice ? [`${name}1`, `${name}2`] : [name]).map((each) => [each, make(shape)]));
  const out = make(queryShape);
  const lse = make(queryShape.slice(0, -1), "f32") as Tensor<"f32">;
  const shared = { causal, ...own, ...(rope && { rope }), ...(terms === "piecewise" && { threshold }) };
  return device.record(() => {
    if (call === "merge") {
      mergeAttention([{ out, lse }]);
      return;
    }
    if (call === "paged") {
      const caches = {
        valueCache: make(keyShape),
        contextLengths: make([BATCH], "i32"),
        blockTables: make([BATCH, Math.floor(KEYS / pageSize!)], "i32"),
      };
      const args = { ...operands("q", queryShape), ...operands("keyCache", keyShape), ...caches, ...shared, splits };
      (terms === "dense" ? pagedAttention : pagedPiecewiseAttention)(args as never);
      return;
    }
    const given = { ...operands("q", queryShape), ...operands("k", keyShape), v: make(keyShape), ...shared };
    if (call === "forward") {
      const total = queries === 4096;
      (terms === "dense" ? attention : piecewiseAttention)({ ...given, splits, returnTotalAttention: total } as never);
      return;
    }
    const backward = terms === "dense" ? attentionBackward : piecewiseAttentionBackward;
    backward({ ...given, out, lse, dout: make(queryShape) } as never);
  });
}
