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

const KEYS = 4096;
const BATCH = 1;

type Arguments = Readonly<Record<string, unknown>>;
type MakeArguments = (make: (shape: readonly number[], dtype: DType) => Tensor, shape: Sizes) => Arguments;
interface Sizes {
  readonly heads: number;
  readonly queries: number;
  readonly dtype: DType;
  readonly causal: boolean;
}

const window: MakeArguments = () => ({ window: [512, 64], sinkTokens: 4 });
const prefix: MakeArguments = (make, { causal }) => (causal ? { prefixLengths: make([BATCH], "i32") } : {});
const softcap: MakeArguments = () => ({ softcap: 30 });
const alibi: MakeArguments = (make, { heads }) => ({ alibiSlopes: make([heads], "f32") });
const bias: MakeArguments = (make, { heads, queries, dtype }) => ({ bias: make([BATCH, heads, queries, KEYS], dtype) });
const rowBias: MakeArguments = (make, { dtype }) => ({ bias: make([BATCH, 1, 1, KEYS], dtype) });
const sinks: MakeArguments = (make, { heads, dtype }) => ({ sinks: make([heads], dtype) });
const keyLengths: MakeArguments = (make) => ({ keyLengths: make([BATCH], "i32") });
const documents: MakeArguments = (make) => ({
  cumulativeLengths: { queries: make([2], "i32"), keys: make([2], "i32") },
});
const dropout: MakeArguments = () => ({ dropout: { probability: 0.1, seed: 1, offset: 0 } });
const wideDropout: MakeArguments = () => ({ dropout: { probability: 0.1, seed: 1, offset: 2 ** 40 } });
const together =
  (...all: readonly MakeArguments[]): MakeArguments =>
  (make, sizes) =>
    Object.assign({}, ...all.map((one) => one(make, sizes)));
const common = [window, prefix, softcap, alibi, sinks];

/** The arguments of variants, one by one and together. */
const variantArguments = {
  window,
  prefix,
  softcap,
  alibi,
  bias,
  rowBias,
  sinks,
  keyLengths,
  documents,
  dropout,
  wideDropout,
  padded: together(...common, bias, keyLengths, dropout),
  undropped: together(...common, bias, keyLengths),
  paddedRows: together(...common, rowBias, keyLengths, dropout),
  packed: together(...common, documents, dropout),
  packedWide: together(...common, documents, wideDropout),
} satisfies Record<string, MakeArguments>;
export type VariantName = keyof typeof variantArguments;

/** Dtype, head dim and mask of a call. */
export type Size = Pick<Shipped, "dtype" | "headDim" | "causal">;
// Those that are the next power of two themselves, and two that are not: in whole vectors, and in rows that are aligned to 4 bytes only.
const headDims = [128, 64, 256, 80, 32, 16, 50];
const sizes: readonly Size[] = (["f16", "f32", "bf16"] as const).flatMap((dtype) =>
  [true, false].flatMap((causal) => headDims.map((headDim) => ({ dtype, headDim, causal }))),
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

const single = Object.keys(variantArguments).filter(
  (name) => !/^(pa(dded|cked)|undropped)/.test(name),
) as VariantName[];

const callsOf = (size: Size, terms: Shipped["terms"]): Shipped[] => {
  const of = (raw: Shipped["raw"], name?: VariantName): Problem => ({ terms, raw, arguments: name, ...size });
  return [
    ...([undefined, "half"] as const).flatMap((raw) => [
      ...alone(of(raw)),
      ...others(of(raw)),
      ...(["undropped", "padded", "packed", "packedWide"] as const).flatMap((name) => alone(of(raw, name))),
      { call: "backward", ...of(raw, "paddedRows") } as const,
    ]),
    ...(["interleaved", "partial"] as const).flatMap((raw) => alone(of(raw))),
    ...single.flatMap((name) => alone(of(undefined, name))),
  ];
};

/** The calls, the fullest sizes first. */
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
    [BATCH, group, queries, headDim],
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
  const lse = make(queryShape.slice(0, 3), "f32") as Tensor<"f32">;
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
