/** @file Host side of split-KV attention: workspace of partial results, the split kernel, the merge. */
import type { KernelDefinition } from "../../dsl/index.ts";
import type { Device, LaunchValues, Tensor } from "../../runtime/index.ts";
import { nextPowerOfTwo } from "../../support/index.ts";
import { type HeadProblem, headConstants } from "./configuration.ts";
import { attentionMergeKernel } from "./merge.ts";
import { partialWidth } from "./split-kv.ts";
import { packsHeads, splitConfiguration } from "./splits.ts";

/** A call of a split kernel, checked. */
export interface SplitCall {
  readonly device: Device;
  /** Made by `attentionSplit`. */
  readonly kernel: KernelDefinition;
  /** By parameter name, but for `partial`. */
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

/** Enqueues the split kernel, and the merge into `out` [B, Hq, M, E] and `lse` [B, Hq, M], of which some element exists. */
export function launchSplit(call: SplitCall, out: Tensor, lse: Tensor): void {
  const { device, kernel, queryShape, keyHeads, problem, splits, packed } = call;
  const [batch, heads, queries, headDim] = queryShape;
  const group = heads / keyHeads;
  const { VALUE_DIM } = headConstants(headDim, problem.valueDim);
  const width = partialWidth(VALUE_DIM);
  const [rowHeads, rows] = packed ? [keyHeads, queries * group] : [heads, queries];

  using partial = device.empty([splits, batch, rowHeads, rows, width], "f32");
  const rowsEach = Math.ceil((rows * (call.queriesEach ?? queries)) / queries);
  const blocks = splitConfiguration(problem, rowsEach);
  const constants = { ...blocks, ...call.constants, PACK_HEADS: packed };
  device.launch(kernel, { ...call.values, partial }, { constants });

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
