/**
 * @file Host side of the kernels of any variant: checks of what all have in common, workspace, block sizes, launches. The public operators
 * name the arguments and choose the variant.
 */
import type { LaunchValues, Tensor } from "../../runtime/index.ts";
import type { NamesOf } from "../../support/index.ts";
import { type ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import {
  attentionBackwardDelta,
  attentionBackwardKeys,
  attentionBackwardQueries,
  attentionBackwardStatistics,
  fewKeys,
} from "./backward.ts";
import { attentionBiasGradient, attentionRowBiasGradient } from "./bias-gradient.ts";
import {
  backwardDeltaConfiguration,
  backwardKeysConfiguration,
  backwardQueriesConfiguration,
  forwardConfiguration,
  headConstants,
  traitsOfVariant,
} from "./configuration.ts";
import { dense } from "./dense.ts";
import { withDropout } from "./dropout.ts";
import { type VariantFamily, variantFamily } from "./family.ts";
import { attentionForward } from "./forward.ts";
import { launchBiasGradient, launchSinksGradient } from "./launch-gradients.ts";
import { launchSplit, shouldPack } from "./launch-split.ts";
import { keysWithinWindow, modifiersOf, type VariantArguments, variantNames } from "./modifiers.ts";
import { canPackHeads } from "./pack-heads.ts";
import { piecewise } from "./piecewise.ts";
import { attentionSplit } from "./split-kv.ts";
import { countedPrograms, defaultSplits, processors } from "./splits.ts";
import { attentionTotal } from "./total.ts";
import { tensorNames, type Variant } from "./variant.ts";

/** The kernels of one variant. */
export const kernelsOf = (variant: Variant) => ({
  variant,
  forward: attentionForward(variant),
  split: attentionSplit(variant),
  backwardDelta: attentionBackwardDelta(variant),
  backwardQueries: attentionBackwardQueries(variant),
  backwardKeys: attentionBackwardKeys(variant),
  total: attentionTotal(variant),
  biasGradient: attentionBiasGradient(variant),
  rowBiasGradient: attentionRowBiasGradient(variant),
});
type Kernels = ReturnType<typeof kernelsOf>;

/** The kernels of a variant, alone and modified. */
export type KernelFamily = VariantFamily<Kernels>;
export const kernelFamily = (variant: Variant): KernelFamily => variantFamily(variant, kernelsOf);

/** Dropout of attention weights. The same seed and offset drop the same weights: give the backward operator what the forward one got. */
export interface DropoutArguments {
  /** Share of weights to drop, from 0 and below 1. */
  readonly probability: number;
  /** 64 bits of seed and of offset: the weight of query m and key n is number offset + ((b · Hq + h) · M + m) · N + n of the seed's numbers. */
  readonly seed: number | bigint;
  readonly offset: number | bigint;
  /** Rounds of Philox. Default 6. */
  readonly rounds?: number;
}

/** What the operators of all variants have in common. */
export interface CommonArguments extends VariantArguments {
  /** Query m sees key n iff N - M + m >= n. Default false. */
  readonly causal?: boolean;
  /** Positive factor of the logits. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** Default: none. */
  readonly dropout?: DropoutArguments;
}

/**
 * Of `scale`: above, products of finite 16-bit numbers times it may overflow f32, and below it is 0 to a device that flushes; then NaNs would arise from
 * infinities.
 */
export const scaleBounds = { from: 2 ** -126, below: 2 ** 64 } as const;

export const commonNames: NamesOf<CommonArguments> = { ...variantNames, causal: true, scale: true, dropout: true };

/** Checked arguments of a call. */
export interface Call extends Disposable {
  readonly check: ArgumentChecker;
  readonly kernels: Kernels;
  /** By parameter name: the operands, and what else the variant reads. */
  readonly values: LaunchValues;
  readonly constants: Readonly<Record<string, number | boolean>>;
  readonly queryShape: readonly [batch: number, heads: number, queries: number, dim: number];
  readonly keyShape: readonly [batch: number, heads: number, keys: number, dim: number];
  readonly valueDim: number;
  readonly dtype: (typeof floatDTypes)[number];
  /** The bias and the sinks that were given, by which there are gradients. */
  readonly bias: Tensor | undefined;
  readonly sinks: Tensor | undefined;
}

/**
 * Checks operands and common arguments. `operands` are the variant's tensors and "v"; `own` is what the variant reads besides.
 * @throws ArgumentError
 */
export function openCall(
  check: ArgumentChecker,
  family: KernelFamily,
  operands: Readonly<Record<string, Tensor>>,
  { causal = false, scale, dropout, ...variants }: CommonArguments,
  own: LaunchValues = {},
): Call {
  const { variant } = family.plain;
  const [queryNames, keyNames] = [tensorNames(variant, "queries"), tensorNames(variant, "keys")];
  const [first, firstKey] = [queryNames[0]!, keyNames[0]!];
  const dtypes = () => (operands[first]?.dtype === undefined ? floatDTypes : [operands[first].dtype]);
  check.tensor(first, operands[first]!, ["B", "Hq", "M", "D"], floatDTypes);
  for (const name of queryNames) check.tensor(name, operands[name]!, ["B", "Hq", "M", "D"], dtypes());
  for (const name of keyNames) check.tensor(name, operands[name]!, ["B", "Hk", "N", "D"], dtypes());
  check.tensor("v", operands.v!, ["B", "Hk", "N", "E"], dtypes());
  const size = (name: string) => check.size(name);
  const [queryHeads, keyHeads, headDim, valueDim] = [size("Hq"), size("Hk"), size("D"), size("E")];
  if (keyHeads === 0 ? queryHeads !== 0 : queryHeads % keyHeads !== 0)
    check.fail(
      "ARGUMENT_HEADS",
      `"${first}" has ${queryHeads} heads, which is not a multiple of the ${keyHeads} heads of "${firstKey}" and "v"`,
    );
  for (const [name, dim] of [
    [first, headDim],
    ["v", valueDim],
  ] as const)
    if (dim < 1 || dim > 256) check.fail("ARGUMENT_HEAD_DIM", `"${name}" has head dim ${dim}; it must be 1 to 256`);
  check.flag("causal", causal);
  const modified = modifiersOf(check, { ...variants, causal });
  const random = dropoutValues(check, dropout);
  const modifiers = [...modified.modifiers, ...(random ? [withDropout] : [])];
  return {
    check,
    kernels: family.with(modifiers),
    values: {
      ...operands,
      ...own,
      scale: check.number("scale", scale ?? headDim ** -0.5, scaleBounds),
      ...modified.values,
      ...random?.values,
    },
    constants: { CAUSAL: causal, ...headConstants(headDim, valueDim), ...modified.constants, ...random?.constants },
    queryShape: [size("B"), queryHeads, size("M"), headDim],
    keyShape: [size("B"), keyHeads, size("N"), headDim],
    valueDim,
    dtype: operands[first]!.dtype as Call["dtype"],
    bias: variants.bias,
    sinks: variants.sinks,
    [Symbol.dispose]: modified[Symbol.dispose],
  };
}

const smallOffsets = 2n ** 31n;

/** What the kernels with dropout take; undefined where nothing is dropped. */
function dropoutValues(check: ArgumentChecker, dropout: DropoutArguments | undefined) {
  if (dropout === undefined) return undefined;
  check.names(dropout, { probability: true, seed: true, offset: true, rounds: true }, "entry of dropout");
  const { probability, rounds = 6 } = dropout;
  check.number("dropout.probability", probability, { from: 0, below: 1 });
  check.integer("dropout.rounds", rounds, 1);
  const word = (name: "seed" | "offset"): bigint => {
    const value = dropout[name];
    const whole = typeof value === "bigint" || Number.isSafeInteger(value);
    if (!whole || BigInt(value) < -(2n ** 63n) || BigInt(value) >= 2n ** 64n)
      check.fail("ARGUMENT_VALUE", `"dropout.${name}" must be an integer of 64 bits, got ${String(value)}`);
    return BigInt.asIntN(64, BigInt(value));
  };
  const [seed, offset] = [word("seed"), word("offset")];
  if (probability === 0) return undefined;
  const wide = offset < -smallOffsets || offset >= smallOffsets;
  const constants = { DROPOUT_ROUNDS: rounds, WIDE_OFFSET: wide };
  return { values: { probability, seed, offset }, constants };
}

/** What the block sizes of the call's kernels depend on. */
export const problemOf = ({ check, kernels: { variant }, queryShape, valueDim, dtype, constants }: Call) => ({
  backend: check.device.backend,
  dtype,
  headDim: queryShape[3],
  valueDim,
  ...traitsOfVariant(variant),
  plain: variant === dense || variant === piecewise,
  wideDropout: constants.WIDE_OFFSET === true,
});

/** Enqueues the forward kernel; where queries are few, that of split-KV attention. `splits`: the default heuristic's where undefined. */
export function launchForward(call: Call, given: Tensor | undefined, splits?: number): { out: Tensor; lse: Tensor } {
  const { check, kernels, constants, queryShape, valueDim, dtype, sinks } = call;
  const values = { ...call.values, ...(sinks && { sinks }) };
  const { device } = check;
  const rows = queryShape.slice(0, 3);
  const out = check.output("out", given, [...rows, valueDim], dtype);
  const lse = device.empty(rows, "f32");
  if (splits !== undefined) check.integer("splits", splits, 1);
  if (lse.size === 0) return { out, lse };
  const plan = planOf(call, splits);
  if (plan.splits > 1 || plan.packed) {
    const keyHeads = call.keyShape[1];
    const problem = problemOf(call);
    launchSplit({ device, kernels, values, constants, queryShape, keyHeads, problem, ...plan }, out, lse);
  } else {
    const blocks = forwardConfiguration(problemOf(call), queryShape[2]);
    device.launch(kernels.forward, { ...values, out, lse }, { constants: { ...blocks, ...constants } });
  }
  return { out, lse };
}

/** How a forward call is shared out. */
function planOf(call: Call, splits: number | undefined) {
  const { check, kernels, queryShape, keyShape } = call;
  const [batch, heads, queries] = queryShape;
  const [, keyHeads, keys] = keyShape;
  // How long documents are only the device knows.
  if (kernels.variant.documents) return { packed: false, splits: splits ?? 1 };
  const packed = shouldPack(canPackHeads(kernels.variant), queryShape, keyHeads);
  const programs = packed
    ? countedPrograms(batch, keyHeads, (queries * heads) / keyHeads)
    : countedPrograms(batch, heads, queries);
  const reach = keysWithinWindow(call, queries, keys);
  return { packed, splits: splits ?? defaultSplits(programs, reach, processors[check.device.backend]) };
}

/** Enqueues the kernel of column sums: f32 [B, Hq, N]. They are those of the undropped weights, with dropout too. */
export function launchTotal(call: Call, lse: Tensor): Tensor {
  const { check, kernels, values, constants, queryShape, keyShape } = call;
  const { device } = check;
  const total = device.empty([queryShape[0], queryShape[1], keyShape[2]], "f32");
  if (total.size > 0) {
    const blocks = backwardKeysConfiguration(problemOf(call));
    device.launch(kernels.total, { ...values, lse, total }, { constants: { ...blocks, ...constants } });
  }
  return total;
}

/** Enqueues the kernel that corrects delta in the statistics, unless an output in f32 is exact enough or every query sees many keys. */
function launchDelta(call: Call, dout: Tensor, statistics: Tensor): void {
  const { check, kernels, values, constants, keyShape, dtype } = call;
  const problem = problemOf(call);
  const seesAll = problem.plain && constants.CAUSAL === false;
  if (dtype === "f32" || (seesAll && keyShape[2] > fewKeys)) return;
  const options = { constants: { ...backwardDeltaConfiguration(problem), ...constants } };
  check.device.launch(kernels.backwardDelta, { ...values, dout, statistics }, options);
}

/** Enqueues the backward kernels. The gradients by the name of their tensor; those of the operands are views of two tensors. */
export function launchBackward(
  call: Call,
  { out, lse, dout }: { readonly out: Tensor; readonly lse: Tensor; readonly dout: Tensor },
): Record<string, Tensor> {
  const { check, kernels, values, constants, queryShape, keyShape, valueDim, dtype } = call;
  const [batch, queryHeads, queries, headDim] = queryShape;
  const { device } = check;
  check.tensor("out", out, ["B", "Hq", "M", "E"], [dtype]);
  check.tensor("lse", lse, ["B", "Hq", "M"], ["f32"]);
  check.tensor("dout", dout, ["B", "Hq", "M", "E"], [dtype]);

  const { variant } = kernels;
  const [queryNames, keyNames] = [tensorNames(variant, "queries"), tensorNames(variant, "keys")];
  const problem = problemOf(call);
  const [byQueries, byKeys] = [backwardQueriesConfiguration(problem), backwardKeysConfiguration(problem)];
  const statistics = device.empty([2, batch, queryHeads, queries], "f32");
  const dq = device.empty([queryNames.length, ...queryShape], dtype);
  const dkv = device.empty([keyNames.length + 1, ...keyShape.slice(0, 3), Math.max(headDim, valueDim)], dtype);
  if (statistics.size > 0) {
    const { VALUE_DIM, PAD_VALUE } = headConstants(headDim, valueDim);
    const blocksOfRows = { BLOCK_M: byQueries.BLOCK_M, VALUE_DIM, PAD_VALUE };
    device.launch(attentionBackwardStatistics, { out, dout, lse, statistics }, { constants: blocksOfRows });
    const options = { constants: { ...byQueries, ...constants } };
    launchDelta(call, dout, statistics);
    device.launch(kernels.backwardQueries, { ...values, dout, statistics, dq }, options);
  }
  if (dkv.size > 0) {
    const options = { constants: { ...byKeys, ...constants } };
    device.launch(kernels.backwardKeys, { ...values, dout, statistics, dkv }, options);
  }

  const part = (stack: Tensor, i: number, width: number): Tensor => {
    using one = stack.slice(0, i, i + 1);
    using narrow = one.slice(4, 0, width);
    return narrow.reshape(narrow.shape.slice(1));
  };
  const gradients = Object.fromEntries([
    ...queryNames.map((name, i) => [name, part(dq, i, headDim)]),
    ...keyNames.map((name, i) => [name, part(dkv, i, headDim)]),
    ["v", part(dkv, keyNames.length, valueDim)],
    ...(call.bias ? [["bias", launchBiasGradient(call, problem, call.bias, dout, statistics)]] : []),
    ...(call.sinks ? [["sinks", launchSinksGradient(call.sinks, statistics)]] : []),
  ]);
  for (const tensor of [statistics, dq, dkv]) tensor.dispose();
  return gradients;
}
