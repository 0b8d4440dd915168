/**
 * @file Host side of attention of few queries: the split kernel over parts of the keys with a workspace of partial results, and the merge; or, in one part,
 * the forward kernel in the same blocks.
 */
import type { KernelDefinition } from "../../dsl/index.ts";
import type { Device, LaunchValues, Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { type HeadProblem, headConstants } from "./configuration.ts";
import { attentionMergeKernel } from "./merge.ts";
import { partialWidth } from "./split-kv.ts";
import { packsHeads, splitConfiguration } from "./splits.ts";

/** A call with few queries, or with the heads of a group in shared tiles, checked. */
export interface SplitCall {
  readonly device: Device;
  /** Made by `attentionForward` and `attentionSplit`. */
  readonly kernels: { readonly forward: KernelDefinition; readonly split: KernelDefinition };
  /** By parameter name, but for results. */
  readonly values: LaunchValues;
  /** Among them those of `headConstants`; BLOCK_N, if given, is kept. */
  readonly constants: Readonly<Record<string, number | boolean>>;
  readonly queryShape: readonly [batch: number, heads: number, queries: number, dim: number];
  /** Queries of a sequence on average, where several are packed along one axis. Default: all are one sequence's. */
  readonly queriesEach?: number;
  readonly keyHeads: number;
  readonly problem: HeadProblem;
  readonly splits: number;
  /** Whether the query heads of a group share tiles. */
  readonly packed: boolean;
}

/** Enqueues what computes `out` [B, Hq, M, E] and `lse` [B, Hq, M], of which some element exists. */
export function launchSplit(call: SplitCall, out: Tensor, lse: Tensor): void {
  const { device, kernels, queryShape, keyHeads, problem, splits, packed } = call;
  const [batch, heads, queries, headDim] = queryShape;
  const group = heads / keyHeads;
  const [rowHeads, rows] = packed ? [keyHeads, queries * group] : [heads, queries];
  const blocks = splitConfiguration(problem, Math.ceil((rows * (call.queriesEach ?? queries)) / queries), splits === 1);
  const constants = { ...blocks, ...call.constants, PACK_HEADS: packed };
  if (splits === 1) {
    device.launch(kernels.forward, { ...call.values, out, lse }, { constants });
    return;
  }

  const width = partialWidth(headConstants(headDim, problem.valueDim).VALUE_DIM);
  using partial = device.empty([splits, batch, rowHeads, rows, width], "f32");
  device.launch(kernels.split, { ...call.values, partial }, { constants });
  using byGroup = partial.reshape([splits, batch, keyHeads, ...(packed ? [queries, group] : [group, queries]), width]);
  using parts = packed ? byGroup.permute([0, 1, 2, 4, 3, 5]) : byGroup.permute([0, 1, 2, 3, 4, 5]);
  launchMerge(device, parts, out, lse);
}

/** Enqueues the merge of `parts` [parts, B, Hk, G, M, VALUE_DIM + 4]. */
export function launchMerge(device: Device, parts: Tensor, out: Tensor, lse: Tensor): void {
  const valueDim = out.shape[3]!;
  const { VALUE_DIM, PAD_VALUE } = headConstants(valueDim, valueDim);
  const BLOCK_M = Math.min(16, nextPowerOfTwo(out.shape[2]!));
  device.launch(attentionMergeKernel, { partial: parts, out, lse }, { constants: { BLOCK_M, VALUE_DIM, PAD_VALUE } });
}

/** Whether heads of a group share tiles, for a variant that allows it. */
export const shouldPack = (allowed: boolean, [, heads, queries]: readonly number[], keyHeads: number): boolean =>
  allowed && packsHeads(queries!, heads! / keyHeads);
