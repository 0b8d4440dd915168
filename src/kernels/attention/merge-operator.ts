/** @file The host operator `mergeAttention`. */
import type { Tensor } from "../../runtime/index.ts";
import { copy } from "../elementwise/operator.ts";
import { ArgumentChecker, floatDTypes } from "../support/arguments.ts";
import { tileExtent } from "./configuration.ts";
import { launchMerge } from "./launch-split.ts";
import { partialWidth } from "./split-kv.ts";

/** What attention gave for some of the keys. */
export interface AttentionState {
  /** [B, Hq, M, E], f16, bf16 or f32; any strides. */
  readonly out: Tensor;
  /** f32 [B, Hq, M]: the natural-log normaliser; -inf where a query saw no key. */
  readonly lse: Tensor;
}

/** Options of `mergeAttention`. */
export interface MergeAttentionOptions {
  /** Write here, [B, Hq, M, E], any float dtype and strides. Default: a new tensor of the first state's dtype. */
  readonly out?: Tensor;
}

/**
 * Attention over the union of disjoint sets of keys, from what it gave for each: split-KV, a shared prefix, or the turns of a ring of devices
 * (context-parallel attention). Associative; f32 inside, in the order given, so two runs give the same bits. A state whose lse is -inf
 * weighs nothing. The states may be of different dtypes; keep f32 ones where many are merged one by one. Enqueues and returns at once.
 * @throws ArgumentError that names the argument: `ARGUMENT_MISSING`, `ARGUMENT_SHAPE`, `ARGUMENT_DTYPE`, `ARGUMENT_DEVICE`, `ARGUMENT_VALUE`.
 */
export function mergeAttention(states: readonly AttentionState[], options: MergeAttentionOptions = {}): AttentionState {
  const check = ArgumentChecker.of("mergeAttention", options, { out: true });
  const { out: given } = options;
  if (!Array.isArray(states) || states.length === 0)
    check.fail("ARGUMENT_VALUE", `"states" must be an array of at least one { out, lse }, got ${String(states)}`);
  for (const [i, state] of states.entries()) {
    check.tensor(`states[${i}].out`, state?.out, ["B", "Hq", "M", "E"], floatDTypes);
    check.tensor(`states[${i}].lse`, state.lse, ["B", "Hq", "M"], ["f32"]);
  }
  const { device } = check;
  const { shape, dtype } = states[0]!.out;
  const [batch, heads, queries, valueDim] = shape as [number, number, number, number];
  const out = check.output("out", given, shape, dtype, floatDTypes);
  const lse = device.empty([batch, heads, queries], "f32");
  if (lse.size === 0) return { out, lse };

  const extent = tileExtent(valueDim);
  // Zeros: what a lse has lost by rounding nobody knows, nor is there anything in channels that only fill a tile.
  using partial = device.zeros([states.length, batch, heads, queries, partialWidth(extent)], "f32");
  for (const [i, state] of states.entries()) {
    using part = partial.slice(0, i, i + 1);
    using rows = part.reshape(part.shape.slice(1));
    using channels = rows.slice(3, 0, valueDim);
    using normaliser = rows.slice(3, extent, extent + 1);
    using column = state.lse.reshape([batch, heads, queries, 1]);
    copy({ from: state.out, to: channels });
    copy({ from: column, to: normaliser });
  }
  using parts = partial.reshape([states.length, batch, heads, 1, queries, partialWidth(extent)]);
  launchMerge(device, parts, out, lse);
  return { out, lse };
}
