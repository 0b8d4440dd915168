/** @file The host operators over paged caches: `pagedAttention` and `pagedPiecewiseAttention`. */
import type { KernelDefinition } from "../../dsl/index.ts";
import type { LaunchValues, Tensor } from "../../runtime/index.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { headConstants } from "./configuration.ts";
import { dense } from "./dense.ts";
import { launchSplit, shouldPack } from "./launch-split.ts";
import { paged } from "./paged.ts";
import { piecewise } from "./piecewise.ts";
import { checkThreshold } from "./piecewise-operator.ts";
import { type RopeAngles, rotationOf } from "./rope-angles.ts";
import { rotated } from "./rotated.ts";
import { attentionSplit } from "./split-kv.ts";
import { pagedKeyBlock, pagedSplits } from "./splits.ts";

export const pagedAttentionKernel: KernelDefinition = attentionSplit(paged(dense));
export const rotatedPagedAttentionKernel: KernelDefinition = attentionSplit(rotated(paged(dense)));
export const pagedPiecewiseKernel: KernelDefinition = attentionSplit(paged(piecewise));
export const rotatedPagedPiecewiseKernel: KernelDefinition = attentionSplit(rotated(paged(piecewise)));

/** What the operators over paged caches have in common. */
interface PagedArguments {
  /**
   * [blocks, Hk, block, E]: pages of values, any strides, any block size; powers of two and multiples of 32 are read fastest. FlashAttention's
   * and vLLM's [blocks, block, Hk, E] is `cache.permute([0, 2, 1, 3])`; for vLLM's older layout see `fromVllmCache`.
   */
  readonly valueCache: Tensor;
  /** i32 [B]: how many keys each sequence has, those of the queries included. 0 for none. */
  readonly contextLengths: Tensor;
  /** i32 [B, columns]: key n of a sequence lies in page blockTables[b, floor(n / block)]. Entries beyond the context are not read. */
  readonly blockTables: Tensor;
  /** Positive factor of the logits. Default 1 / sqrt(D). */
  readonly scale?: number;
  /**
   * Query m of M sees key n iff contextLength - M + m >= n, so a chunk of queries whose keys were appended last sees the past and itself. Without
   * effect on one query a sequence. Default true.
   */
  readonly causal?: boolean;
  /** Into how many parts each sequence's keys are split. Default: FlagAttention's rule. */
  readonly splits?: number;
  /** The largest context length, if the host knows it: the default of `splits` depends on it. Default: what a row of `blockTables` can hold. */
  readonly maxContextLength?: number;
  /** Also give the natural-log normaliser. Default false. */
  readonly returnLse?: boolean;
  /** Write here: the shape of `out`, dtype of the queries, any strides. */
  readonly out?: Tensor;
}

/** Arguments of `pagedAttention`. */
export interface PagedAttentionArguments extends PagedArguments {
  /** [B, Hq, D]: one query a sequence; or [B, Hq, M, D]: a chunk of M. f16, bf16 or f32; any strides. */
  readonly q: Tensor;
  /** [blocks, Hk, block, D]: pages of keys, as `valueCache`; Hq a multiple of Hk. */
  readonly keyCache: Tensor;
  /**
   * Queries and keys are as they are before the rotary embedding, and are turned while they are loaded, by `ropeAngles`; a chunk of queries stands at
   * the end of its context. Default: they are not.
   */
  readonly rope?: RopeAngles;
}

/** Queries, and keys of a cache, under both position embeddings. */
interface TurnedOperands {
  /** [B, Hq, D] or [B, Hq, M, D]: queries for keys nearer than the threshold. */
  readonly q1: Tensor;
  /** As `q1`: queries for keys at the threshold or farther. */
  readonly q2: Tensor;
  /** [blocks, Hk, block, D]: pages of the keys that belong to `q1`. */
  readonly keyCache1: Tensor;
  /** [blocks, Hk, block, D]: pages of the keys that belong to `q2`, by the same table. */
  readonly keyCache2: Tensor;
}

/** Queries, and keys of a cache, before any position embedding; the kernel turns them while it loads them. */
interface RawOperands {
  /** [B, Hq, D] or [B, Hq, M, D]: a chunk of queries stands at the end of its context. */
  readonly q: Tensor;
  /** [blocks, Hk, block, D]. */
  readonly keyCache: Tensor;
  /** Near and far positions, by `ropeAngles` of a position map. At least as many as the longest context has keys. */
  readonly rope: RopeAngles;
}

/** Arguments of `pagedPiecewiseAttention`: queries and keys twice, or raw, with `rope`. */
export type PagedPiecewiseAttentionArguments = PiecewiseShared & (TurnedOperands | RawOperands);

interface PiecewiseShared extends PagedArguments {
  /** Key n is far from query m iff contextLength - M + m - n >= threshold. Any integer of 32 bits. */
  readonly threshold: number;
}

/** What the operators over paged caches give. */
export interface PagedAttentionOutput {
  /** [B, Hq, E] or [B, Hq, M, E], as the queries; dtype of the queries. 0 for a query that sees no key. */
  readonly out: Tensor;
  /** f32, `out` without its last axis; -inf for a query that sees no key. Only with `returnLse`. */
  readonly lse?: Tensor;
}

/** A variant's operands: by parameter name, the argument's name and the tensor. */
type Named = Readonly<Record<string, readonly [argument: string, tensor: Tensor]>>;

interface PagedCall {
  readonly kernel: KernelDefinition;
  readonly terms: number;
  readonly queries: Named;
  readonly keys: Named;
  /** What else the variant reads. */
  readonly own?: LaunchValues;
  /** Of a rotated variant. */
  readonly rope?: RopeAngles | undefined;
}

/** Checks, launches, and shapes the results as the queries are. */
function runPaged(check: ArgumentChecker, call: PagedCall, args: PagedArguments): PagedAttentionOutput {
  const { kernel, terms, queries, keys, own } = call;
  const { valueCache, contextLengths, blockTables, scale, causal = true, returnLse = false } = args;
  const [[first, given]] = Object.values(queries) as [readonly [string, Tensor]];
  const single = given?.shape?.length === 3;
  const rowAxes = single ? ["B", "Hq"] : ["B", "Hq", "M"];
  const dtypes = () => (given?.dtype === undefined ? floatDTypes : [given.dtype]);
  check.tensor(first, given, [...rowAxes, "D"], floatDTypes);
  for (const [name, tensor] of Object.values(queries)) check.tensor(name, tensor, [...rowAxes, "D"], dtypes());
  for (const [name, tensor] of Object.values(keys))
    check.tensor(name, tensor, ["blocks", "Hk", "block", "D"], dtypes());
  check.tensor("valueCache", valueCache, ["blocks", "Hk", "block", "E"], dtypes());
  check.tensor("contextLengths", contextLengths, ["B"], ["i32"]);
  check.tensor("blockTables", blockTables, ["B", "columns"], ["i32"]);
  const [batch, heads, keyHeads, headDim, valueDim, pageSize, columns] = [
    "B",
    "Hq",
    "Hk",
    "D",
    "E",
    "block",
    "columns",
  ].map((name) => check.size(name)) as [number, number, number, number, number, number, number];
  if (keyHeads === 0 ? heads !== 0 : heads % keyHeads !== 0)
    check.fail(
      "ARGUMENT_HEADS",
      `"${first}" has ${heads} heads, which is not a multiple of the ${keyHeads} heads of the caches`,
    );
  for (const [name, dim] of [
    [first, headDim],
    ["valueCache", valueDim],
  ] as const)
    if (dim < 1 || dim > 256) check.fail("ARGUMENT_HEAD_DIM", `"${name}" has head dim ${dim}; it must be 1 to 256`);
  if (pageSize < 1)
    check.fail("ARGUMENT_SHAPE", `"valueCache" has pages of ${pageSize} keys; they must hold at least 1`);
  check.flag("causal", causal);
  check.flag("returnLse", returnLse);
  const capacity = columns * pageSize;
  const longest = check.integer("maxContextLength", args.maxContextLength ?? capacity);
  if (longest > capacity)
    check.fail("ARGUMENT_VALUE", `"maxContextLength" is ${longest}, but a row of "blockTables" holds ${capacity} keys`);
  const rotation = "rope" in call ? rotationOf(check, call.rope!, terms, longest) : undefined;
  const factor = check.number("scale", scale ?? headDim ** -0.5, { above: 0 });
  if (args.splits !== undefined) check.integer("splits", args.splits, 1);

  const { device } = check;
  const count = single ? 1 : given.shape[2]!;
  const rows = single ? [batch, heads] : [batch, heads, count];
  const out = check.output("out", args.out, [...rows, valueDim], given.dtype);
  const lse = device.empty(rows, "f32");
  if (lse.size > 0) {
    const queryShape = [batch, heads, count, headDim] as const;
    const wide = (tensor: Tensor) => (single ? tensor.reshape([batch, heads, 1, -1]) : tensor.reshape(tensor.shape));
    const views = Object.entries(queries).map(([parameter, [, tensor]]) => [parameter, wide(tensor)] as const);
    using wideOut = wide(out);
    using wideLse = lse.reshape([batch, heads, count]);
    const traits = { terms, turned: rotation !== undefined };
    const packed = shouldPack(true, queryShape, keyHeads);
    launchSplit(
      {
        device,
        kernel,
        values: {
          ...Object.fromEntries(views),
          ...Object.fromEntries(Object.entries(keys).map(([parameter, [, tensor]]) => [parameter, tensor])),
          ...own,
          ...rotation?.values,
          v: valueCache,
          contextLengths,
          blockTables,
          scale: factor,
        },
        constants: {
          ...headConstants(headDim, valueDim),
          ...rotation?.constants,
          ...pagedKeyBlock({ backend: device.backend, dtype: given.dtype, headDim, valueDim, ...traits }, pageSize),
          PAGE_SIZE: pageSize,
          CAUSAL: causal && count > 1,
        },
        queryShape,
        keyHeads,
        valueDim,
        ...traits,
        splits: args.splits ?? pagedSplits(device.backend, { queryShape, keyHeads, pageSize, keys: longest, packed }),
        packed,
      },
      wideOut,
      wideLse,
    );
    for (const [, view] of views) view.dispose();
  }
  if (returnLse) return { out, lse };
  lse.dispose();
  return { out };
}

/**
 * Softmax attention over paged caches (PagedAttention, arXiv 2309.06180), of one query a sequence or a chunk of them, with sequences of different
 * lengths. Any group size; the heads of a group share their reads of the cache. Enqueues and returns at once.
 * @throws ArgumentError that names the argument: `ARGUMENT_MISSING`, `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`,
 * `ARGUMENT_HEADS`, `ARGUMENT_HEAD_DIM`.
 */
export function pagedAttention({ q, keyCache, rope, ...args }: PagedAttentionArguments): PagedAttentionOutput {
  const kernel = rope ? rotatedPagedAttentionKernel : pagedAttentionKernel;
  const operands = { queries: { q: ["q", q] }, keys: { k: ["keyCache", keyCache] } } as const;
  return runPaged(
    new ArgumentChecker("pagedAttention"),
    { kernel, terms: 1, ...operands, ...(rope && { rope }) },
    args,
  );
}

/**
 * PiecewiseAttention over paged caches: of queries and keys under both position embeddings (`q1`, `q2`, `keyCache1`, `keyCache2`), or of raw ones
 * (`q`, `keyCache`, `rope`), which take half the memory and are turned while they are loaded. Otherwise as `pagedAttention`.
 * @throws ArgumentError as `pagedAttention` does.
 */
export function pagedPiecewiseAttention(args: PagedPiecewiseAttentionArguments): PagedAttentionOutput {
  const { threshold } = args;
  const check = new ArgumentChecker("pagedPiecewiseAttention");
  checkThreshold(check, threshold);
  const shared = { terms: 2, own: { threshold } };
  if ("q" in args) {
    const { q, keyCache, rope } = args;
    const operands = { queries: { q: ["q", q] }, keys: { k: ["keyCache", keyCache] } } as const;
    return runPaged(check, { kernel: rotatedPagedPiecewiseKernel, ...shared, ...operands, rope }, args);
  }
  const { q1, q2, keyCache1, keyCache2 } = args;
  const operands = {
    queries: { q1: ["q1", q1], q2: ["q2", q2] },
    keys: { k1: ["keyCache1", keyCache1], k2: ["keyCache2", keyCache2] },
  } as const;
  return runPaged(check, { kernel: pagedPiecewiseKernel, ...shared, ...operands }, args);
}
