/** @file The host operators over paged caches: `pagedAttention` and `pagedPiecewiseAttention`. */
import type { KernelDefinition } from "../../dsl/index.ts";
import type { Tensor } from "../../runtime/index.ts";
import type { NamesOf } from "../../support/index.ts";
import { ArgumentChecker } from "../support/arguments.ts";
import { dense } from "./dense.ts";
import { withPackedQueries } from "./documents.ts";
import { paged } from "./paged.ts";
import {
  type PagedArguments,
  type PagedAttentionOutput,
  pagedFamily,
  pagedNames,
  refusedNames,
  runPaged,
} from "./paged-call.ts";
import { piecewise } from "./piecewise.ts";
import { checkThreshold, refuseBothForms } from "./piecewise-operator.ts";
import type { RopeAngles } from "./rope-angles.ts";
import { rotated } from "./rotated.ts";

const families = {
  plain: pagedFamily(paged(dense)),
  rotated: pagedFamily(rotated(paged(dense))),
  piecewise: pagedFamily(paged(piecewise)),
  rotatedPiecewise: pagedFamily(rotated(paged(piecewise))),
};

export type { PagedAttentionOutput };
export const pagedAttentionKernel: KernelDefinition = families.plain.plain.split;
export const pagedForwardKernel: KernelDefinition = families.plain.plain.forward;
export const packedPagedAttentionKernel: KernelDefinition = families.plain.with([withPackedQueries]).split;
export const packedPagedForwardKernel: KernelDefinition = families.plain.with([withPackedQueries]).forward;
export const pagedPiecewiseKernel: KernelDefinition = families.piecewise.plain.split;
export const rotatedPagedPiecewiseKernel: KernelDefinition = families.rotatedPiecewise.plain.split;

/** Arguments of `pagedAttention`. */
export interface PagedAttentionArguments extends PagedArguments {
  /** `[B, Hq, D]`: one query a sequence; [B, Hq, M, D]: a chunk of M; or, packed, [T, Hq, D]. f16, bf16 or f32; any strides. */
  readonly q: Tensor;
  /** `[blocks, Hk, block, D]`: pages of keys, as `valueCache`; Hq a multiple of Hk. */
  readonly keyCache: Tensor;
  /**
   * Queries and keys are as they are before the rotary embedding, and are turned while they are loaded, by `ropeAngles`; a chunk of queries stands at
   * the end of its context. Default: they are not.
   */
  readonly rope?: RopeAngles;
}

/** Queries, and keys of a cache, under both position embeddings. */
interface TurnedOperands {
  /** [B, Hq, D], [B, Hq, M, D] or, packed, [T, Hq, D]: queries for keys nearer than the threshold. */
  readonly q1: Tensor;
  /** As `q1`: queries for keys at the threshold or farther. */
  readonly q2: Tensor;
  /** `[blocks, Hk, block, D]`: pages of the keys that belong to `q1`. */
  readonly keyCache1: Tensor;
  /** `[blocks, Hk, block, D]`: pages of the keys that belong to `q2`, by the same table. */
  readonly keyCache2: Tensor;
}

/** Queries, and keys of a cache, before any position embedding; the kernel turns them while it loads them. */
interface RawOperands {
  /** [B, Hq, D], [B, Hq, M, D] or, packed, [T, Hq, D]: queries stand at the end of their context. */
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

/**
 * Softmax attention over paged caches (PagedAttention, arXiv 2309.06180), of one query a sequence, a chunk of them, or any number of each, with
 * sequences of different lengths and any variant. Any group size; the heads of a group share their reads of the cache. Enqueues and returns at once.
 * @throws ArgumentError that names the argument: `ARGUMENT_MISSING`, `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`,
 * `ARGUMENT_HEADS`, `ARGUMENT_HEAD_DIM`.
 */
export function pagedAttention(args: PagedAttentionArguments): PagedAttentionOutput {
  const names = { ...pagedNames, q: true, keyCache: true, rope: true } as const;
  using check = ArgumentChecker.of("pagedAttention", args, names, refusedNames);
  const { q, keyCache, rope } = args;
  const operands = { queries: { q: ["q", q] }, keys: { k: ["keyCache", keyCache] } } as const;
  if (rope === undefined) return runPaged({ check, family: families.plain, ...operands }, args);
  return runPaged({ check, family: families.rotated, ...operands, rope }, args);
}

const piecewiseNames: NamesOf<PagedPiecewiseAttentionArguments> = {
  ...pagedNames,
  q1: true,
  q2: true,
  keyCache1: true,
  keyCache2: true,
  q: true,
  keyCache: true,
  rope: true,
  threshold: true,
};

/**
 * PiecewiseAttention over paged caches: of queries and keys under both position embeddings (`q1`, `q2`, `keyCache1`, `keyCache2`), or of raw ones
 * (`q`, `keyCache`, `rope`), which take half the memory and are turned while they are loaded. Otherwise as `pagedAttention`.
 * @throws ArgumentError as `pagedAttention` does.
 */
export function pagedPiecewiseAttention(args: PagedPiecewiseAttentionArguments): PagedAttentionOutput {
  using check = ArgumentChecker.of("pagedPiecewiseAttention", args, piecewiseNames, refusedNames);
  const { threshold } = args;
  checkThreshold(check, threshold);
  refuseBothForms(check, args, ["q", "keyCache", "rope"], ["q1", "keyCache1", "q2", "keyCache2"]);
  const own = { threshold };
  if ("q" in args) {
    const { q, keyCache, rope } = args;
    const operands = { queries: { q: ["q", q] }, keys: { k: ["keyCache", keyCache] } } as const;
    return runPaged({ check, family: families.rotatedPiecewise, own, ...operands, rope }, args);
  }
  const { q1, q2, keyCache1, keyCache2 } = args;
  const operands = {
    queries: { q1: ["q1", q1], q2: ["q2", q2] },
    keys: { k1: ["keyCache1", keyCache1], k2: ["keyCache2", keyCache2] },
  } as const;
  return runPaged({ check, family: families.piecewise, own, ...operands }, args);
}
